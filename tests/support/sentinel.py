"""A primary, its replica and a sentinel that watches them, all real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import define

from authsvc.redaction import Secret
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import PATIENCE


@define
class Watched:
    """A primary, its replica and the sentinel that watches them.

    Attributes:
        port: of the sentinel.
        replica_port: of the one who is to be primary next.
    """

    primary: RedisServer
    port: int
    replica_port: int

    @property
    def url(self) -> Secret:
        """What names the primary of the moment."""
        return Secret(f"redis+sentinel://127.0.0.1:{self.port}/main")

    async def ask(self, *command: str) -> list[str]:
        """Ask the sentinel something and return the lines of its answer."""
        client = ("redis-cli", "-p", str(self.port))
        asked = await asyncio.create_subprocess_exec(*client, *command, stdout=asyncio.subprocess.PIPE)
        return (await asked.communicate())[0].decode().splitlines()

    async def until(self, line: str, *command: str) -> None:
        """Ask until an answer has this line."""
        async with asyncio.timeout(PATIENCE):
            while line not in await self.ask(*command):
                await asyncio.sleep(0.1)


@asynccontextmanager
async def watched_primary() -> AsyncIterator[Watched]:
    """Yield them once the sentinel knows the replica."""
    first, second, third = free_port(), free_port(), free_port()
    local = ("--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", "--port")
    async with (
        redis_server(*local, str(first)) as primary,
        redis_server(*local, str(second), "--replicaof", "127.0.0.1", str(first)) as replica,
    ):
        file = replica.folder / "sentinel.conf"
        file.write_text(f"port {third}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {first} 1\n")
        sentinel = await asyncio.create_subprocess_exec(
            *("redis-server", str(file), "--sentinel"), stdout=asyncio.subprocess.DEVNULL
        )
        try:
            watched = Watched(primary, third, second)
            await watched.until(f"127.0.0.1:{second}", "SENTINEL", "REPLICAS", "main")
            await watched.until("ok", "SENTINEL", "REPLICAS", "main")  # master-link-status
            yield watched
        finally:
            sentinel.terminate()
            await sentinel.wait()
