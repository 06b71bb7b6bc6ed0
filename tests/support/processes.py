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


def workers_of(serve: int) -> list[int]:
    """Return the workers of a server, given its process id."""
    return [child for child in children_of(serve) if _runs(child, b"authsvc.server.worker")]


def key_service_of(serve: int) -> int | None:
    """Return the key service of a server, or None while there is none."""
    return next((child for child in children_of(serve) if _runs(child, b"authsvc.server.key_service")), None)


def _runs(pid: int, module: bytes) -> bool:
    try:
        return module in (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def is_alive(pid: int) -> bool:
    """Whether ``pid`` still runs; a zombie does not."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
