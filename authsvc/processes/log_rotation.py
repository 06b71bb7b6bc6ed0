"""Logs of limited size: a large one is renamed with a number at the end of its name, and a new file is begun.

``NAME.1`` is the newest of the older files. A writer keeps writing to the renamed file until it notices
(:mod:`authsvc.followed_log`), so no line is lost.
"""

import asyncio
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from authsvc import atomic_file

MAX_LOG = 10 * 1024 * 1024
"""Bytes above which a log is renamed."""

OLDER = 4
"""How many older files are kept."""

LOOK_AGAIN = 2.0
"""Seconds between two checks of the sizes."""


def rotate(log: Path) -> bool:
    """Rename a log that has grown large, and create an empty one; return whether that was done.

    Raises:
        OSError: the folder cannot be changed.
    """
    try:
        status = log.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size <= MAX_LOG:
        return False
    for number in range(OLDER, 1, -1):
        with suppress(FileNotFoundError):
            atomic_file.move(_older(log, number - 1), _older(log, number))
    atomic_file.give_second_name(log, _older(log, 1))
    atomic_file.replace(log, b"")  # so that there is always a file with this name
    return True


async def keep_rotating(logs: Mapping[Path, Callable[[], None]]) -> None:
    """Check ``logs`` until cancelled, and call the function of a log after it was renamed; its writer then follows."""
    while True:
        await asyncio.sleep(LOOK_AGAIN)
        for log, tell in logs.items():
            with suppress(OSError):  # a full disk: the next check tries again
                if await asyncio.to_thread(rotate, log):
                    tell()


def _older(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
