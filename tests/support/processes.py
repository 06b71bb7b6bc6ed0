"""Looking at processes: who started whom, and who is still there."""

from pathlib import Path

PROC = Path("/proc")


def children_of(pid: int) -> list[int]:
    """Return the processes that ``pid`` started."""
    try:
        return [int(child) for child in (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()]
    except OSError:
        return []


def family_of(pid: int) -> list[int]:
    """Return ``pid`` and everything below it."""
    return [pid, *(member for child in children_of(pid) for member in family_of(child))]


def is_alive(pid: int) -> bool:
    """Whether ``pid`` still runs; a zombie does not."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
