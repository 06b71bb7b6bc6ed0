"""A log on standard error that may be renamed (rotated): its writer then continues in the new file of that name.

The program that renames it (:mod:`authsvc.processes.log_rotation`, or the operator's logrotate) notifies no process:
each writer checks the name itself, from time to time, before it writes.
"""

import os
import re
import stat
import time
from contextlib import suppress
from pathlib import Path

LOOK_AGAIN = 2.0
"""Seconds between two checks."""

STANDARD_OUTPUT = 1

_NUMBERED = re.compile(r"(.+\.log)\.[0-9]{1,3}", re.ASCII)
"""The name of a log that was rotated."""


class FollowedLog:
    """The file behind a descriptor, by the name that it has."""

    def __init__(self, descriptor: int) -> None:
        """Follow the file that ``descriptor`` refers to, if it is a file; it may have been rotated just now."""
        self._descriptor = descriptor
        self._path = _path_of(descriptor)
        self._looked = time.monotonic()

    def look(self) -> None:
        """Let the descriptor refer to the file that has the name now; if that fails, nothing changes."""
        now = time.monotonic()
        if self._path is None or now < self._looked + LOOK_AGAIN:
            return
        self._looked = now
        with suppress(OSError):
            self._reopen(self._path)

    def _reopen(self, path: Path) -> None:
        current, named = os.fstat(self._descriptor), path.lstat()
        if _same(current, named) or not stat.S_ISREG(named.st_mode):
            return
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not _same(os.fstat(opened), named):  # renamed again meanwhile
                return
            # dup2 is atomic: a concurrent write goes to one file or the other.
            if _same(os.fstat(STANDARD_OUTPUT), current):
                os.dup2(opened, STANDARD_OUTPUT)
            os.dup2(opened, self._descriptor)
        finally:
            os.close(opened)


def _path_of(descriptor: int) -> Path | None:
    try:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if not stat.S_ISREG(os.fstat(descriptor).st_mode) or not path.startswith("/"):
            return None
    except OSError:
        return None
    form = _NUMBERED.fullmatch(path)
    return Path(path if form is None else form[1])


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
