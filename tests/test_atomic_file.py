"""Files are written whole or not at all, with the permissions that were asked for, and one process at a time."""

import multiprocessing
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc import atomic_file

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True, params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run everything under three umasks, and return which."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file(tmp_path: Path, umask: int) -> None:
    """A private file is for its owner alone, a public one for all to read at most, and no draft is left."""
    atomic_file.replace(tmp_path / "a", b"private")
    atomic_file.replace(tmp_path / "b", b"public", mode=atomic_file.PUBLIC)
    assert atomic_file.create(tmp_path / "c", b"created")

    assert [b"private", b"public", b"created"] == [(tmp_path / name).read_bytes() for name in "abc"]
    assert [0o600, 0o644 & ~umask, 0o600] == [mode(tmp_path / name) for name in "abc"]
    assert 3 == len(list(tmp_path.iterdir()))


def test_a_file_that_is_there(tmp_path: Path, umask: int) -> None:
    """It is replaced with new permissions, or with its own when it is to keep them, and never by create."""
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o640)

    assert not atomic_file.create(path, b"new")
    assert "old" == path.read_text()
    atomic_file.replace(path, b"new", keep_mode=True)
    assert ("new", 0o640) == (path.read_text(), mode(path))
    atomic_file.replace(path, b"newer")
    assert ("newer", 0o600) == (path.read_text(), mode(path))


def test_links(tmp_path: Path) -> None:
    """A link is replaced itself; of what a person named, what it points to is written."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)

    atomic_file.write_output(link, b"new", mode=0o644)
    assert (True, "new") == (link.is_symlink(), target.read_text())
    atomic_file.replace(link, b"newer")
    assert (False, "new", "newer") == (link.is_symlink(), target.read_text(), link.read_text())
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    assert not atomic_file.create(link, b"x")


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """What is no file is not replaced by one: /dev/null stays a device when root names it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    atomic_file.write_output(pipe, b"text", mode=0o644)

    assert b"text" == os.read(reading, 10)
    assert pipe.is_fifo()
    os.close(reading)


def test_what_can_not_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    """A failure leaves what was there, and no draft."""
    (tmp_path / "folder" / "inside").mkdir(parents=True)

    with pytest.raises(OSError, match="folder"):
        atomic_file.replace(tmp_path / "folder", b"x")

    assert [tmp_path / "folder"] == list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk refuses, the old content is still there and the draft is not."""

    def refuse(_: int) -> None:
        raise OSError(28, os.strerror(28))

    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", refuse)

    with pytest.raises(OSError, match="No space left"):
        atomic_file.replace(path, b"new")

    assert "old" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def add_line(path: Path, number: int) -> None:
    """Read a file and write it with one more line, as a login does."""
    with atomic_file.locked([path.parent, path.parent.parent], 60):
        before = path.read_text() if path.exists() else ""
        atomic_file.replace(path, f"{before}{number}\n".encode())


def test_no_change_is_lost(tmp_path: Path) -> None:
    """Eight processes that each add a line: eight lines."""
    path = tmp_path / "folder" / "a"
    path.parent.mkdir()
    processes = [SPAWN.Process(target=add_line, args=(path, number)) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert sorted(map(str, range(8))) == sorted(path.read_text().split())
    assert [path] == list(path.parent.iterdir())


def test_a_lock_is_waited_for_only_so_long(tmp_path: Path) -> None:
    """Whoever does not get a folder is told which."""
    with (
        atomic_file.locked([tmp_path], 1),
        pytest.raises(TimeoutError, match=f"another process is changing files in {tmp_path}"),
        atomic_file.locked([tmp_path], 0.05),
    ):
        pass
    with atomic_file.locked([tmp_path], 0.05):
        pass


def test_leftovers(tmp_path: Path) -> None:
    """The draft of a killed process is removed; one that is being written, and every other file, stays."""
    left, other = tmp_path / ".a.json.0123456789abcdef", tmp_path / ".hidden.json"
    left.write_text("half")
    other.write_text("mine")

    with atomic_file._draft(tmp_path / "b", b"x", 0o600, sync=False) as draft:
        atomic_file.remove_leftovers(tmp_path)
        assert sorted([other, Path(draft)]) == sorted(tmp_path.iterdir())
