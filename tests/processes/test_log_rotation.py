"""Logs that grow large: put aside with a number, five files at most."""

import asyncio
from functools import partial
from pathlib import Path

from authsvc.processes import log_rotation
from authsvc.processes.log_rotation import MAX_LOG, rotate
from tests.support.waiting import becomes


def large(log: Path, mark: str) -> None:
    """Make a log that is a byte too large, with a mark in front."""
    log.write_bytes(mark.encode().ljust(MAX_LOG + 1, b"x"))


def marks(log: Path) -> dict[str, str]:
    """Return what the older logs begin with, by the number behind their name."""
    return {path.suffix[1:]: path.read_text()[:2] for path in sorted(log.parent.glob(f"{log.name}.*"))}


def test_only_a_large_log_is_put_aside(tmp_path: Path) -> None:
    """Up to the limit it stays, and a missing log is no error."""
    log = tmp_path / "test.log"
    assert not rotate(log)
    log.write_bytes(b"x" * MAX_LOG)
    assert not rotate(log)
    large(log, "m1")

    assert rotate(log)
    assert (log.read_bytes(), log.stat().st_mode & 0o777, marks(log)) == (b"", 0o600, {"1": "m1"})


def test_four_older_ones_are_kept(tmp_path: Path) -> None:
    """The youngest is number 1; what was number 4 is gone."""
    log = tmp_path / "test.log"
    for number in range(1, 8):
        large(log, f"m{number}")
        assert rotate(log)

    assert marks(log) == {"1": "m7", "2": "m6", "3": "m5", "4": "m4"}


def test_what_is_no_file_stays(tmp_path: Path) -> None:
    """A link is somebody's arrangement, whatever it leads to."""
    target, log = tmp_path / "elsewhere", tmp_path / "test.log"
    large(target, "m1")
    log.symlink_to(target)

    assert not rotate(log)
    assert (log.is_symlink(), marks(log)) == (True, {})


async def test_logs_are_looked_at_while_they_are_written(tmp_path: Path) -> None:
    """A folder that is missing at one look is there at another."""
    log = tmp_path / "later" / "test.log"
    told: list[Path] = []
    logs = {one: partial(told.append, one) for one in (tmp_path / "none.log", log)}
    looking = asyncio.create_task(log_rotation.keep_rotating(logs))
    log.parent.mkdir()
    large(log, "m1")
    await becomes(lambda: marks(log) == {"1": "m1"}, "the log is put aside")
    await becomes(lambda: told == [log], "its writer is told")
    looking.cancel()
