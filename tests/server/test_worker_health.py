"""Which silence of a worker is a reason to replace it, and which is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define

from authsvc.server.worker_health import (
    BUSY,
    LOOK,
    PATIENCE,
    SILENCE,
    START_PATIENCE,
    ThreadState,
    WorkerHealth,
    main_thread,
)
from tests.support.waiting import until


@define
class Thread:
    """A main thread that does what a test wants.

    Attributes:
        letter: its state.
        share: of the processor that it gets.
        used: seconds of processor time so far.
    """

    letter: str
    share: float = 0.0
    used: float = 100.0

    def look(self) -> ThreadState:
        """Return its state after one more look's time."""
        self.used += self.share * LOOK
        return ThreadState(self.letter, self.used)


def seconds_until_hung(thread: Thread, *, started: bool = True, limit: float = 200.0) -> tuple[float, str] | None:
    """Return after which silence a worker counts as hung, and why; None when it never does."""
    health = WorkerHealth(thread.look)
    if started:
        health.heartbeat()
    for number in range(1, int(limit / LOOK)):
        why = health.step(LOOK)
        if why is not None:
            return number * LOOK, why
    return None


@pytest.mark.parametrize(
    ("thread", "seconds", "why"),
    [
        (Thread("T"), SILENCE, "it is stopped"),
        (Thread("t"), SILENCE, "it is stopped"),
        (Thread("R", share=1.0), SILENCE, "its event loop is busy with one thing"),
        (Thread("R", share=0.25), BUSY / 0.25 + LOOK, "its event loop is busy with one thing"),
        (Thread("S"), SILENCE, "its event loop waits for something that does not come"),
        (Thread("R", share=0.01), PATIENCE, "it does not respond"),
        (Thread("D"), PATIENCE, "it does not respond"),
        (Thread("S", share=0.01), PATIENCE, "it does not respond"),
    ],
    ids=["stopped", "traced", "busy", "busy on a loaded machine", "blocked", "starved", "swapping", "nearly asleep"],
)
def test_silence_is_judged_by_what_the_worker_does(thread: Thread, seconds: float, why: str) -> None:
    """A worker that cannot run yet is not one that hangs."""
    judged = seconds_until_hung(thread)
    assert judged is not None
    assert judged[0] == pytest.approx(seconds, abs=LOOK)
    assert judged[1] == why


@pytest.mark.parametrize(("letter", "seconds"), [("T", SILENCE), ("S", START_PATIENCE), ("R", START_PATIENCE)])
def test_a_start_may_take_long(letter: str, seconds: float) -> None:
    """Before the first heartbeat a worker loads its code, perhaps from a slow disk; but a stopped one is stopped."""
    judged = seconds_until_hung(Thread(letter), started=False)
    assert judged is not None
    assert judged[0] == pytest.approx(seconds, abs=LOOK)


def test_heartbeats_keep_a_worker_alive() -> None:
    """One that is heard of is never judged, however busy it is."""
    health = WorkerHealth(Thread("R", share=1.0).look)
    for _ in range(500):
        health.heartbeat()
        assert [health.step(LOOK) for _ in range(int(SILENCE / LOOK) - 1)] == [None] * (int(SILENCE / LOOK) - 1)


def test_time_in_which_the_parent_was_stopped_does_not_count() -> None:
    """Nor does a suspended machine: after an hour the parent listens before it judges."""
    health = WorkerHealth(Thread("S").look)
    health.heartbeat()
    assert health.step(3600.0) is None
    health.heartbeat()
    assert health.step(LOOK) is None


def test_an_ended_worker_is_not_judged() -> None:
    """Its end is noticed by its exit code."""
    health = WorkerHealth(lambda: None)
    health.heartbeat()
    assert {health.step(LOOK) for _ in range(500)} == {None}


@contextmanager
def program(code: str) -> Iterator[int]:
    """Run a Python program and yield its process id once it has said so."""
    with subprocess.Popen((sys.executable, "-c", code), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


OTHER_THREAD_WORKS = """
import threading, time
print(flush=True)
threading.Thread(target=lambda: sum(iter(int, 1)), daemon=True).start()
time.sleep(600)
"""
"""As with Argon2id: the processor time of the process is not that of its event loop."""


def all_threads(pid: int) -> float:
    """Return the processor time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def state_of(pid: int) -> ThreadState:
    """Return the state of a process that runs."""
    state = main_thread(pid)
    assert state is not None
    return state


def test_the_kernel_is_understood() -> None:
    """A program that stops, one that sleeps, one that works, and one that is gone."""
    with program("import time; print(flush=True); time.sleep(600)") as pid:
        until(lambda: state_of(pid).letter == "S", "it sleeps")
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state_of(pid).letter == "T", "it is stopped")
    assert main_thread(pid) is None
    with program(OTHER_THREAD_WORKS) as pid:
        until(lambda: state_of(pid).letter == "S", "its main thread sleeps")
        before = state_of(pid).processor
        until(lambda: all_threads(pid) - before > 0.5, "the other thread works")
        assert state_of(pid).processor - before < 0.3
    with program("print(flush=True); sum(iter(int, 1))") as pid:
        before = state_of(pid).processor
        until(lambda: state_of(pid).processor > before + 0.1, "it works")
        assert state_of(pid).letter == "R"
