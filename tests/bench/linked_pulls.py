"""Pulls blobs and says what that took: processor time and memory of the processes that served them."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from tests.bench.load import processor_seconds
from tests.support.processes import family_of

GIBIBYTE = 1 << 30
_PIECE = 1 << 20
_HEAD = 64 * 1024
_RECEIVE = 64 * 1024
"""Bytes that the kernel may keep for a client of the parallel pulls: what it does not take, the server has."""


@frozen
class BlobPull:
    """What is asked for.

    Attributes:
        port: of the server.
        path: of the blob.
        size: that it has.
        token: that is shown; None for none.
    """

    port: int
    path: str
    size: int
    token: str | None = None

    @property
    def head(self) -> bytes:
        """The request."""
        shown = f"Authorization: Bearer {self.token}\r\n" if self.token else ""
        return f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n{shown}Connection: close\r\n\r\n".encode()


@frozen
class Cost:
    """What some pulls took.

    Attributes:
        processor: seconds for each GiB, by who spent them.
        mebibytes: a second.
    """

    processor: Mapping[str, float]
    mebibytes: float


def pull(wanted: BlobPull, buffer: bytearray) -> None:
    """Pull one blob, to its last byte."""
    with socket.create_connection(("127.0.0.1", wanted.port), timeout=60) as connection:
        connection.sendall(wanted.head)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(_HEAD)
            assert piece, head
            head += piece
        head, _, begin = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        got = len(begin)
        while count := connection.recv_into(buffer):
            got += count
        assert got == wanted.size, (got, wanted)


def measure(pulls: Sequence[BlobPull], servers: Mapping[str, int], at_rest: Mapping[str, float] | None = None) -> Cost:
    """Pull one blob after the other.

    Args:
        pulls: of blobs.
        servers: the process ids of those whose time counts, by name; that of their children counts, too.
        at_rest: the processor seconds that some of them take in a second anyway, which do not count.
    """
    buffer = bytearray(_PIECE)
    size = sum(one.size for one in pulls)
    before = {name: _of_family(process, processor_seconds) for name, process in servers.items()}
    began = time.monotonic()
    for one in pulls:
        pull(one, buffer)
    took = time.monotonic() - began
    spent = {name: _more(_of_family(process, processor_seconds), before[name]) for name, process in servers.items()}
    for name, seconds in (at_rest or {}).items():
        spent[name] = max(0.0, spent[name] - seconds * took)
    return Cost({name: seconds * GIBIBYTE / size for name, seconds in spent.items()}, size / took / (1 << 20))


def measure_rest(process: int, seconds: float) -> float:
    """Return the processor seconds that a process takes in a second while nothing is asked of it."""
    before = _of_family(process, processor_seconds)
    time.sleep(seconds)
    return _more(_of_family(process, processor_seconds), before) / seconds


def growth(pulls: Sequence[BlobPull], servers: Mapping[str, int]) -> dict[str, float]:
    """Pull all at the same time, and return by how many MiB the peak of each server was above its size before."""
    before = {name: _of_family(process, _forget_peak) for name, process in servers.items()}
    asyncio.run(_all_at_once(pulls))
    return {name: _more(_of_family(process, _peak), before[name]) for name, process in servers.items()}


def _of_family(process: int, read: Callable[[int], float]) -> dict[int, float]:
    """Return what is read of a process and of all below it; nginx has one that ends when it has read its cache."""
    found = {}
    for one in family_of(process):
        with suppress(OSError):
            found[one] = read(one)
    return found


def _more(after: Mapping[int, float], before: Mapping[int, float]) -> float:
    """Return by how much the processes that are still there have more; new ones began with nothing."""
    return sum(value - before.get(process, 0.0) for process, value in after.items())


async def _all_at_once(pulls: Sequence[BlobPull]) -> None:
    """Read the beginning of each, and go on when all have begun."""
    begun = asyncio.Barrier(len(pulls))

    async def one(wanted: BlobPull) -> None:
        with socket.socket() as bare:
            bare.setblocking(False)
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE)
            await asyncio.get_running_loop().sock_connect(bare, ("127.0.0.1", wanted.port))
            reader, writer = await asyncio.open_connection(sock=bare, limit=_RECEIVE)
            writer.write(wanted.head)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            await begun.wait()
            left = wanted.size
            while piece := await reader.read(_RECEIVE):
                left -= len(piece)
            assert not left, (left, wanted)
            writer.close()
            await writer.wait_closed()

    async with asyncio.timeout(300):
        await asyncio.gather(*(one(wanted) for wanted in pulls))


def _forget_peak(process: int) -> float:
    """Let the kernel count the peak from now on, and return the resident size in MiB."""
    Path(f"/proc/{process}/clear_refs").write_text("5")
    return _status(process, "VmRSS:")


def _peak(process: int) -> float:
    return _status(process, "VmHWM:")


def _status(process: int, name: str) -> float:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith(name))
    return int(kibibytes) / 1024
