"""A person at a terminal: types a line into a shell, answers what it asks, reads what it says."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.stack import Ran
from tests.support.waiting import PATIENCE


def open_terminal() -> tuple[int, int]:
    """Open a pseudo-terminal and return both ends, or skip the test where the system has none to give."""
    try:
        return pty.openpty()
    except OSError:
        pytest.skip("this system has no pseudo-terminals (a container without /dev/pts)")


def type_line(
    line: str, *answers: str, environ: Mapping[str, str], cwd: Path, prompt: str = "", seconds: float = PATIENCE
) -> Ran:
    """Run ``line`` in bash on a terminal of its own, and type each of ``answers`` when ``prompt`` shows up.

    Everything is on one screen, so it is all in ``out``.
    """
    ours, theirs = open_terminal()
    try:
        shell = subprocess.Popen(
            ("bash", "--norc", "-c", line),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={**environ, "TERM": "dumb"},
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    screen = b""
    waiting = list(answers)
    deadline = time.monotonic() + seconds
    try:
        while True:
            if waiting and screen.rfind(prompt.encode()) >= 0:
                os.write(ours, f"{waiting.pop(0)}\n".encode())
            ready, _, _ = select.select([ours], [], [], 0.2)
            if ready:
                try:
                    screen += os.read(ours, 4096)
                except OSError:  # the last one who held the terminal is gone (EIO)
                    break
            assert time.monotonic() < deadline, (line, screen.decode(errors="replace"))
        code = shell.wait(max(1.0, deadline - time.monotonic()))
    finally:
        if shell.poll() is None:
            shell.kill()
            shell.wait(PATIENCE)
        os.close(ours)
    return Ran(code, screen.decode(errors="replace").replace("\r\n", "\n"), "")
