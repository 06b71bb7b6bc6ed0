"""A unix socket in front of Redis whose replies can be held back: a store that is there, and slow."""

import asyncio
from contextlib import suppress
from pathlib import Path

from tests.support.relay import Relay, Stream, pump

CHUNK = 65536


class SlowStore(Relay):
    """Forwards to Redis, and holds every reply back for ``delay`` seconds, in order and all at once.

    Attributes:
        delay: as fast as Redis until it is set.
    """

    def __init__(self, here: Path, there: Path) -> None:
        super().__init__()
        self.delay = 0.0
        self._here, self._there = here, there

    async def listen(self) -> asyncio.Server:
        """Listen on the socket in front."""
        return await asyncio.start_unix_server(self.connected, self._here)

    async def connect(self) -> Stream:
        """Connect to Redis."""
        return await asyncio.open_unix_connection(self._there)

    async def forward(self, client: Stream, server: Stream) -> None:
        """Forward questions at once, and replies when they are due."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        asking = pump(client[0], server[1], CHUNK)
        await asyncio.gather(asking, self._hold(server[0], held), self._give(held, client[1]))

    async def _hold(self, reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            data = b""
            with suppress(OSError):
                data = await reader.read(CHUNK)
            held.put_nowait((self.loop.time() + self.delay, data))

    async def _give(self, held: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while True:
                due, data = await held.get()
                await asyncio.sleep(due - self.loop.time())
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        writer.close()
