"""A real redis-server on its own unix socket, for as long as a test wants it."""

import asyncio
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from attrs import define, field
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from authsvc.redaction import Secret
from authsvc.store.connection import Connection
from tests.support.waiting import PATIENCE


@define
class RedisServer:
    """One server and its folder.

    Attributes:
        folder: short, since a unix socket's path may have 107 bytes only.
        options: further command line options.
    """

    folder: Path
    options: tuple[str, ...] = ()
    _process: asyncio.subprocess.Process | None = field(default=None, init=False)

    @property
    def url(self) -> Secret:
        """Where it listens."""
        return Secret(f"unix://{self.folder}/redis.sock")

    async def start(self) -> None:
        """Start it and wait until it answers."""
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
        place = ("--port", "0", "--unixsocket", "redis.sock", "--dir", str(self.folder))
        self._process = await asyncio.create_subprocess_exec(
            *("redis-server", *place, *durable, *self.options),
            cwd=self.folder,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        connection = Connection(self.url)
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self._answers(connection):
                    await asyncio.sleep(0.02)
        finally:
            await connection.close()

    async def _answers(self, connection: Connection) -> bool:
        try:
            return bool(await connection.redis.ping())
        except (RedisConnectionError, RedisTimeoutError, OSError):
            return False

    async def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it; what it acknowledged is on disk."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await asyncio.wait_for(self._process.wait(), PATIENCE)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP makes it hang, SIGCONT wakes it."""
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, number)


@asynccontextmanager
async def redis_server(*options: str) -> AsyncIterator[RedisServer]:
    """Yield a running server; its data goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="asv-"))
    server = RedisServer(folder, options)
    try:
        await server.start()
        yield server
    finally:
        server.send(signal.SIGCONT)
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def connected(*options: str) -> AsyncIterator[Connection]:
    """Yield a patient connection of ours to a running server."""
    async with redis_server(*options) as server:
        connection = patient(server)
        try:
            yield connection
        finally:
            await connection.close()


def patient(server: RedisServer) -> Connection:
    """Return a connection for tests that are not about deadlines: a busy machine makes them wait and not fail."""
    return Connection(server.url, deadline=PATIENCE)


@contextmanager
def server_in_background(*options: str) -> Iterator[RedisServer]:
    """Yield a running server that no event loop of a test owns, so that many tests can share it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    opened = redis_server(*options)
    try:
        yield asyncio.run_coroutine_threadsafe(opened.__aenter__(), loop).result(PATIENCE)
    finally:
        asyncio.run_coroutine_threadsafe(opened.__aexit__(None, None, None), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()
