"""Keeping workers alive when the machine does not want to, with small programs in their place."""

import asyncio
import io
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import define, field

from authsvc.errors import SecretsRefused, SetupRefused
from authsvc.keys.authority import Authority
from authsvc.logs import make_logger
from authsvc.metrics.catalogue import WORKERS
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.processes.restarts import RestartPauses
from authsvc.server import worker_health, worker_pool
from authsvc.server.leaf_channel import LeafIssuer
from authsvc.server.reloads import ReloadResult, Reloads
from authsvc.server.worker_health import LOOK
from authsvc.server.worker_pool import GUESS_KEY_BYTES, WorkerContext, WorkerPool, make_shared_metrics
from tests.support.builders import NOW
from tests.support.waiting import PATIENCE, becomes

SERVES = f"""#!{sys.executable}
import os, sys, time
os.write(int(sys.argv[5]), b'{{"ready": true}}\\n')
time.sleep(60)
"""

GUESS_KEY = bytes(range(GUESS_KEY_BYTES))

READS_ITS_KEY = f"""#!{sys.executable}
import os, sys, time
key = sys.stdin.buffer.read()[:32]
told = repr((sys.argv, os.environ))
word = "right" if key == {GUESS_KEY!r} and key.hex() not in told and repr(key) not in told else "wrong"
with open(os.path.join(os.path.dirname(sys.argv[0]), word), "a") as file:
    file.write(f"{{os.getpid()}}\\n")
time.sleep(60)
"""

DEAF = f"""#!{sys.executable}
import os, signal, sys, time
def note(word):
    with open(os.path.join(os.path.dirname(sys.argv[0]), word), "a") as file:
        file.write(f"{{os.getpid()}}\\n")
signal.signal(signal.SIGTERM, lambda *_: note("asked"))
signal.signal(signal.SIGQUIT, signal.SIG_IGN)
note("listens")
while True:
    time.sleep(60)
"""


BEATS = f"""#!{sys.executable}
import os, signal, sys, time
def beat():
    os.write(int(sys.argv[5]), b'{{"heartbeat": true}}\\n')
beat()
os.write(int(sys.argv[5]), b'{{"ready": true}}\\n')
"""
"""A worker that sends one heartbeat; what it does then is put behind it."""

HANGS = {
    "it is stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "its event loop is busy with one thing": "while True: pass",
    "its event loop waits for something that does not come": "time.sleep(600)",
}
"""How a worker can hang, by what the log says about it."""

LIVES = """
while True:
    beat()
    until = time.process_time() + 0.3
    while time.process_time() < until: pass
"""


@define
class Stage:
    """A pool of one worker, and what happens around it.

    Attributes:
        program: what runs as a worker.
        context: of every generation.
    """

    program: Path
    context: WorkerContext
    log: io.StringIO
    stopping: asyncio.Event = field(factory=asyncio.Event)
    reloads: Reloads = field(factory=Reloads)
    refusal: SetupRefused | None = None

    def make_context(self) -> WorkerContext:
        """Return what the next generation gets."""
        if self.refusal is not None:
            raise self.refusal
        return self.context

    def play(self, program: str) -> None:
        """Run ``program`` as the next worker."""
        draft = self.program.with_suffix(".new")
        draft.write_text(program)
        draft.chmod(0o700)
        draft.replace(self.program)

    async def heard(self, event: str) -> None:
        """Wait until the log tells of ``event``."""
        await becomes(lambda: f'"{event}"' in self.log.getvalue(), f"{event} is logged")

    def noted(self, word: str) -> list[int]:
        """Return the processes that noted ``word``."""
        file = self.program.with_name(word)
        return sorted(map(int, file.read_text().split())) if file.exists() else []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the pool."""
        work = asyncio.create_task(
            WorkerPool(self.make_context, 1, self.context.logger).run(self.context, self.stopping, self.reloads)
        )
        try:
            yield
        finally:
            self.stopping.set()
            await asyncio.wait_for(work, PATIENCE)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Yield a stage on which nothing plays yet."""

    def no_keys() -> Authority:
        raise SecretsRefused("none here")

    log = io.StringIO()
    logger = make_logger("info", log)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "worker"))
    monkeypatch.setattr(worker_pool, "PAUSES", RestartPauses(first=0.05))
    shared = make_shared_metrics(1)
    with socket.create_server(("127.0.0.1", 0)) as edge, socket.create_server(("127.0.0.1", 0)) as inside:
        issuer = LeafIssuer(no_keys, NOW - NOW, lambda: NOW)
        yield Stage(
            tmp_path / "worker",
            WorkerContext(issuer, ListeningSockets(edge, inside), shared, 1, GUESS_KEY, {}, logger),
            log,
        )
    os.close(shared.descriptor)


