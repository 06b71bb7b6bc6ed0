"""The workers of one server: kept alive, and replaced a generation at a time.

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
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

from attrs import Factory, define, field, frozen

from authsvc.errors import SetupRefused
from authsvc.logs import Logger
from authsvc.metrics.catalogue import WORKER_DEATHS, WORKERS, SlotLayout
from authsvc.metrics.shared_metrics import SharedMetrics, Slot
from authsvc.server.key_process import KeyServiceProcess
from authsvc.server.leaf_channel import LeafIssuer
from authsvc.server.reloads import ReloadResult, Reloads, answer
from authsvc.server.worker_health import LOOK, WorkerHealth, main_thread

FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_AFTER = 0.5, 30.0, 60.0
"""Seconds: before a dead worker is started again at first and at most, and after which the pause starts over."""

GRACE = 15.0
"""Seconds that a worker gets to end; longer than its requests get."""

DRAIN = 40.0
"""Seconds in which a replaced worker waits for its connections to end; longer than nginx keeps an idle one."""

READY_WITHIN = 60.0
"""Seconds in which a new generation must serve, or the old one stays."""

GUESS_KEY_BYTES = 32
"""Length of the key under which workers recognise wrong passwords that are tried again. A server draws it when it
starts, and it goes to each worker on standard input: it is in no file, no environment and no argument."""

NO_KEYS = -1
"""In the place of the descriptor of a worker's channel to the key service, when that runs in another container."""

STOP, LEAVE = signal.SIGTERM, signal.SIGQUIT
"""To a worker: end now, or end when nobody is connected any more."""

WORKER_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1024 * 1024), "MALLOC_ARENA_MAX": "1"}
"""glibc's malloc keeps what it once gave out in blocks below a limit that it raises by itself, up to 32 MiB, and in
one arena per thread (mallopt(3)). Argon2id takes 19 MiB for each password; with these it goes back when it is done:
85 MiB became 77 in a worker that had served 10,000 licenses and some members."""


@frozen
class ListeningSockets:
    """The two bound sockets."""

    edge: socket.socket
    inside: socket.socket


@frozen
class WorkerContext:
    """What a generation of workers shares.

    Attributes:
        issuer: gives certificates.
        listeners: what they accept on.
        shared_metrics: where they count.
        threads: how many passwords each may check at once.
        guess_key: what they recognise wrong passwords under.
        settings: the texts of their settings, as they were read when the generation began: one that is started again
            goes on with them, whatever a file says by then.
        logger: the server's.
        keys: the key service, or None when it runs in another container.
    """

    issuer: LeafIssuer
    listeners: ListeningSockets
    shared_metrics: SharedMetrics
    threads: int
    guess_key: bytes
    settings: Mapping[str, str] = field(repr=False)
    logger: Logger
    keys: KeyServiceProcess | None = None


