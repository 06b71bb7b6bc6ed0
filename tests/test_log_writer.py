"""The log's writer: it neither waits nor raises, whatever becomes of its lines, and says how many it lost."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc.log_writer import LogWriter
from tests.support.waiting import until

FULL = Path("/dev/full")
"""A device that refuses each write as a full disk does (full(4))."""


def lost_line(lost: int, why: str) -> str:
    """Return what stands for lost lines."""
    return f"lost {lost}: {why}\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Yield a pipe, end to read from first."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def switched(writer_descriptor: int, path: Path) -> None:
    """Let a descriptor lead somewhere else, as when a disk has room again."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, writer_descriptor)
    os.close(descriptor)


def test_lines_come_in_order_and_the_end_waits_for_them(tmp_path: Path) -> None:
    """Everything that was written before the end is there after it."""
    with (tmp_path / "log").open("w") as file:
        writer = LogWriter(file.fileno(), lost_line)
        for number in range(5000):
            writer.write(f"{number}\n")
        assert writer.close(60)
        writer.write("too late\n")

    assert [str(number) for number in range(5000)] == (tmp_path / "log").read_text().splitlines()


def test_a_full_disk_costs_its_lines_and_nothing_else(tmp_path: Path) -> None:
    """Refused lines are counted; the first line on a disk that takes some again says how many and why."""
    lost: list[int] = []
    descriptor = os.open(FULL, os.O_WRONLY)
    writer = LogWriter(descriptor, lost_line, lost.append)
    for number in range(100):
        writer.write(f"{number}\n")
    until(lambda: sum(lost) == 100, "all lines are lost")
    switched(descriptor, tmp_path / "log")
    writer.write("again\n")
    assert writer.close(60)
    os.close(descriptor)

    assert "lost 100: No space left on device\nagain\n" == (tmp_path / "log").read_text()


def test_a_pipe_that_nobody_reads_holds_nobody_up(pipe: tuple[int, int]) -> None:
    """Lines wait up to a limit, further ones are lost at once, and the end does not wait for ever."""
    lost: list[int] = []
    writer = LogWriter(pipe[1], lost_line, lost.append, capacity=200_000)
    for _ in range(10_000):
        writer.write("x" * 99 + "\n")

    assert sum(lost) == 10_000 - 2_000
    assert not writer.close(0.1)
    assert len(os.read(pipe[0], 1024)) == 1024  # lets the thread go on, and end


def test_a_pipe_that_is_read_again_says_what_is_missing(pipe: tuple[int, int]) -> None:
    """Nothing but the lost lines is missing, and their number is said, at once or in parts."""
    lost: list[int] = []
    writer = LogWriter(pipe[1], lost_line, lost.append, capacity=100_000)
    for number in range(20_000):
        writer.write(f"{number:09}\n")
    kept = 20_000 - sum(lost)
    seen = b""
    while seen.count(b"\n0") < kept - 1:
        seen += os.read(pipe[0], 65536)
    until(lambda: writer._size == 0, "what was read makes room")
    writer.write("again\n")
    while not seen.endswith(b"again\n"):
        seen += os.read(pipe[0], 65536)
    writer.close(60)

    *lines, again = seen.decode().splitlines()
    notices = [line for line in lines if line.startswith("lost")]
    numbers = [line for line in lines if not line.startswith("lost")]
    assert ("again", kept) == (again, len(numbers))
    assert sorted(set(numbers)) == numbers
    parts = [notice.removeprefix("lost ").partition(": ") for notice in notices]
    assert {"nothing reads the log, or not fast enough"} == {why for _, _, why in parts}
    assert 20_000 - kept == sum(int(number) for number, _, _ in parts)


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    """Standard error is shared with others, who may set it to non-blocking: no line is lost for that."""
    os.set_blocking(pipe[1], False)
    lost: list[int] = []
    writer = LogWriter(pipe[1], lost_line, lost.append)
    for number in range(20_000):
        writer.write(f"{number:09}\n")
    seen = b""
    while seen.count(b"\n") < 20_000:
        seen += os.read(pipe[0], 65536)

    assert writer.close(60)
    assert (b"000019999", []) == (seen.splitlines()[-1], lost)


def test_a_torn_line_is_ended_before_the_next(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A disk that fills up in the middle of a line leaves half of it; what comes later begins on a line of its own."""
    write = os.write
    room = [7, 0]

    def fills_up(descriptor: int, data: memoryview) -> int:
        if not room:
            return write(descriptor, data)
        if not (left := room.pop(0)):
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:left])

    lost: list[int] = []
    monkeypatch.setattr("os.write", fills_up)
    with (tmp_path / "log").open("w") as file:
        writer = LogWriter(file.fileno(), lost_line, lost.append)
        writer.write("first\nsecond\nthird\n")
        until(lambda: lost, "lines are lost")
        writer.write("fourth\n")
        assert writer.close(60)

    assert "first\ns\nlost 2: No space left on device\nfourth\n" == (tmp_path / "log").read_text()
