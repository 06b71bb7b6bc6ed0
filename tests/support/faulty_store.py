"""A unix socket in front of Redis that loses replies and whole connections: what networks and restarts do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from attrs import define, field

CHUNK = 65536


@define
class FaultyStore:
    """Forwards to Redis.

    Attributes:
        lose_reply_to: the connection of the next command that contains these bytes is closed instead of answered;
            Redis has carried the command out by then.
        seen: everything that was asked.
    """

    there: Path
    lose_reply_to: bytes = b""
    seen: bytearray = field(factory=bytearray)
    _frozen: set[asyncio.StreamWriter] = field(factory=set, init=False)
    _open: set[asyncio.StreamWriter] = field(factory=set, init=False)
    _tasks: set[asyncio.Task[None]] = field(factory=set, init=False)

    def freeze_connections(self) -> None:
        """Forward nothing any more on the connections that are open now, and close none of them.

        That is how they look when the other host has lost its power.
        """
        self._frozen |= self._open

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        there_reader, there_writer = await asyncio.open_unix_connection(self.there)
        self._open.add(writer)
        lose = asyncio.Event()
        ask = asyncio.create_task(self._ask(reader, writer, there_writer, lose))
        answer = asyncio.create_task(self._answer(there_reader, writer, lose))
        self._tasks |= {ask, answer}
        await asyncio.wait({ask, answer}, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, there_writer):
            end.close()
        self._open.discard(writer)

    async def _ask(
        self, reader: asyncio.StreamReader, key: asyncio.StreamWriter, there: asyncio.StreamWriter, lose: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if key in self._frozen:
                    continue
                self.seen += data
                if self.lose_reply_to and self.lose_reply_to in data:
                    self.lose_reply_to = b""
                    lose.set()
                there.write(data)
                await there.drain()

    async def _answer(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, lose: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await there.read(CHUNK):
                if lose.is_set():
                    return
                if writer not in self._frozen:
                    writer.write(data)
                    await writer.drain()

    async def close(self) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def faulty_store(here: Path, there: Path) -> AsyncIterator[FaultyStore]:
    """Yield a socket at ``here`` that forwards to Redis at ``there``."""
    store = FaultyStore(there)
    server = await asyncio.start_unix_server(store.accept, here)
    try:
        yield store
    finally:
        server.close()
        await store.close()
