"""A unix socket in front of Redis whose replies can be held back: a store that is there, and slow."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CHUNK = 65536
STEP = 10.0
"""Seconds that a start or an end may take."""


class SlowStore:
    """Forwards to Redis, and holds every reply back for ``delay`` seconds, in order and all at once."""

    def __init__(self, here: Path, there: Path) -> None:
        """Listen at ``here`` for what is at ``there``."""
        self.delay = 0.0
        self._here, self._there = here, there
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_unix_server(self._connected, self._here)
        self._started.set()
        await self._stop.wait()
        server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(self._there)
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        await asyncio.gather(self._ask(reader, there_writer), self._hold(there_reader, held), self._give(held, writer))

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _hold(self, reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            data = b""
            with suppress(OSError):
                data = await reader.read(CHUNK)
            held.put_nowait((self._loop.time() + self.delay, data))

    async def _give(self, held: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                due, data = await held.get()
                await asyncio.sleep(due - self._loop.time())
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._started.wait(STEP)

    def stop(self) -> None:
        """End, with every connection."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STEP)
        assert not self._thread.is_alive()


@contextmanager
def slow_store(here: Path, there: Path) -> Iterator[SlowStore]:
    """Yield a socket in front of Redis that is as fast as Redis until it is told otherwise."""
    store = SlowStore(here, there)
    store.start()
    try:
        yield store
    finally:
        store.stop()
