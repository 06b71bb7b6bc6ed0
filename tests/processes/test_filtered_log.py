"""A program whose log passes through the supervisor: noise is left out, nothing else is lost."""

import asyncio
import os
from pathlib import Path

import attrs

from authsvc.processes.filtered_log import PIECE, pass_on
from authsvc.processes.log_rotation import MAX_LOG, rotate
from authsvc.processes.process import ManagedProcess
from authsvc.setup.layout import Layout
from tests.processes.test_process import program
from tests.support.waiting import becomes


def is_noise(line: bytes) -> bool:
    """Return whether a line is left out."""
    return line.startswith(b"noise")


async def test_noise_is_left_out_and_the_rest_stays(tmp_path: Path) -> None:
    """Also lines that come in pieces, one without an end, and one longer than any buffer."""
    log = tmp_path / "test.log"
    reading, writing = os.pipe()
    passing = asyncio.create_task(pass_on(reading, log, is_noise))
    long = b"x" * (3 * PIECE)
    for piece in (b"one\nno", b"ise 1\ntwo\n", b"noise 2\n", long + b"\n", b"last"):
        await asyncio.to_thread(os.write, writing, piece)
    os.close(writing)
    await passing

    assert log.read_bytes() == b"one\ntwo\n" + long + b"\nlast"


async def test_the_log_may_be_renamed(tmp_path: Path) -> None:
    """What comes afterwards is in the new file."""
    log = tmp_path / "test.log"
    reading, writing = os.pipe()
    passing = asyncio.create_task(pass_on(reading, log, is_noise))
    os.write(writing, b"old\n")
    await becomes(log.exists, "the first line is there")
    with log.open("ab") as file:
        file.write(b"x" * MAX_LOG)
    assert rotate(log)
    os.write(writing, b"new\n")
    os.close(writing)
    await passing

    assert log.read_bytes() == b"new\n"


async def test_a_disk_that_refuses_holds_up_nobody(tmp_path: Path) -> None:
    """The lines are lost, and the program goes on."""
    log = tmp_path / "test.log"
    log.symlink_to("/dev/full")
    reading, writing = os.pipe()
    passing = asyncio.create_task(pass_on(reading, log, is_noise))
    for _ in range(10):
        await asyncio.to_thread(os.write, writing, b"line\n" * 10_000)
    os.close(writing)
    await passing


async def test_last_words_are_there_when_a_program_has_ended(layout: Layout) -> None:
    """Whoever looks into the log then finds why."""
    code = "import sys; print('noise', flush=True); sys.exit('No space left on device')"
    child = ManagedProcess(attrs.evolve(program(layout, code), is_noise=is_noise))
    await child.start()

    assert await child.ended() == 1
    assert child.last_words == "No space left on device"
    assert (layout.log / "test.log").read_text() == "No space left on device\n"
