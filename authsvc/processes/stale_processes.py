"""What an earlier run left behind when it was killed: processes, sockets, process ids.

``leash`` asks children to end with their supervisor, but they take a moment, and the kernel forgets the wish
for a program with file capabilities. Two redis on one directory would be the end of its data, so a start
waits until every child of the earlier run is gone.
"""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from authsvc.errors import SetupRefused
from authsvc.setup.layout import Layout

_PROC = Path("/proc")
_PAUSE = 0.05
"""Seconds between two looks."""

_LADDER = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
"""Signals and the seconds that each may take."""


async def clear(layout: Layout) -> None:
    """End the children of an earlier run and remove its sockets and process ids.

    Raises:
        SetupRefused: a process does not end even when killed.
    """
    pid_files = list(layout.run.glob("*.pid"))
    groups = {group for group in map(_read_group, pid_files) if group is not None}
    clock = asyncio.get_running_loop().time
    for signal_number, seconds in _LADDER:
        for pid in members(groups, layout.root):
            with suppress(ProcessLookupError):
                os.kill(pid, signal_number)
        deadline = clock() + seconds
        while members(groups, layout.root) and clock() < deadline:  # noqa: ASYNC110  no event tells of their end
            await asyncio.sleep(_PAUSE)
    left = members(groups, layout.root)
    if left:
        raise SetupRefused(f"process {left[0]} of an earlier run does not end; stop it, then start again")
    for path in (*pid_files, *layout.run.glob("*.sock"), layout.edge_address, layout.inside_address):
        path.unlink(missing_ok=True)


def members(groups: set[int], root: Path) -> list[int]:
    """Return the processes of ``groups`` that work inside ``root``.

    Both must hold: a process id is used again some day, and somebody's shell may stand in the directory.
    """
    if not groups:
        return []
    real = root.resolve()
    return [
        int(folder.name)
        for folder in _PROC.iterdir()
        if folder.name.isdecimal() and _group_of(folder) in groups and _works_inside(folder, real)
    ]


def _read_group(path: Path) -> int | None:
    try:
        group = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return group if group > 1 else None


def _group_of(folder: Path) -> int | None:
    try:
        stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command in parentheses may hold spaces and parentheses itself (proc(5)).
    state, _, group = stat.rpartition(")")[2].split()[:3]
    return None if state == "Z" else int(group)


def _works_inside(folder: Path, root: Path) -> bool:
    try:
        return (folder / "cwd").readlink().is_relative_to(root)
    except OSError:
        return False
