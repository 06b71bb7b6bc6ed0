"""Free ports that no other test takes, in whatever process it runs."""

import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

PORTS = range(20000, 32000)
"""Below the ports that the kernel gives to outgoing connections (ip_local_port_range begins at 32768)."""


@cache
def _reservations() -> tuple[int, set[int]]:
    """Return a file of which each process of tests locks one byte per port, and what this process has locked.

    The kernel gives a lock back when its process ends; within one process a lock refuses nothing.
    """
    file = Path(tempfile.gettempdir()) / f"authsvc-test-ports-{os.getuid()}"
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), set()


def _reserve(port: int) -> bool:
    descriptor, mine = _reservations()
    if port in mine:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    mine.add(port)
    return True


def free_port() -> int:
    """Return a port that nobody listens on, on either loopback address, and that no test gets as long as this one runs.

    What is to listen there starts later: without a reservation, a test beside this one may be given the same port.
    """
    while True:
        port = random.choice(PORTS)
        with socket.socket() as four, socket.socket(socket.AF_INET6) as six:
            try:
                four.bind(("127.0.0.1", port))
                six.bind(("::1", port))
            except OSError:
                continue
        if _reserve(port):
            return port
