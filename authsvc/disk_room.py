"""Free space on the disk of a program, with watermarks: reported before the disk is full, not after.

Redis ends itself when it cannot write its append-only file (``appendfsync always``; flushAppendOnlyFile in its aof.c),
and a Redis that is started again is ended again by the next write. So below a reserve everything stops that can wait,
such as the audit's decisions, and the reserve is left to what cannot: revoking a license.
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
"""MiB that are left to what cannot wait."""

LOOK_EVERY = 1.0
"""Seconds between two looks."""

HANGS_AFTER = 30.0
"""Seconds after which a disk that does not answer is one that hangs, as a network file system whose server is gone."""

LOW_AT = 2.0
"""So many reserves, or less, are worth a warning."""

LEAVE = 1.25
"""So many times a watermark must be free again before it counts as passed: a disk at the mark does not flicker."""


NOTHING = 65536
"""Bytes with which no program gets far."""


class Room(enum.Enum):
    """How much room there is."""

    ENOUGH = "enough"
    LOW = "low"
    """Nothing stops yet."""
    FULL = "full"
    """Only the reserve is left: what can wait is not written."""
    UNKNOWN = "unknown"
    """Nobody said where the disk is, or it cannot be asked."""


@frozen
class Disk:
    """The file system of one folder. Sizes are bytes.

    Attributes:
        free: what a user without special rights may still write.
    """

    folder: Path
    free: int
    size: int


def measure(folder: Path) -> Disk:
    """Return the room on the file system of ``folder``.

    Raises:
        OSError: it cannot be asked.
    """
    facts = os.statvfs(folder)
    return Disk(folder, facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize)


def exhausted(folder: Path) -> str | None:
    """Return that the file system of ``folder`` is full, if it is."""
    try:
        full = measure(folder).free < NOTHING
    except OSError:
        return None
    return f"{os.strerror(errno.ENOSPC)}: the disk of {folder} is full" if full else None


def room_on(free: int, reserve: int, before: Room) -> Room:
    """Return how much room ``free`` bytes are for a ``reserve``, if there was as much as ``before``."""
    full = reserve * (LEAVE if before is Room.FULL else 1)
    low = reserve * LOW_AT * (LEAVE if before in {Room.FULL, Room.LOW} else 1)
    return Room.FULL if free < full else Room.LOW if free < low else Room.ENOUGH


def describe_images(watch: "DiskWatch") -> str:
    """Return what a person should know of the disk of the images."""
    disk = watch.disk
    if disk is None:
        return f"the disk of the images cannot be examined: {watch.error}"
    free = f"{disk.free // MIB} MiB are free on the disk of the images ({disk.folder})"
    if watch.room is Room.ENOUGH:
        return f"{free} again"
    return f"only {free}, and pushes fail when it is full; make room there, or delete images and collect garbage"


def share_disk(one: Sequence[Path], other: Sequence[Path]) -> bool:
    """Whether a folder of each are on one file system, as far as that can be seen."""
    devices = []
    for folders in (one, other):
        try:
            devices.append({folder.stat().st_dev for folder in folders})
        except OSError:
            return False
    return bool(devices[0] & devices[1])


def describe(watch: "DiskWatch") -> str:
    """Return what a person should know of the disk of Redis."""
    disk = watch.disk
    if disk is None:
        return f"the disk of Redis cannot be examined: {watch.error}"
    free = f"{disk.free // MIB} MiB are free on the disk of Redis ({disk.folder})"
    if watch.room is Room.FULL:
        return f"{free}, so the audit of token requests has stopped, and licenses can still be changed; make room there"
    return f"only {free}; make room there" if watch.room is Room.LOW else f"{free} again"


class DiskWatch:
    """Looks at the file systems of some folders; the fullest one counts."""

    def __init__(
        self, folders: Sequence[Path], reserve: int, on_change: Callable[["DiskWatch"], None] = lambda _: None
    ) -> None:
        """Watch ``folders``.

        Args:
            folders: on whose file systems there must be room; none are never full.
            reserve: bytes.
            on_change: hears of it when there is more or less room than before, as :class:`Room` counts.
        """
        self.reserve = reserve
        self.room = Room.UNKNOWN
        self.disk: Disk | None = None
        """The fullest, at the last look."""
        self.error: str | None = None
        """Why the last look failed."""
        self._asked_at: float | None = None
        """When a look began that has not ended, by the clock of the loop."""
        self._folders = folders
        self._on_change = on_change

    def has_room(self) -> bool:
        """Whether what can wait may be written."""
        return self.room is not Room.FULL

    def look(self) -> None:
        """Measure, and report a change."""
        self._judge(self._measure())

    async def keep_looking(self, after_look: Callable[[], None] = lambda: None) -> None:
        """Look every second until cancelled; a disk that hangs holds up nobody else."""
        clock = asyncio.get_running_loop().time
        while True:
            self._asked_at = clock()
            found = await asyncio.to_thread(self._measure)
            self._asked_at = None
            self._judge(found)
            after_look()
            await asyncio.sleep(LOOK_EVERY)

    def hangs(self, now: float) -> bool:
        """Whether the disk has not answered for a long time; ``now`` is by the clock of the loop."""
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
        # The first look is worth a word only if something is wrong.
        if self.room is not before and (before, self.room) != (Room.UNKNOWN, Room.ENOUGH):
            self._on_change(self)
