"""The pool of worker processes of one server: kept running, and replaced a generation at a time.

A new generation serves before the old one stops accepting, on the same sockets, and the old one ends when its
connections have. So neither a new configuration nor a new version of the program costs a request.
"""

import asyncio
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from attrs import Factory, define, field, frozen

from authsvc.errors import SetupRefused
from authsvc.logs import Logger
from authsvc.metrics.catalogue import WORKER_DEATHS, WORKERS, SlotLayout
from authsvc.metrics.shared_metrics import SharedMetrics
from authsvc.processes.connected import run_connected
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.processes.restarts import RestartPauses, keep_running
from authsvc.processes.stopping import Step
from authsvc.processes.waiting import first_of
from authsvc.server.key_process import KeyServiceProcess
from authsvc.server.leaf_channel import LeafIssuer
from authsvc.server.reloads import ReloadResult, Reloads, answer
from authsvc.server.worker_health import WorkerHealth, kill_when_hung, main_thread

PAUSES = RestartPauses()
"""Before a worker that ended is started again."""

GRACE = 15.0
"""Seconds that a worker gets to end; longer than its requests get."""

DRAIN = 40.0
"""Seconds in which a replaced worker waits for its connections to end; longer than nginx keeps an idle one."""

READY_WITHIN = 60.0
"""Seconds in which a new generation must serve, or the old one stays."""

GUESS_KEY_BYTES = 32
"""Length of the key under which workers recognise wrong passwords that are tried again. A server draws it when it
starts, and it goes to each worker on standard input: it is in no file, no environment and no argument."""

EVENT_BEARERS = "event_bearers"
"""Among the settings on a worker's standard input: SHA-256 of each bearer that the registry may show, hexadecimal,
joined by spaces. A parent of an earlier version sends none."""

NGINX_SECRETS = "nginx_secrets"
"""The same of each secret that nginx may show."""

NONE = -1
"""In the place of the descriptor of what a worker does not get: a channel to the key service, a unix socket."""

STOP, LEAVE = signal.SIGTERM, signal.SIGQUIT
"""To a worker: end now, or end when there are no connections any more."""

WORKER_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1024 * 1024), "MALLOC_ARENA_MAX": "1"}
"""glibc's malloc keeps what it once gave out in blocks below a limit that it raises by itself, up to 32 MiB, and in
one arena per thread (mallopt(3)). Argon2id takes 19 MiB for each password; with these it goes back when it is done:
85 MiB became 77 in a worker that had served 10,000 licenses and some members."""


@frozen
class WorkerContext:
    """The data that a generation of workers shares.

    Attributes:
        issuer: gives certificates.
        listeners: what they accept on.
        shared_metrics: where they count.
        threads: how many passwords each may check at once.
        guess_key: what they recognise wrong passwords under.
        settings: the texts of their settings, as they were read when the generation began: a worker that is restarted
            uses them, even if a file has changed by then.
        logger: the server's.
        keys: the key service, or None when it runs in another container.
        event_bearers: SHA-256 of each bearer that the registry may show with its events.
        nginx_secrets: SHA-256 of each secret that nginx may show for pulls of linked registries.
    """

    issuer: LeafIssuer
    listeners: ListeningSockets
    shared_metrics: SharedMetrics
    threads: int
    guess_key: bytes
    settings: Mapping[str, str] = field(repr=False)
    logger: Logger
    keys: KeyServiceProcess | None = None
    event_bearers: tuple[bytes, ...] = ()
    nginx_secrets: tuple[bytes, ...] = ()


