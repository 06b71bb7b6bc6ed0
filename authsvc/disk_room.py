"""Free disk space of a program, with watermarks: a shortage is reported before the disk is full, not after.

Redis ends itself when it cannot write its append-only file (``appendfsync always``; flushAppendOnlyFile in its aof.c),
and a restarted Redis ends again at the next write. So when less than a reserve is free, everything that can wait stops,
such as audit entries of decisions, and the reserve is kept for what cannot wait: revoking a license.
"""

import asyncio
import enum
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

MIB = 1024 * 1024

DEFAULT_RESERVE = 128
"""MiB that are reserved for writes that cannot wait."""

LOOK_EVERY = 1.0
"""Seconds between two measurements."""

HANGS_AFTER = 30.0
"""Seconds after which a disk that does not answer counts as hung, like a network file system whose server is down."""

LOW_AT = 2.0
"""A warning is given when no more than this many reserves are free."""

LEAVE = 1.25
"""Factor by which a watermark must be exceeded before it counts as passed again, so that the state does not flap."""


NOTHING = 65536
"""With fewer free bytes than this, no program runs for long."""


class Room(enum.Enum):
    """How much free space there is."""

    ENOUGH = "enough"
    LOW = "low"
    """Nothing has stopped yet."""
    FULL = "full"
    """Only the reserve is left: what can wait is not written."""
    UNKNOWN = "unknown"
    """The place of the disk is not configured, or it cannot be measured."""


@frozen
class Disk:
    """The file system of one folder. Sizes are bytes.

    Attributes:
        free: what a user without special rights can still write.
    """

    folder: Path
    free: int
    size: int


def measure(folder: Path) -> Disk:
    """Return the room on the file system of ``folder``.

    Raises:
        OSError: it cannot be measured.
    """
    facts = os.statvfs(folder)
    return Disk(folder, facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize)


def exhausted(folder: Path) -> str | None:
    """Return a sentence that the file system of ``folder`` is full, or None if it is not."""
    try:
        full = measure(folder).free < NOTHING
    except OSError:
        return None
    return f"{os.strerror(errno.ENOSPC)}: the disk of {folder} is full" if full else None


def room_on(free: int, reserve: int, before: Room) -> Room:
    """Return the state for ``free`` bytes and a ``reserve``; the state ``before`` decides between the watermarks."""
    full = reserve * (LEAVE if before is Room.FULL else 1)
    low = reserve * LOW_AT * (LEAVE if before in {Room.FULL, Room.LOW} else 1)
    return Room.FULL if free < full else Room.LOW if free < low else Room.ENOUGH


def share_disk(one: Sequence[Path], other: Sequence[Path]) -> bool:
    """Whether a folder of each is on the same file system, as far as that can be seen."""
    devices = []
    for folders in (one, other):
        try:
            devices.append({folder.stat().st_dev for folder in folders})
        except OSError:
            return False
    return bool(devices[0] & devices[1])


def describe_store(watch: "DiskWatch") -> str:
    """Return a sentence for people about the disk of Redis."""
    free = _describe_free(watch, "Redis")
    if watch.room is Room.FULL:
        return f"{free}, so the audit of token requests has stopped, and licenses can still be changed; make room there"
    return f"only {free}; make room there" if watch.room is Room.LOW else free


def describe_images(watch: "DiskWatch") -> str:
    """Return a sentence for people about the disk of the images."""
    free = _describe_free(watch, "the images")
    if watch.room in {Room.LOW, Room.FULL}:
        return f"only {free}, and pushes fail when it is full; make room there, or delete images and collect garbage"
    return free


def _describe_free(watch: "DiskWatch", whose: str) -> str:
    """Return how much is free, or why that is unknown: a whole sentence when there is nothing to do about it."""
    if watch.disk is None:
        return f"the disk of {whose} cannot be examined: {watch.error}"
    free = f"{watch.disk.free // MIB} MiB are free on the disk of {whose} ({watch.disk.folder})"
    return f"{free} again" if watch.room is Room.ENOUGH else free


class DiskWatch:
    """Watches the file systems of some folders; the fullest one counts."""

    def __init__(
        self, folders: Sequence[Path], reserve: int, on_change: Callable[["DiskWatch"], None] = lambda _: None
    ) -> None:
        """Watch ``folders``.

        Args:
            folders: on whose file systems there must be room; without any, there is always room.
            reserve: bytes.
            on_change: is called when the state (:class:`Room`) changes.
        """
        self.reserve = reserve
        self.room = Room.UNKNOWN
        self.disk: Disk | None = None
        """The fullest one at the last measurement."""
        self.error: str | None = None
        """Why the last measurement failed."""
        self._asked_at: float | None = None
        """When the measurement began that has not ended yet, by the clock of the event loop."""
        self._folders = folders
        self._on_change = on_change

    def has_room(self) -> bool:
        """Whether what can wait may be written."""
        return self.room is not Room.FULL

    def look(self) -> None:
        """Measure, and report a change."""
        self._judge(self._measure())

    async def keep_looking(self, after_look: Callable[[], None] = lambda: None) -> None:
        """Measure every second until cancelled; a disk that hangs blocks nothing else."""
        clock = asyncio.get_running_loop().time
        while True:
            self._asked_at = clock()
            found = await asyncio.to_thread(self._measure)
            self._asked_at = None
            self._judge(found)
            after_look()
            await asyncio.sleep(LOOK_EVERY)

    def hangs(self, now: float) -> bool:
        """Whether the disk has not answered for a long time; ``now`` is by the clock of the event loop."""
        return self._asked_at is not None and now - self._asked_at > HANGS_AFTER

    def _measure(self) -> Disk | OSError | None:
        try:
            return min(map(measure, self._folders), key=lambda disk: disk.free, default=None)
        except OSError as error:
            return error

    def _judge(self, found: Disk | OSError | None) -> None:
        before = self.room
        self.error = str(found) if isinstance(found, OSError) else None
        self.disk = None if isinstance(found, OSError) else found
        self.room = Room.UNKNOWN if self.disk is None else room_on(self.disk.free, self.reserve, before)
        # The first measurement is reported only if something is wrong.
        if self.room is not before and (before, self.room) != (Room.UNKNOWN, Room.ENOUGH):
            self._on_change(self)
