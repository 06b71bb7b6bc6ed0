"""Writes lines to a descriptor from a separate thread, so that no caller waits for a disk or for a reader.

A full disk refuses a write, and a pipe without a reader blocks it for ever; neither may affect the caller. Lines wait
in memory up to a limit. Lines that do not fit, or that cannot be written, are counted, and the first line that can be
written afterwards says how many are missing.
"""

import os
import select
import threading
from collections.abc import Callable

CAPACITY = 4 * 1024 * 1024
"""Most bytes that wait: enough for some seconds of a busy worker."""

GATHER = 0.02
"""Seconds for which lines are collected after the first one, to be written together."""

CHUNK = 64 * 1024
"""Most bytes of one write."""

STANDARD_ERROR = 2
"""The descriptor (unistd.h, ``STDERR_FILENO``)."""

PATIENCE = 1.0
"""Seconds between two attempts to write to a descriptor that another process has made non-blocking."""


class LogWriter:
    """A stream of text that never blocks and never raises. Its methods may be called from any thread."""

    def __init__(
        self,
        descriptor: int,
        lost_line: Callable[[int, str], str],
        on_lost: Callable[[int], None] = lambda _lost: None,
        capacity: int = CAPACITY,
        before_write: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin to write to ``descriptor``, which the caller still owns.

        Args:
            descriptor: to write to.
            lost_line: returns a line that says how many lines are missing, and why.
            on_lost: is called with the number of lines of each loss; never by two threads at once.
            capacity: most bytes that may wait.
            before_write: called by the writing thread before each write; it may let the descriptor refer to another
                file.
        """
        self._descriptor = descriptor
        self._lost_line = lost_line
        self._on_lost = on_lost
        self._capacity = capacity
        self._before_write = before_write
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._size = 0
        self._unsaid, self._why, self._is_torn = 0, "", False
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Queue one or more whole lines, or count them as lost."""
        with self._lock:
            if self._closing.is_set() or self._size + len(text) > self._capacity:
                self._lose(text.count("\n"), "nothing reads the log, or not fast enough")
                return
            first = not self._lines
            self._lines.append(text)
            self._size += len(text)
        if first:
            self._wake.set()

    def flush(self) -> None:
        """Do nothing: the thread writes the lines soon."""

    def close(self, seconds: float) -> bool:
        """Write the waiting lines and end; return whether that was done within ``seconds``. Later lines are lost."""
        self._closing.set()
        self._wake.set()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            self._closing.wait(GATHER)
            is_last = self._closing.is_set()
            with self._lock:
                lines, self._lines = self._lines, []
            text = "".join(lines)
            self._write_out(text)
            with self._lock:
                self._size -= len(text)
            if is_last:
                return

    def _write_out(self, text: str) -> None:
        """Write lines, preceded by the number of lines lost before; lines that cannot be written are lost."""
        if not text:
            return
        with self._lock:
            unsaid, why = self._unsaid, self._why
        notice = ("\n" if self._is_torn else "") + (self._lost_line(unsaid, why) if unsaid else "")
        self._before_write()
        data, said = f"{notice}{text}".encode("utf-8", "replace"), len(notice.encode("utf-8", "replace"))
        written, why = self._put(data)
        if written:
            self._is_torn = data[written - 1] != ord("\n")
        with self._lock:
            if written >= said:
                self._unsaid -= unsaid
            self._lose(data.count(b"\n", max(written, said)), why)

    def _put(self, data: bytes) -> tuple[int, str]:
        """Return how many bytes were written, and the error that prevented more."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left[:CHUNK]) :]
            except BlockingIOError:
                if self._closing.is_set():
                    return len(data) - len(left), "nothing reads the log"
                select.select([], [self._descriptor], [], PATIENCE)
            except OSError as error:
                return len(data) - len(left), error.strerror or type(error).__name__
        return len(data), ""

    def _lose(self, lines: int, why: str) -> None:
        """Count lost lines; the lock is held."""
        if lines:
            self._unsaid += lines
            self._why = why
            self._on_lost(lines)
