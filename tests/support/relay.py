"""Forwards connections to another server, from an event loop in a thread of its own, so that a test can interfere."""

import asyncio
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Self

from tests.support.waiting import PATIENCE

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay(ABC):
    """Listens, forwards every connection, and closes them all at the end: a test that comes later finds none open.

    Used as a context manager.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self._connections: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def listen(self) -> asyncio.Server:
        """Listen, with :meth:`connected` for every client."""

    @abstractmethod
    async def connect(self) -> Stream:
        """Connect to the server behind."""

    @abstractmethod
    async def forward(self, client: Stream, server: Stream) -> None:
        """Forward both directions until both have ended."""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writers = [writer]
        try:
            server = await self.connect()
            writers.append(server[1])
            await self.forward((reader, writer), server)
        except (OSError, asyncio.CancelledError):
            pass  # either side has gone, or the relay ends
        finally:
            for one in writers:
                one.close()
            for one in writers:
                with suppress(OSError, asyncio.CancelledError):
                    await one.wait_closed()
            self._connections.discard(task)

    def _run(self) -> None:
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.close()

    async def _serve(self) -> None:
        server = await self.listen()
        self._started.set()
        await self._stop.wait()
        server.close()
        running = list(self._connections)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chunk: int, seconds: float = 0.0) -> None:
    """Copy one direction to its end, in pieces of at most ``chunk`` bytes; ``seconds`` is what a full one takes."""
    with suppress(OSError):
        while data := await reader.read(chunk):
            writer.write(data)
            await writer.drain()
            if seconds:
                await asyncio.sleep(seconds * len(data) / chunk)
    writer.close()
