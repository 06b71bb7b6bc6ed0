"""Pulls of our own images and tokens beside linked registries that are dead or slow."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from statistics import median

from attrs import frozen

from tests.bench.linked_pulls import BlobPull

CLIENTS = 64
"""How many pull from the dead or slow registry all the time."""

BEFORE_NEXT = 5.0
"""Seconds before a client that was refused comes again, as docker waits."""

_SLOW_PIECE, _SLOW_PAUSE = 1024, 1.0
_PIECE = 64 * 1024
_SETTLED = 0.1
"""Seconds in which the loop closes what was cut."""


@frozen
class Waits:
    """How long requests took.

    Attributes:
        p50: milliseconds.
        p99: milliseconds.
    """

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Waits":
        """Sum up."""
        ordered = sorted(seconds)
        return cls(1000 * median(ordered), 1000 * ordered[int(len(ordered) * 0.99)])


def waits(requests: Sequence[Callable[[], None]], seconds: float) -> list[Waits]:
    """Do the requests in turn, again and again, and say of each how long it took."""
    took: list[list[float]] = [[] for _ in requests]
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for request, found in zip(requests, took, strict=True):
            began = time.perf_counter()
            request()
            found.append(time.perf_counter() - began)
    return [Waits.of(one) for one in took]


@contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port of 127.0.0.1 where nobody answers, not even with a refusal."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(address)
        try:
            yield address[1]
        finally:
            for one in filling:
                one.close()


@asynccontextmanager
async def slow_registry(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Yield a port where blobs come by one KiB each second, over TLS."""
    answering: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(answer(reader, writer))
        answering.add(task)
        task.add_done_callback(answering.discard)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError), _closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            length = 64 << 20 if b"/blobs/" in head else 0
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length)
            while length:
                writer.write(bytes(_SLOW_PIECE))
                await writer.drain()
                await asyncio.sleep(_SLOW_PAUSE)

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context, backlog=1024) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            await _end(answering)


@asynccontextmanager
async def pulling(pulls: Sequence[BlobPull], pause: float) -> AsyncIterator[None]:
    """Have each of ``pulls`` pulled all the time by a client of its own, which tries again after ``pause`` seconds."""

    async def client(wanted: BlobPull, after: float) -> None:
        await asyncio.sleep(after)
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", wanted.port)
                with _closing(writer):
                    writer.write(wanted.head)
                    while await reader.read(_PIECE):
                        pass
            await asyncio.sleep(pause)

    spread = [pause * number / len(pulls) for number in range(len(pulls))]
    clients = {asyncio.ensure_future(client(*one)) for one in zip(pulls, spread, strict=True)}
    try:
        await asyncio.sleep(pause)
        yield
    finally:
        await _end(clients)


@contextmanager
def _closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Close the connection at the end, and cut it when the task is cancelled."""
    try:
        yield
        writer.close()
    except BaseException:
        writer.transport.abort()
        raise


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(_SETTLED)
