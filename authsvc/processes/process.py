"""One supervised program: tied to the life of its parent, logged to a file, stopped step by step."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from authsvc import atomic_file
from authsvc.printable import printable
from authsvc.processes import parent_death
from authsvc.processes.filtered_log import pass_on
from authsvc.processes.stopping import Step, stop_process

_HURRIED = 1.0
"""Seconds for each step of a hurried stop."""

_FATAL = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOMEM),
    *(errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EPERM, errno.EADDRINUSE),
)
"""Errors of the system that end a program; their text in its log is more informative than the last line."""

_TAIL = 8192
"""Bytes of a log from which its last lines are taken."""


@frozen
class Program:
    """A program to start, and how to stop it."""

    name: str
    argv: tuple[str, ...]
    """The first is an absolute path."""
    environment: Mapping[str, str]
    folder: Path
    """Working directory: inside the data directory, by which ``stale_processes`` recognises it."""
    log: Path
    pid_file: Path
    ending: tuple[tuple[signal.Signals, float], ...]
    """Signals in order, each with the seconds it gets before the next one; SIGKILL follows by itself."""
    is_noise: Callable[[bytes], bool] | None = None
    """Selects lines that are left out of its log; None for a program that writes to the file itself."""
    descriptors: tuple[int, ...] = ()
    """Open files that the program inherits under the same numbers."""


class ManagedProcess:
    """A program and its process, if there is one. To be used in one event loop, in the main thread."""

    def __init__(self, program: Program) -> None:
        """Start nothing yet."""
        self.program = program
        self._process: asyncio.subprocess.Process | None = None
        self._log_before = 0
        self._passing: asyncio.Task[None] | None = None

    @property
    def last_words(self) -> str | None:
        """What the program's log says about its end, or None."""
        return cause_of_end(self.program.log, self._log_before)

    async def start(self) -> None:
        """Start the program.

        Raises:
            OSError: its log or its process id cannot be written, or no process can be made; none is left running.
        """
        program = self.program
        with suppress(FileNotFoundError):
            self._log_before = program.log.stat().st_size
        with os.fdopen(self._open_log(), "ab", buffering=0) as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                # The same interpreter without site-packages: it runs for some milliseconds.
                *("-I", "-S", parent_death.__file__, str(os.getpid())),
                *program.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=program.folder,
                env=dict(program.environment),
                pass_fds=program.descriptors,
                # A separate session: Ctrl-C reaches only the supervisor, which ends the children in order.
                start_new_session=True,
                umask=0o077,
            )
        try:
            atomic_file.replace(program.pid_file, f"{self._process.pid}\n".encode())
        except OSError:
            # Without the file a start after a kill would not find it, and the next try here would start a second one.
            self.send(signal.SIGKILL)
            await self.ended()
            raise

    def _open_log(self) -> int:
        """Return the file that the program writes to: its log, or a pipe that leads there."""
        program = self.program
        opened = os.open(program.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        if program.is_noise is None:
            return opened
        os.close(opened)
        reading, writing = os.pipe()
        self._passing = asyncio.create_task(pass_on(reading, program.log, program.is_noise))
        return writing

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal, if there is one."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the end and return the exit code, negative for a signal.

        Processes that it left running (workers of a killed master) are killed: they would occupy ports and files.
        """
        if self._process is None:
            raise RuntimeError(f"{self.program.name} was not started")
        code = await self._process.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._passing is not None:
            await asyncio.wait({self._passing}, timeout=_HURRIED)  # its last words
        self.program.pid_file.unlink(missing_ok=True)
        return code

    async def stop(self, hurry: asyncio.Event) -> None:
        """End the process, signal after signal; ``hurry`` shortens every wait to a second."""
        if self._process is None:
            return
        ended = asyncio.create_task(self.ended())
        try:
            steps = [Step(number, seconds, _HURRIED) for number, seconds in self.program.ending]
            await stop_process(self._process, ended, steps, hurry)
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)


def last_lines(log: Path, count: int = 5, since: int = 0) -> list[str]:
    """Return the last lines of a log behind the byte ``since``, without control characters."""
    try:
        with log.open("rb") as file:
            size = log.stat().st_size
            file.seek(max(0, size - _TAIL, since if since <= size else 0))  # a smaller log was renamed meanwhile
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [printable(line) for line in lines[-count:]]


def cause_of_end(log: Path, since: int) -> str | None:
    """Return the line of its log in which a program most likely said why it ended.

    Args:
        log: of the program.
        since: the log's size when the program was started; older lines are an earlier process'.
    """
    lines = [line for line in last_lines(log, 20, since) if line.strip()]
    telling = [line for line in lines if any(os.strerror(number) in line for number in _FATAL)]
    return next(reversed(telling or lines), None)


def describe_exit(code: int) -> str:
    """Return how a process ended, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