async def test_a_worker_that_can_not_be_started_is_tried_again(stage: Stage) -> None:
    """No process or memory left on the machine now is no reason to be without workers for ever."""
    open_before = open_files()
    async with stage.running():
        await stage.heard("worker.not_started")
        await asyncio.sleep(0.3)
        assert open_files() <= open_before + 4
        stage.play(SERVES)
        await becomes(lambda: serving(stage), "a worker serves")


async def test_a_worker_reads_its_key_from_standard_input(stage: Stage) -> None:
    """The key that all workers of a server share comes first in a pipe that ends: not as an argument or variable."""
    stage.play(READS_ITS_KEY)
    async with stage.running():
        await becomes(lambda: stage.noted("right") or stage.noted("wrong"), "the worker has read its key")

    assert stage.noted("wrong") == []


async def test_an_end_during_a_roll_ends_both_generations_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two generations that obey nothing take the time of one: both are asked before either is killed."""
    monkeypatch.setattr(worker_pool, "GRACE", 3600.0)
    stage.play(DEAF)
    async with stage.running():
        await becomes(lambda: stage.noted("listens"), "the first generation listens")
        stage.reloads.request()
        await stage.heard("roll.started")
        await becomes(lambda: len(stage.noted("listens")) == 2, "the second generation listens")
        stage.stopping.set()
        await becomes(lambda: len(stage.noted("asked")) == 2, "both are asked to end")
        for pid in stage.noted("asked"):
            os.kill(pid, signal.SIGKILL)

    assert stage.noted("listens") == stage.noted("asked")


def open_files() -> int:
    """Return how many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def serving(stage: Stage) -> int:
    """Return how many workers say that they serve."""
    return sum(cells[0] for cells in stage.context.shared_metrics.cells(WORKERS, ()))


@pytest.mark.parametrize("why", HANGS)
async def test_a_worker_that_hangs_is_replaced(stage: Stage, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ignores SIGTERM, or cannot hear it; another one takes its place."""
    monkeypatch.setattr(worker_health, "SILENCE", 1.5)
    monkeypatch.setattr(worker_health, "BUSY", 0.5)
    stage.play(BEATS + HANGS[why])
    async with stage.running():
        await stage.heard("worker.hung")
        assert f'"error":"{why}"' in stage.log.getvalue()
        stage.play(BEATS + LIVES)
        await stage.heard("worker.died")
        await becomes(lambda: serving(stage), "a worker serves")


async def test_a_slow_worker_is_left_alone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is busy nearly all the time, and sends its heartbeats late, lives."""
    monkeypatch.setattr(worker_health, "SILENCE", 0.1)
    stage.play(BEATS + LIVES)
    async with stage.running():
        await becomes(lambda: serving(stage), "a worker serves")
        await asyncio.sleep(4 * LOOK)
        assert serving(stage) == 1
        assert "worker.hung" not in stage.log.getvalue()


async def test_who_asks_for_other_workers_hears_when_they_serve(stage: Stage) -> None:
    """The answer comes when the new ones serve and the old ones have ended."""
    stage.play(SERVES)
    async with stage.running():
        await becomes(lambda: serving(stage), "a worker serves")
        async with asyncio.timeout(PATIENCE):
            first = await asyncio.gather(*(stage.reloads.request_and_wait() for _ in range(2)))
        assert [ReloadResult(None, 1)] * 2 == first
        assert serving(stage) == 1


async def test_who_asks_hears_why_the_old_workers_stay(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unusable settings, new workers that do not serve, and the end of the server."""
    monkeypatch.setattr(worker_pool, "READY_WITHIN", 0.5)
    monkeypatch.setattr(worker_pool, "GRACE", 0.5)
    stage.play(SERVES)
    async with stage.running():
        await becomes(lambda: serving(stage), "a worker serves")
        async with asyncio.timeout(PATIENCE):
            stage.refusal = SetupRefused("a setting is wrong")
            assert ReloadResult("a setting is wrong", 1) == await stage.reloads.request_and_wait()
            stage.refusal = None
            stage.play(DEAF)
            assert "do not serve" in str((await stage.reloads.request_and_wait()).reason)
            monkeypatch.setattr(worker_pool, "READY_WITHIN", 60.0)
            asking = asyncio.create_task(stage.reloads.request_and_wait())
            await asyncio.sleep(0)
    assert "stopping" in str((await asking).reason)
