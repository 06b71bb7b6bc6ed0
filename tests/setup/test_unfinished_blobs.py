"""What an nginx that was killed leaves of blobs that were still arriving: it would fill the disk for ever."""

import asyncio
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from authsvc.setup.pull_through import remove_unfinished
from tests.compose.engine import ROOT
from tests.support.linked_front import BLOB, Pulls, running_pulls, whole
from tests.support.stack import GOOD_PATH
from tests.support.waiting import PATIENCE, becomes


def by_script(folder: Path) -> None:
    """Start nginx as Compose does, with something else in its place."""
    (folder / "bin").mkdir()
    stub = folder / "bin/nginx"
    stub.write_text("#!/bin/sh\n")
    stub.chmod(stat.S_IRWXU)
    script = (ROOT / "registry-config/nginx.sh").read_text().replace("/etc/authsvc", f"'{folder}'")
    command = ["sh", "-c", script]
    subprocess.run(command, env={"PATH": f"{folder}/bin:{GOOD_PATH}"}, check=True, timeout=PATIENCE)


def by_up(folder: Path) -> None:
    """Do what ``authsvc up`` does before it starts nginx."""
    remove_unfinished(folder / "cache")


def cached(folder: Path) -> set[str]:
    """Return the names of the files in the cache."""
    return {file.name for file in (folder / "cache").rglob("*") if file.is_file()}


async def has_left(pulls: Pulls, folder: Path) -> set[str]:
    """Kill nginx' workers while a blob arrives; return what is in the cache then."""
    begun = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole(BLOB)[:-10])
        begun.set()
        await reader.read()
        writer.close()

    before = cached(folder)
    async with await asyncio.start_server(slow, "127.0.0.1", 0) as server:
        pulls.linked.port, pulls.key = server.sockets[0].getsockname()[1], "unfinished"
        pull = asyncio.ensure_future(pulls.get())
        await begun.wait()
        await becomes(lambda: cached(folder) - before, "a part of the blob in the cache")
        for worker in psutil.Process(int((folder / "nginx.pid").read_text())).children():
            worker.kill()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await pull
    return cached(folder) - before


@pytest.mark.parametrize("cleaned", [by_up, by_script])
async def test_unfinished_blobs_are_removed(folder: Path, free_port: int, cleaned: Callable[[Path], None]) -> None:
    """Whole ones stay."""
    async with running_pulls(folder, free_port) as pulls:
        await pulls.get()
        (whole_one,) = await becomes(lambda: cached(folder), "the blob in the cache")
        assert len(await has_left(pulls, folder)) == 1
        cleaned(folder)

    assert cached(folder) == {whole_one}
