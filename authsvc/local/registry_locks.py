"""The two locks by which no garbage is collected while a registry writes.

A registry that writes shares ``run/registry-writes-lock`` for as long as its process lives. A garbage collection holds
``run/gc-lock``, at which ``authsvc up`` ends that registry and runs a read-only one, and it begins when it holds
``run/registry-writes-lock`` alone, which keeps every registry from writing.

The locks are the kernel's (flock(2)): they end with the processes that have the files open, however those end.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def hold_alone(path: Path) -> int | None:
    """Return the open file that holds the lock until it is closed, or None when another process holds it."""
    return _hold(path, fcntl.LOCK_EX)


@contextmanager
def shared(path: Path) -> Iterator[int | None]:
    """Yield the open file that shares the lock, or None when a process holds it alone.

    A process that inherits the file keeps its share when the block ends.
    """
    descriptor = _hold(path, fcntl.LOCK_SH)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_held_alone(path: Path) -> bool:
    """Return whether a process holds the lock alone now.

    The look itself shares the lock for a moment, so a process that wants it alone has to try again.
    """
    with shared(path) as descriptor:
        return descriptor is None


def _hold(path: Path, operation: int) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
