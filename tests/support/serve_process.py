"""A real ``authsvc serve`` as a process of its own, as on a host where nothing else of authsvc runs."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import frozen

from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, becomes


@frozen
class Served:
    """A running server.

    Attributes:
        edge: port of the listener for nginx.
        inside: port of the listener for the registry and operators.
        process: the parent of its worker.
    """

    edge: int
    inside: int
    process: asyncio.subprocess.Process


@asynccontextmanager
async def serving(environ: Mapping[str, str], log: Path) -> AsyncIterator[Served]:
    """Yield a server with one worker once it serves; what it says is added to ``log``.

    Raises:
        AssertionError: it ended before it served, with what it said.
    """
    edge, inside = free_port(), free_port()
    before = log.stat().st_size if log.exists() else 0
    with log.open("a", encoding="utf-8") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "authsvc", "serve", "--workers", "1"),
            *("--edge", f"127.0.0.1:{edge}", "--inside", f"127.0.0.1:{inside}"),
            env=dict(environ),
            stderr=file,
        )

    def serves() -> bool:
        said = log.read_bytes()[before:].decode()
        assert process.returncode is None, f"it ended with {process.returncode}: {said}"
        return "worker.started" in said

    try:
        await becomes(serves, "the server serves")
        yield Served(edge, inside, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE)
