"""``authsvc serve``: the parent that holds the root key, binds the listeners and keeps the workers alive.

It accepts no connection itself. Workers inherit the listening sockets, so one that dies takes no address with it.
"""

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from functools import partial

from attrs import define, field, frozen

from authsvc.errors import SetupRefused, StoreUnavailable
from authsvc.logs import Logger, make_logger
from authsvc.settings import Settings
from authsvc.signing import license_keys
from authsvc.stack.leaf_channel import LeafIssuer
from authsvc.stack.secrets_dir import load_license_signing_key, load_token_root
from authsvc.store.boot import check_server
from authsvc.store.connection import Connection
from authsvc.wiring import clock

BACKLOG = 1024
FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_AFTER = 0.5, 30.0, 60.0
"""Seconds: before a dead worker is started again at first and at most, and after which the pause starts over."""

GRACE = 15.0
"""Seconds that a worker gets to end; longer than its requests get."""

WORKER_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1024 * 1024)}
"""glibc's malloc keeps what it once gave out in blocks below a limit that it raises by itself, up to 32 MiB
(mallopt(3)). Argon2id takes 19 MiB for each password; with a fixed limit they go back when it is done."""

_ADDRESS = re.compile(r"(?:fd:(?P<fd>[0-9]{1,5})|(?P<host>\[[0-9a-fA-F:.]+\]|[^:\s]+):(?P<port>[0-9]{1,5}))", re.ASCII)


@frozen
class Listeners:
    """The two bound sockets."""

    edge: socket.socket
    inside: socket.socket


def bind(address: str, option: str) -> socket.socket:
    """Return a listening socket for ``HOST:PORT``, or the inherited one for ``fd:N``.

    Raises:
        SetupRefused: of another form, or it can not be bound.
    """
    form = _ADDRESS.fullmatch(address)
    if form is None:
        raise SetupRefused(f"{option} {address[:80]!r} is no address; write HOST:PORT, or fd:N for an inherited socket")
    try:
        if form["fd"] is not None:
            listener = socket.socket(fileno=int(form["fd"]))
        else:
            host = form["host"].strip("[]")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, int(form["port"])), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "the port must be at most 65535"
        raise SetupRefused(f"can not listen on {option} {address}: {why}") from error
    listener.setblocking(False)  # noqa: FBT003  the standard library takes it by position only
    return listener


@define
class _Crew:
    """The workers and what they share."""

    issuer: LeafIssuer
    listeners: Listeners
    threads: int
    logger: Logger
    stopping: asyncio.Event = field(factory=asyncio.Event)

    async def keep_one(self, number: int) -> None:
        """Keep one worker alive until the end."""
        pause = FIRST_PAUSE
        while not self.stopping.is_set():
            began = asyncio.get_running_loop().time()
            code = await self._run_one(number)
            if self.stopping.is_set():
                return
            lived = asyncio.get_running_loop().time() - began
            pause = FIRST_PAUSE if lived > HEALTHY_AFTER else min(pause * 2, LONGEST_PAUSE)
            self.logger.error("worker.died", worker=number, exit_code=code, restart_in=pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), pause)

    async def _run_one(self, number: int) -> int:
        ours, theirs = socket.socketpair()
        descriptors = (self.listeners.edge.fileno(), self.listeners.inside.fileno(), theirs.fileno())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "authsvc.stack.worker", *map(str, descriptors), str(self.threads)),
            stdin=asyncio.subprocess.DEVNULL,
            env={**WORKER_MEMORY, **os.environ},
            pass_fds=descriptors,
        )
        theirs.close()
        told = partial(self.logger.info, "leaf.issued", worker=number, pid=process.pid)
        answering = asyncio.create_task(self.issuer.answer(ours, told))
        ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(self.stopping.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            with suppress(ProcessLookupError):
                process.terminate()
            await asyncio.wait({ended}, timeout=GRACE)
        if not ended.done():
            process.kill()
        code = await ended
        for task in (answering, stopped):
            task.cancel()
        await asyncio.gather(answering, stopped, return_exceptions=True)
        return code


async def serve(settings: Settings, listeners: Listeners, workers: int) -> None:
    """Run ``workers`` workers until SIGTERM or SIGINT.

    Raises:
        SetupRefused: a secret is unusable, or Redis is not one to trust.
    """
    logger = make_logger(settings.log_level)
    root, root_key = load_token_root(settings.secrets_dir)
    signing = load_license_signing_key(settings.secrets_dir)
    issuer = LeafIssuer(root, root_key, license_keys.jwk_set([signing.public_key()]), settings.leaf_life, clock)
    await _check_store(settings, logger)
    threads = max(1, (os.cpu_count() or 1) // workers)
    crew = _Crew(issuer, listeners, threads, logger)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, crew.stopping.set)
    logger.info("server.started", pid=os.getpid(), workers=workers, service=settings.public_url.authority)
    await asyncio.gather(*(crew.keep_one(number) for number in range(workers)))
    logger.info("server.stopped", pid=os.getpid())


async def _check_store(settings: Settings, logger: Logger) -> None:
    connection = Connection(settings.redis_url)
    try:
        for warning in await check_server(connection):
            logger.warning("store.unchecked", reason=warning)
    except StoreUnavailable as error:
        # It may come later; until then requests get 503 and /readyz says so.
        logger.error("store.unavailable", detail=error.detail)
    finally:
        await connection.close()
