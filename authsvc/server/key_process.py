"""The parent's side of its key service: starts it, restarts it, and hands it the channel of each worker.

A channel outlives the key service. The parent keeps a copy of the other end, which it never reads, and passes it to the
next key service: a worker needs no new channel, and a request that was sent meanwhile is answered by the next one.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field

from authsvc.logs import Logger
from authsvc.processes.connected import run_connected
from authsvc.processes.restarts import RestartPauses, keep_running
from authsvc.processes.stopping import Step
from authsvc.processes.waiting import first_of
from authsvc.server.worker_health import WorkerHealth, kill_when_hung, main_thread
from authsvc.settings import PREFIX

STOP_WITHIN = 5.0
"""Seconds that the key service gets to end."""

_HEARTBEAT_BYTES = 64


@define(eq=False, repr=False)
class KeyServiceProcess:
    """Keeps one key service running.

    Attributes:
        directory: folder of the keys.
        log_level: of its log.
        logger: the server's.
        on_death: called when it ended without being asked to.
        pauses: before it is started again.
        pid: of the process that runs now, or None.
    """

    directory: Path
    log_level: str
    logger: Logger
    on_death: Callable[[], None]
    pauses: RestartPauses = field(factory=RestartPauses)
    pid: int | None = None
    _channels: dict[str, socket.socket] = field(factory=dict)
    _control: socket.socket | None = None
    _restart: asyncio.Event = field(factory=asyncio.Event)

    async def run(self, stopping: asyncio.Event) -> None:
        """Keep it running until ``stopping``, then end it."""

        async def run_until_asked() -> int:
            while True:
                self._restart.clear()
                code = await self._run_once(stopping)
                if not self._restart.is_set() or stopping.is_set():
                    return code

        await keep_running(run_until_asked, stopping, self._report, self.pauses)

    def restart(self, directory: Path, log_level: str) -> None:
        """Replace it by a new process, which may be of another version; requests wait meanwhile."""
        self.directory, self.log_level = directory, log_level
        self._restart.set()

    @contextmanager
    def channel(self, worker: str) -> Iterator[socket.socket]:
        """Yield a worker's end of a new channel, which is closed at the end.

        Args:
            worker: a name for the log, unique among the channels of the moment.
        """
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channels[worker] = far
        self._hand_in(worker)
        try:
            yield near
        finally:
            del self._channels[worker]
            near.close()
            far.close()

    def _hand_in(self, worker: str) -> None:
        if self._control is not None:
            # One that does not read is stopped: it will be killed, and the next one gets all channels.
            with suppress(OSError):
                socket.send_fds(self._control, [worker.encode("ascii")], [self._channels[worker].fileno()])

    async def _run_once(self, stopping: asyncio.Event) -> int:
        try:
            return await run_connected(
                self._start,
                self._attend,
                asked=lambda: first_of(stopping.wait(), self._restart.wait()),
                steps=lambda: (Step(signal.SIGTERM, STOP_WITHIN, hurried=STOP_WITHIN),),
                kind=socket.SOCK_SEQPACKET,
            )
        finally:
            self.pid, self._control = None, None

    def _attend(
        self, process: asyncio.subprocess.Process, control: socket.socket
    ) -> tuple[Coroutine[Any, Any, None], ...]:
        control.setblocking(False)  # noqa: FBT003  the standard library takes it by position only
        self.pid, self._control = process.pid, control
        for worker in self._channels:
            self._hand_in(worker)
        health = WorkerHealth(partial(main_thread, process.pid))

        def hung(silent: float, why: str) -> None:
            self.logger.error("key_service.hung", pid=process.pid, silent=silent, error=why)

        return _hear(control, health), kill_when_hung(process, health, hung)

    async def _start(self, control: socket.socket) -> asyncio.subprocess.Process:
        # Without the settings: it needs neither Redis nor any other of their values.
        environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "authsvc.server.key_service"),
            *(str(control.fileno()), str(self.directory), self.log_level),
            stdin=asyncio.subprocess.DEVNULL,
            env=environ,
            pass_fds=(control.fileno(),),
        )

    def _report(self, outcome: int | OSError, pause: float) -> None:
        if isinstance(outcome, OSError):
            self.logger.error("key_service.not_started", error=repr(outcome), restart_in=pause)
            return
        self.on_death()
        self.logger.error("key_service.died", exit_code=outcome, restart_in=pause)


async def _hear(control: socket.socket, health: WorkerHealth) -> None:
    with suppress(OSError):
        while await asyncio.get_running_loop().sock_recv(control, _HEARTBEAT_BYTES):
            health.heartbeat()