@define(eq=False)
class WorkerProcess:
    """Keeps one worker alive until it is dismissed.

    Attributes:
        equipment: what the worker gets.
        number: of the worker, for the log.
        place: the index of its slot in the shared metrics.
        ready: set once a worker serves.
    """

    equipment: WorkerContext
    number: int
    place: int
    ready: asyncio.Event = field(factory=asyncio.Event)
    _dismissed: asyncio.Event = field(factory=asyncio.Event)
    _farewell: tuple[signal.Signals, float] = (STOP, GRACE)
    _hurried: asyncio.Event = field(factory=asyncio.Event)

    def dismiss(self, number: signal.Signals, seconds: float) -> None:
        """End the worker with a signal, and with SIGKILL after ``seconds``."""
        if self._dismissed.is_set() and number == STOP:
            self._hurried.set()
        self._farewell = (number, seconds)
        self._dismissed.set()

    async def keep(self) -> None:
        """Run a worker, and another one whenever it ends, until dismissed."""
        pause = FIRST_PAUSE
        while not self._dismissed.is_set():
            began = asyncio.get_running_loop().time()
            code, why = None, None
            try:
                code = await self._run_one()
            except OSError as error:  # no process, memory or open files left on this machine, for now
                why = repr(error)
            if self._dismissed.is_set():
                return
            lived = asyncio.get_running_loop().time() - began
            pause = FIRST_PAUSE if lived > HEALTHY_AFTER else min(pause * 2, LONGEST_PAUSE)
            if code is None:
                self.equipment.logger.error("worker.not_started", worker=self.number, error=why, restart_in=pause)
            else:
                self.equipment.shared_metrics.slot(0).inc(WORKER_DEATHS)
                self.equipment.logger.error("worker.died", worker=self.number, exit_code=code, restart_in=pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._dismissed.wait()

    async def _run_one(self) -> int:
        keys = self.equipment.keys
        with nullcontext() if keys is None else keys.channel(f"worker {self.place}") as keys_channel:
            return await self._run_with(keys_channel)

    async def _run_with(self, keys: socket.socket | None) -> int:
        equipment, slot = self.equipment, self.equipment.shared_metrics.slot(self.place)
        slot.clear_gauges()
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await self._start(theirs, keys)
        except OSError:
            ours.close()
            raise
        told = partial(equipment.logger.info, "leaf.issued", worker=self.number, pid=process.pid)
        health = WorkerHealth(partial(main_thread, process.pid))
        answering = asyncio.create_task(
            equipment.issuer.answer(ours, told, lambda: self._serves(slot), health.heartbeat)
        )
        watching = asyncio.create_task(self._kill_when_hung(process, health))
        ended, dismissed = asyncio.create_task(process.wait()), asyncio.create_task(self._dismissed.wait())
        await asyncio.wait({ended, dismissed}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            await self._end(process, ended)
        code = await ended
        slot.clear_gauges()
        for task in (answering, watching, dismissed):
            task.cancel()
        await asyncio.gather(answering, watching, dismissed, return_exceptions=True)
        return code

    async def _kill_when_hung(self, process: asyncio.subprocess.Process, health: WorkerHealth) -> None:
        """End a worker whose event loop does not run; a stopped one hears no other signal than SIGKILL."""
        clock = asyncio.get_running_loop().time
        last = clock()
        while True:
            await asyncio.sleep(LOOK)
            last, elapsed = clock(), clock() - last
            why = health.step(elapsed)
            if why is not None:
                silent = round(health.silent, 1)
                self.equipment.logger.error(
                    "worker.hung", worker=self.number, pid=process.pid, silent=silent, error=why
                )
                with suppress(ProcessLookupError):
                    process.kill()
                return

    async def _start(self, channel: socket.socket, keys: socket.socket | None) -> asyncio.subprocess.Process:
        listeners, shared_metrics = self.equipment.listeners, self.equipment.shared_metrics.descriptor
        descriptors = (listeners.edge.fileno(), listeners.inside.fileno(), channel.fileno(), shared_metrics)
        reading, writing = os.pipe()
        try:
            self._write_standard_input(writing)
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "authsvc.server.worker", *map(str, descriptors)),
                *(str(self.place), str(self.equipment.threads), str(NO_KEYS if keys is None else keys.fileno())),
                stdin=reading,
                env={**WORKER_MEMORY, **os.environ},
                pass_fds=descriptors if keys is None else (*descriptors, keys.fileno()),
            )
        finally:
            os.close(reading)
            os.close(writing)

    def _write_standard_input(self, pipe: int) -> None:
        """Write the key and the settings, all before the worker runs.

        Raises:
            OSError: the pipe cannot hold them.
        """
        content = self.equipment.guess_key + json.dumps(dict(self.equipment.settings)).encode()
        if len(content) > fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, len(content))
        os.write(pipe, content)

    def _serves(self, slot: Slot) -> None:
        slot.set(WORKERS, 1)
        self.ready.set()

    async def _end(self, process: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
        """Send the farewell signal and wait; a second, ruder one may come meanwhile."""
        hurried = asyncio.create_task(self._hurried.wait())
        steps = [self._farewell]
        if self._farewell[0] == LEAVE:
            steps.append((STOP, GRACE))
        for number, seconds in steps:
            with suppress(ProcessLookupError):
                process.send_signal(number)
            waiting = {ended, hurried} if number == LEAVE else {ended}
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                break
        else:
            process.kill()
        hurried.cancel()
        await asyncio.gather(hurried, return_exceptions=True)


@define
class WorkerPool:
    """All workers of one server.

    Attributes:
        equip: returns what the next generation gets; raises SetupRefused when the settings or secrets are unusable.
        count: how many workers a generation has.
        logger: the server's.
    """

    equip: Callable[[], WorkerContext]
    count: int
    logger: Logger
    _tasks: dict[WorkerProcess, asyncio.Task[None]] = Factory(dict)
    _telling: set[asyncio.Task[None]] = Factory(set)

    async def run(self, first: WorkerContext, stopping: asyncio.Event, reloads: Reloads) -> None:
        """Keep a generation alive until ``stopping``, and replace it whenever somebody asks for it.

        Args:
            first: what the first generation gets.
            stopping: ends all.
            reloads: takes the requests.
        """
        current = self._hire(first)
        try:
            while await _first(stopping, reloads.wanted):
                waiting, before = reloads.take(), current
                current, reason = await self._roll(current, stopping)
                left = [self._tasks[keeper] for keeper in before if reason is None and keeper in self._tasks]
                telling = asyncio.create_task(self._tell(waiting, reason, left))
                self._telling.add(telling)
                telling.add_done_callback(self._telling.discard)
        finally:
            await self._end(list(self._tasks), STOP, GRACE)
            await asyncio.gather(*self._telling)
            reloads.end("the server is stopping")

    async def _tell(
        self, waiting: list[asyncio.Future[ReloadResult]], reason: str | None, left: list[asyncio.Task[None]]
    ) -> None:
        """Answer those who asked, once the replaced workers have finished their requests."""
        await asyncio.gather(*left, return_exceptions=True)
        answer(waiting, ReloadResult(reason, self.count))

    async def _roll(
        self, current: list[WorkerProcess], stopping: asyncio.Event
    ) -> tuple[list[WorkerProcess], str | None]:
        """Return the workers that serve from now on, and why they are still the old ones."""
        # One generation leaves at a time: the shared metrics have slots for two.
        await _unless(stopping, [task for keeper, task in self._tasks.items() if keeper not in current])
        try:
            equipment = self.equip()
        except SetupRefused as error:
            self.logger.error("roll.refused", reason=str(error))
            return current, str(error)
        fresh = self._hire(equipment)
        self.logger.info("roll.started", workers=self.count)
        serving = [asyncio.create_task(keeper.ready.wait()) for keeper in fresh]
        if not await _unless(stopping, serving, READY_WITHIN):
            for task in serving:
                task.cancel()
            if stopping.is_set():  # both generations are ended together
                return current, "the server is stopping"
            reason = f"the new workers do not serve after {READY_WITHIN:.0f} s"
            self.logger.error("roll.failed", reason=reason)
            await self._end(fresh, STOP, GRACE)
            return current, reason
        for keeper in current:
            keeper.dismiss(LEAVE, DRAIN)
        self.logger.info("roll.done", workers=self.count)
        return fresh, None

    def _hire(self, equipment: WorkerContext) -> list[WorkerProcess]:
        taken = {keeper.place for keeper in self._tasks}
        places = [place for place in range(1, 2 * self.count + 1) if place not in taken][: self.count]
        keepers = [WorkerProcess(equipment, number, place) for number, place in enumerate(places)]
        for keeper in keepers:
            task = self._tasks[keeper] = asyncio.create_task(keeper.keep())
            task.add_done_callback(partial(self._forget, keeper))
        return keepers

    def _forget(self, keeper: WorkerProcess, _ended: asyncio.Task[None]) -> None:
        del self._tasks[keeper]

    async def _end(self, keepers: list[WorkerProcess], number: signal.Signals, seconds: float) -> None:
        tasks = [self._tasks[keeper] for keeper in keepers if keeper in self._tasks]
        for keeper in keepers:
            keeper.dismiss(number, seconds)
        await asyncio.gather(*tasks)


def make_shared_metrics(workers: int) -> SharedMetrics:
    """Return shared metrics with a slot for the parent and for two generations of workers."""
    return SharedMetrics.make(1 + 2 * workers, SlotLayout())


async def _first(stopping: asyncio.Event, other: asyncio.Event) -> bool:
    """Wait for either event; return whether it was the other one."""
    tasks = [asyncio.create_task(event.wait()) for event in (stopping, other)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return not stopping.is_set()


async def _unless(stopping: asyncio.Event, work: Iterable[Awaitable[object]], seconds: float | None = None) -> bool:
    """Wait for all of ``work``; return whether it was done before ``stopping`` and in time. It is not cancelled."""
    waiting: asyncio.Future[Any] = asyncio.gather(*map(asyncio.shield, work))
    both: list[asyncio.Future[Any]] = [asyncio.create_task(stopping.wait()), waiting]
    await asyncio.wait(both, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    done = waiting.done() and not stopping.is_set()
    for one in both:
        one.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    return done