@define(eq=False, repr=False)
class WorkerProcess:
    """Keeps one worker running until it is stopped.

    Attributes:
        context: what the worker gets.
        number: of the worker, for the log.
        index: of its slot in the shared metrics.
        ready: set once a worker serves.
    """

    context: WorkerContext
    number: int
    index: int
    ready: asyncio.Event = field(factory=asyncio.Event)
    _stopping: asyncio.Event = field(factory=asyncio.Event)
    _hurry: asyncio.Event = field(factory=asyncio.Event)
    _draining: bool = False

    def drain(self) -> None:
        """Let the worker end when its connections have, within :data:`DRAIN`."""
        self._draining = True
        self._stopping.set()

    def stop(self) -> None:
        """End the worker within :data:`GRACE`, also while it drains."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def run(self) -> None:
        """Run a worker, and another one whenever it ends, until it is drained or stopped."""
        await keep_running(self._run_once, self._stopping, self._report, PAUSES)

    async def _run_once(self) -> int:
        slot, keys = self.context.shared_metrics.slot(self.index), self.context.keys
        slot.clear_gauges()
        try:
            with nullcontext() if keys is None else keys.channel(f"worker {self.index}") as keys_channel:
                return await run_connected(
                    partial(self._start, keys_channel),
                    self._attend,
                    asked=self._stopping.wait,
                    steps=self._steps,
                    hurry=self._hurry,
                )
        finally:
            slot.clear_gauges()

    def _attend(
        self, process: asyncio.subprocess.Process, channel: socket.socket
    ) -> tuple[Coroutine[Any, Any, None], ...]:
        logger, health = self.context.logger, WorkerHealth(partial(main_thread, process.pid))
        issued = partial(logger.info, "leaf.issued", worker=self.number, pid=process.pid)

        def hung(silent: float, why: str) -> None:
            logger.error("worker.hung", worker=self.number, pid=process.pid, silent=silent, error=why)

        return (
            self.context.issuer.answer(channel, issued, self._serves, health.heartbeat),
            kill_when_hung(process, health, hung),
        )

    def _steps(self) -> tuple[Step, ...]:
        stop = Step(STOP, GRACE, hurried=GRACE)
        return (Step(LEAVE, DRAIN, hurried=0.0), stop) if self._draining else (stop,)

    def _report(self, outcome: int | OSError, pause: float) -> None:
        logger = self.context.logger
        if isinstance(outcome, OSError):
            logger.error("worker.not_started", worker=self.number, error=repr(outcome), restart_in=pause)
            return
        self.context.shared_metrics.slot(0).inc(WORKER_DEATHS)
        logger.error("worker.died", worker=self.number, exit_code=outcome, restart_in=pause)

    async def _start(self, keys: socket.socket | None, channel: socket.socket) -> asyncio.subprocess.Process:
        listeners, shared_metrics = self.context.listeners, self.context.shared_metrics.descriptor
        edge, inside, edge_socket, inside_socket = listeners.descriptors
        keys_channel = None if keys is None else keys.fileno()
        descriptors = (edge, inside, channel.fileno(), shared_metrics)
        optional = (keys_channel, edge_socket, inside_socket)
        reading, writing = os.pipe()
        try:
            self._write_standard_input(writing)
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "authsvc.server.worker", *map(str, descriptors)),
                *(str(self.index), str(self.context.threads)),
                *(str(NONE if descriptor is None else descriptor) for descriptor in optional),
                stdin=reading,
                env={**WORKER_MEMORY, **os.environ},
                pass_fds=(*descriptors, *(descriptor for descriptor in optional if descriptor is not None)),
            )
        finally:
            os.close(reading)
            os.close(writing)

    def _write_standard_input(self, pipe: int) -> None:
        """Write the key and the settings, all before the worker runs.

        Raises:
            OSError: the pipe cannot hold them.
        """
        hashes = {EVENT_BEARERS: self.context.event_bearers, NGINX_SECRETS: self.context.nginx_secrets}
        joined = {name: " ".join(digest.hex() for digest in digests) for name, digests in hashes.items()}
        texts = {**self.context.settings, **joined}
        content = self.context.guess_key + json.dumps(texts).encode()
        if len(content) > fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, len(content))
        os.write(pipe, content)

    def _serves(self) -> None:
        self.context.shared_metrics.slot(self.index).set(WORKERS, 1)
        self.ready.set()


@define(eq=False, repr=False)
class WorkerPool:
    """All workers of one server.

    Attributes:
        make_context: returns what the next generation shares; raises SetupRefused when the settings or secrets are
            unusable.
        count: how many workers a generation has.
        logger: the server's.
    """

    make_context: Callable[[], WorkerContext]
    count: int
    logger: Logger
    _tasks: dict[WorkerProcess, asyncio.Task[None]] = Factory(dict)
    _answering: set[asyncio.Task[None]] = Factory(set)

    async def run(self, first: WorkerContext, stopping: asyncio.Event, reloads: Reloads) -> None:
        """Keep a generation running until ``stopping``, and replace it on request.

        Args:
            first: what the first generation shares.
            stopping: ends all.
            reloads: takes the requests.
        """
        current = self._spawn(first)
        try:
            while await _first(stopping, reloads.wanted):
                waiting, before = reloads.take(), current
                current, reason = await self._roll(current, stopping)
                left = [self._tasks[worker] for worker in before if reason is None and worker in self._tasks]
                answering = asyncio.create_task(self._answer(waiting, reason, left))
                self._answering.add(answering)
                answering.add_done_callback(self._answering.discard)
        finally:
            await self._stop(list(self._tasks))
            await asyncio.gather(*self._answering)
            reloads.end("the server is stopping")

    async def _answer(
        self, waiting: list[asyncio.Future[ReloadResult]], reason: str | None, left: list[asyncio.Task[None]]
    ) -> None:
        """Answer the requests for a reload once the replaced workers have finished their own requests."""
        await asyncio.gather(*left, return_exceptions=True)
        answer(waiting, ReloadResult(reason, self.count))

    async def _roll(
        self, current: list[WorkerProcess], stopping: asyncio.Event
    ) -> tuple[list[WorkerProcess], str | None]:
        """Return the workers that serve from now on, and why they are still the old ones."""
        # One generation drains at a time: the shared metrics have slots for two.
        await _unless(stopping, [task for worker, task in self._tasks.items() if worker not in current])
        try:
            context = self.make_context()
        except SetupRefused as error:
            self.logger.error("roll.refused", reason=str(error))
            return current, str(error)
        fresh = self._spawn(context)
        self.logger.info("roll.started", workers=self.count)
        serving = [asyncio.create_task(worker.ready.wait()) for worker in fresh]
        if not await _unless(stopping, serving, READY_WITHIN):
            for task in serving:
                task.cancel()
            if stopping.is_set():  # both generations are stopped together
                return current, "the server is stopping"
            reason = f"the new workers do not serve after {READY_WITHIN:.0f} s"
            self.logger.error("roll.failed", reason=reason)
            await self._stop(fresh)
            return current, reason
        for worker in current:
            worker.drain()
        self.logger.info("roll.done", workers=self.count)
        return fresh, None

    def _spawn(self, context: WorkerContext) -> list[WorkerProcess]:
        taken = {worker.index for worker in self._tasks}
        free = [index for index in range(1, 2 * self.count + 1) if index not in taken][: self.count]
        workers = [WorkerProcess(context, number, index) for number, index in enumerate(free)]
        for worker in workers:
            task = self._tasks[worker] = asyncio.create_task(worker.run())
            task.add_done_callback(partial(self._forget, worker))
        return workers

    def _forget(self, worker: WorkerProcess, _ended: asyncio.Task[None]) -> None:
        del self._tasks[worker]

    async def _stop(self, workers: list[WorkerProcess]) -> None:
        tasks = [self._tasks[worker] for worker in workers if worker in self._tasks]
        for worker in workers:
            worker.stop()
        await asyncio.gather(*tasks)


def make_shared_metrics(workers: int) -> SharedMetrics:
    """Return shared metrics with a slot for the parent and for two generations of workers."""
    return SharedMetrics.make(1 + 2 * workers, SlotLayout())


async def _first(stopping: asyncio.Event, other: asyncio.Event) -> bool:
    """Wait for either event; return whether it was the other one."""
    await first_of(stopping.wait(), other.wait())
    return not stopping.is_set()


async def _unless(stopping: asyncio.Event, work: Sequence[asyncio.Task[Any]], seconds: float | None = None) -> bool:
    """Wait for all of ``work``; return whether it was done before ``stopping`` and in time. It is not cancelled."""
    if work:
        await first_of(stopping.wait(), asyncio.wait(work), seconds=seconds)
    return all(task.done() for task in work) and not stopping.is_set()
