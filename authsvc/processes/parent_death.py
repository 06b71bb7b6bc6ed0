"""Start a program that ends when its parent does.

Usage: ``python -I -S parent_death.py PARENT-PID PROGRAM ARGUMENT …``. Run by path as a program of its own, so it
imports the standard library only: the kernel's parent-death signal must be set between fork and exec, where
an interpreter with threads may not run Python code (``preexec_fn`` is the alternative, and its
documentation warns of deadlocks).

The signal is SIGTERM and not SIGKILL: nginx' workers outlive a killed master, but end with one that gets SIGTERM.
It is sent when the *thread* that forked ends (prctl(2)); the supervisor forks from its main thread, which
ends last.
"""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_OPEN_FILES = 65536


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, raise its limit of open files, and become the program."""
    parent, *program = arguments
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(parent):
        sys.exit("the parent ended before its child began")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    os.execv(program[0], program)  # noqa: S606  no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
