"""A log that is renamed while it is written: the next lines are in the file that has the name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from authsvc import followed_log
from authsvc.followed_log import FollowedLog
from tests.support.waiting import PATIENCE


@pytest.fixture(autouse=True)
def _at_every_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_log, "LOOK_AGAIN", 0.0)


def opened(path: Path) -> int:
    """Return a descriptor that appends to a file."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def test_lines_go_to_the_new_file(tmp_path: Path) -> None:
    """While there is none they go on in the old one, and none is lost."""
    log = tmp_path / "serve.log"
    descriptor = opened(log)
    followed = FollowedLog(descriptor)
    for step in range(4):
        if step == 1:
            log.rename(f"{log}.1")
        elif step == 2:
            log.touch()
        followed.look()
        os.write(descriptor, b"%d" % step)
    os.close(descriptor)

    assert (Path(f"{log}.1").read_text(), log.read_text()) == ("01", "23")


def test_a_process_that_begins_with_the_old_file_follows(tmp_path: Path) -> None:
    """A worker inherits a descriptor whose file may have been put aside just then."""
    log, older = tmp_path / "serve.log", tmp_path / "serve.log.1"
    descriptor = opened(older)
    log.touch()
    followed = FollowedLog(descriptor)
    followed.look()
    os.write(descriptor, b"new")
    os.close(descriptor)

    assert (older.read_text(), log.read_text()) == ("", "new")


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_only_a_file_is_followed(tmp_path: Path, kind: str) -> None:
    """Something else under the name is not opened: a link could lead anywhere, a pipe could block."""
    log, other = tmp_path / "serve.log", tmp_path / "other"
    descriptor = opened(log)
    followed = FollowedLog(descriptor)
    log.rename(f"{log}.1")
    other.touch()
    if kind == "link":
        log.symlink_to(other)
    elif kind == "fifo":
        os.mkfifo(log)
    else:
        log.mkdir()
    followed.look()
    os.write(descriptor, b"stays")
    os.close(descriptor)

    assert (Path(f"{log}.1").read_text(), other.read_text()) == ("stays", "")


def test_a_pipe_is_left_alone() -> None:
    """As in a container, where the engine reads it."""
    reading, writing = os.pipe()
    FollowedLog(writing).look()
    os.write(writing, b"x")
    assert os.read(reading, 10) == b"x"
    os.close(reading)
    os.close(writing)


def test_standard_output_goes_with_it(tmp_path: Path) -> None:
    """It is the same file under `up`, and what a library prints there belongs into the same log."""
    log = tmp_path / "serve.log"
    code = (
        "import os; from authsvc import followed_log as f; f.LOOK_AGAIN = 0\n"
        f"log = f.FollowedLog(2); os.rename({str(log)!r}, {str(log) + '.1'!r}); open({str(log)!r}, 'w').close()\n"
        "log.look(); os.write(1, b'out'); os.write(2, b'err')"
    )
    with log.open("ab") as file:
        subprocess.run([sys.executable, "-c", code], check=True, stdout=file, stderr=file, timeout=PATIENCE)

    assert log.read_text() == "outerr"
