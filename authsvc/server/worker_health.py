"""Detects a worker that hangs: its event loop sends heartbeats, and the parent judges their absence.

Silence alone is not proof: on a loaded machine a healthy worker may not get the processor for a long time. So after
:data:`SILENCE` the kernel is asked what the worker's main thread, which runs the event loop, does:

- stopped (SIGSTOP, a debugger): it hangs;
- it has used :data:`BUSY` seconds of processor time since the last heartbeat: a loop that does not end;
- it was asleep at every check, without using any: it waits for an event that does not occur;
- anything else (it waits for the processor, or for the disk while the machine swaps): not yet, until :data:`PATIENCE`.

Time in which the parent itself did not run does not count: after a SIGSTOP of the parent, or when the whole machine
was suspended, each check adds at most :data:`LONGEST_STEP`, and heartbeats that arrived meanwhile are read first.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen

HEARTBEAT = 1.0
"""Seconds between two heartbeats of a worker."""

LOOK = 0.5
"""Seconds between two checks of the parent."""

LONGEST_STEP = 2 * LOOK
"""Most seconds of silence that one check adds."""

SILENCE = 5.0
"""Seconds without a heartbeat before the kernel is asked."""

BUSY = 4.0
"""Seconds of processor time after which an event loop that sent no heartbeat is blocked."""

PATIENCE = 60.0
"""Seconds without a heartbeat after which a worker counts as hung in any case."""

START_PATIENCE = 120.0
"""The same before the first heartbeat, while a worker starts."""

_STOPPED = frozenset("Tt")
_SLEEPING = frozenset("S")
_PROC = Path("/proc")
_TICKS_PER_SECOND = 100
"""USER_HZ, in which Linux reports processor time to user space on every architecture that Debian has."""


@frozen
class ThreadState:
    """The state of a thread as reported by the kernel.

    Attributes:
        letter: its state as in proc(5): ``R`` running or runnable, ``S`` sleeping, ``D`` in the disk, ``T`` stopped.
        processor: seconds of processor time that it has used.
    """

    letter: str
    processor: float


def main_thread(pid: int) -> ThreadState | None:
    """Return the state of a process' main thread, or None when it has ended.

    Read here and not with psutil, which has processor times of threads but no state of one: it would take two readings
    at different moments, of every thread, and 73 µs instead of 14.
    """
    try:
        text = (_PROC / str(pid) / "task" / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold spaces and parentheses itself (proc(5)).
    fields = text.rpartition(")")[2].split()
    return ThreadState(fields[0], (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND)


@define
class WorkerHealth:
    """Judges one worker by its heartbeats and by its state in the kernel.

    Attributes:
        look_at: returns the state of the worker's main thread.
        silent: seconds since the last heartbeat, without those in which the parent did not run.
    """

    look_at: Callable[[], ThreadState | None]
    silent: float = 0.0
    _started: bool = False
    _used_before: float | None = None
    _always_asleep: bool = True
    _last: ThreadState | None = field(default=None)

    def heartbeat(self) -> None:
        """Record a heartbeat."""
        self._started = True
        self.silent = 0.0
        self._used_before, self._always_asleep, self._last = None, True, None

    def step(self, elapsed: float) -> str | None:
        """Return why the worker counts as hung, or None.

        Args:
            elapsed: seconds since the last step, as the parent's clock has it.
        """
        self.silent += min(elapsed, LONGEST_STEP)
        state = self.look_at()
        if state is None:  # it has ended, which its exit code shows
            return None
        self._remember(state)
        return self._judge(state) if self.silent >= SILENCE else None

    def _judge(self, state: ThreadState) -> str | None:
        if state.letter in _STOPPED:
            return "it is stopped"
        if not self._started:
            return "it does not start" if self.silent >= START_PATIENCE else None
        if self._used_before is not None and state.processor - self._used_before >= BUSY:
            return "its event loop is busy with one thing"
        if self._always_asleep:
            return "its event loop waits for something that does not come"
        return "it does not respond" if self.silent >= PATIENCE else None

    def _remember(self, state: ThreadState) -> None:
        if self._used_before is None:
            self._used_before = state.processor
        idle = self._last is None or state.processor == self._last.processor
        if state.letter not in _SLEEPING or not idle:
            self._always_asleep = False
        self._last = state


async def kill_when_hung(
    process: asyncio.subprocess.Process, health: WorkerHealth, report: Callable[[float, str], None]
) -> None:
    """Kill a process whose event loop does not run; a stopped one obeys no other signal than SIGKILL.

    Args:
        process: to be watched until this is cancelled.
        health: judges its heartbeats.
        report: called with the seconds of silence and the reason before it is killed.
    """
    clock = asyncio.get_running_loop().time
    last = clock()
    while True:
        await asyncio.sleep(LOOK)
        last, elapsed = clock(), clock() - last
        why = health.step(elapsed)
        if why is not None:
            report(round(health.silent, 1), why)
            with suppress(ProcessLookupError):
                process.kill()
            return
