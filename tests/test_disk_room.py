"""Watermarks of a disk: when it is low, when it is full, and that it does not flicker at the mark."""

import asyncio
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.disk_room import (
    HANGS_AFTER,
    MIB,
    Disk,
    DiskWatch,
    Room,
    describe_images,
    describe_store,
    measure,
    room_on,
    share_disk,
)
from tests.support.waiting import PATIENCE

RESERVE = 100
TERABYTE = 10**12


@pytest.mark.parametrize(
    ("free", "before", "expected"),
    [
        (0, Room.ENOUGH, Room.FULL),
        (99, Room.ENOUGH, Room.FULL),
        (100, Room.ENOUGH, Room.LOW),
        (199, Room.UNKNOWN, Room.LOW),
        (200, Room.ENOUGH, Room.ENOUGH),
        (124, Room.FULL, Room.FULL),
        (125, Room.FULL, Room.LOW),
        (249, Room.LOW, Room.LOW),
        (250, Room.LOW, Room.ENOUGH),
        (250, Room.FULL, Room.ENOUGH),
    ],
)
def test_the_marks(free: int, before: Room, expected: Room) -> None:
    """Below the reserve it is full, below two it is low, and a quarter more must be free again to pass a mark."""
    assert expected is room_on(free, RESERVE, before)


@given(free=st.integers(0, 1000), before=st.sampled_from(Room))
def test_a_disk_that_does_not_change_does_not_flicker(free: int, before: Room) -> None:
    """A second look at the same disk says the same."""
    once = room_on(free, RESERVE, before)
    assert once is room_on(free, RESERVE, once)


def test_the_fullest_disk_counts(tmp_path: Path) -> None:
    """Of several file systems the one with the least room decides."""
    folders = [tmp_path, Path("/dev"), Path("/proc")]
    watch = DiskWatch(folders, 1)
    watch.look()

    assert watch.disk is not None
    assert watch.disk.free <= min(measure(folder).free for folder in folders)


def test_only_changes_are_told(tmp_path: Path) -> None:
    """A disk with room is worth no word at the start; a full one is, once."""
    told: list[str] = []
    watch = DiskWatch((tmp_path,), 1, lambda watch: told.append(describe_store(watch)))
    watch.look()
    assert ([], True) == (told, watch.has_room())

    watch.reserve = 1000 * TERABYTE
    watch.look()
    watch.look()
    assert not watch.has_room()
    (word,) = told
    assert str(tmp_path) in word
    assert "the audit of token requests has stopped, and licenses can still be changed" in word

    watch.reserve = MIB
    watch.look()
    assert watch.has_room()
    assert told[1].endswith("again")


def test_the_disk_of_the_images_has_words_of_its_own(tmp_path: Path) -> None:
    """They say what fails and what helps, and nothing of the audit."""
    told: list[str] = []
    watch = DiskWatch((tmp_path,), 1000 * TERABYTE, lambda watch: told.append(describe_images(watch)))
    watch.look()
    watch.reserve = MIB
    watch.look()
    full, again = told
    assert full.startswith("only ")
    assert f"the disk of the images ({tmp_path}), and pushes fail when it is full; make room there" in full
    assert again.endswith("again")


def test_folders_of_one_disk(tmp_path: Path) -> None:
    """Folders beside each other share it; those of another file system, and those that are gone, do not."""
    near, far = tmp_path / "near", Path("/proc")
    near.mkdir()
    assert share_disk((tmp_path,), (far, near))
    assert not share_disk((tmp_path,), (far,))
    assert not share_disk((tmp_path,), (tmp_path / "gone",))
    assert not share_disk((), (tmp_path,))


async def test_a_disk_that_does_not_answer_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a network file system does whose server is gone: what the last look found is old."""
    asked, may_answer = threading.Event(), threading.Event()

    def slow(folder: Path) -> Disk:
        asked.set()
        assert may_answer.wait(PATIENCE)
        return Disk(folder, TERABYTE, TERABYTE)

    monkeypatch.setattr("authsvc.disk_room.measure", slow)
    watch, clock = DiskWatch((tmp_path,), 1), asyncio.get_running_loop().time
    looking = asyncio.create_task(watch.keep_looking())
    assert await asyncio.to_thread(asked.wait, PATIENCE)
    assert not watch.hangs(clock())
    assert watch.hangs(clock() + HANGS_AFTER + 1)
    may_answer.set()
    async with asyncio.timeout(PATIENCE):
        while watch.room is Room.UNKNOWN:
            await asyncio.sleep(0.01)
    assert not watch.hangs(clock())
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


def test_what_cannot_be_looked_at_stops_nothing(tmp_path: Path) -> None:
    """A folder that is gone is told of, and is no full disk; neither is one that nobody named."""
    told: list[str] = []
    watch = DiskWatch((tmp_path / "gone",), 1, lambda watch: told.append(describe_store(watch)))
    watch.look()
    assert (Room.UNKNOWN, True) == (watch.room, watch.has_room())
    assert "No such file" in str(watch.error)

    nobody = DiskWatch((), 1)
    nobody.look()
    assert (Room.UNKNOWN, True, None) == (nobody.room, nobody.has_room(), nobody.error)
