"""Cleans up after an earlier run that was killed: processes, sockets, files with process ids.

:mod:`authsvc.processes.parent_death` asks children to end with their supervisor, but they take a moment, and the kernel
forgets the request for a program with file capabilities. Two redis on one directory would destroy its data, so a start
waits until every child of the earlier run has ended.
"""

import asyncio
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from authsvc.errors import SetupRefused

_PAUSE = 0.05
"""Seconds between two checks."""

_LADDER = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
"""Signals and the seconds that each may take."""


async def clear(root: Path, run: Path, files: Iterable[Path] = ()) -> None:
    """End the children of an earlier run and remove its sockets and files with process ids.

    Args:
        root: the directory inside which they work.
        run: the folder of the sockets and of the files with process ids.
        files: other files of an earlier run, to be removed too.

    Raises:
        SetupRefused: a process does not end even when killed.
    """
    pid_files, sockets = _files_in(run)
    groups = {group for group in map(_read_group, pid_files) if group is not None}
    clock = asyncio.get_running_loop().time
    for signal_number, seconds in _LADDER:
        for pid in members(groups, root):
            with suppress(ProcessLookupError):
                os.kill(pid, signal_number)
        deadline = clock() + seconds
        while members(groups, root) and clock() < deadline:  # noqa: ASYNC110  no event announces their end
            await asyncio.sleep(_PAUSE)
    left = members(groups, root)
    if left:
        raise SetupRefused(f"process {left[0]} of an earlier run does not end; stop it, then start again")
    for path in (*pid_files, *sockets, *files):
        path.unlink(missing_ok=True)


def members(groups: set[int], root: Path) -> list[int]:
    """Return the processes of ``groups`` that work inside ``root``.

    Both must hold: process ids are reused, and any shell may have the directory as its working directory.
    """
    if not groups:
        return []
    # After a clean stop there is nothing to search for, so the command starts without importing it.
    import psutil  # noqa: PLC0415

    found, real = [], root.resolve()
    for pid in psutil.pids():
        with suppress(ProcessLookupError, psutil.Error):  # ended meanwhile, or another user's
            if os.getpgid(pid) in groups and Path(psutil.Process(pid).cwd()).is_relative_to(real):
                found.append(pid)
    return found


def _files_in(run: Path) -> tuple[list[Path], list[Path]]:
    return list(run.glob("*.pid")), list(run.glob("*.sock"))


def _read_group(path: Path) -> int | None:
    try:
        group = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return group if group > 1 else None
