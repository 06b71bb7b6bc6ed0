"""``authsvc serve``: the parent that holds the root key, binds the listeners and keeps the workers alive.

It accepts no connection from the network, only commands on its control socket. Workers inherit the listening sockets,
so one that dies takes no address with it.
"""

import asyncio
import os
import re
import secrets
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from hashlib import sha256

from authsvc.errors import SecretsRefused, SetupRefused, StoreUnavailable
from authsvc.keys.secrets_dir import load_event_bearers, load_nginx_secrets
from authsvc.logs import Logger, server_log
from authsvc.metrics.catalogue import KEY_SERVICE_DEATHS, LOG_LOST, TOKEN_ROOT_EXPIRY, WORKERS_WANTED
from authsvc.metrics.shared_metrics import SharedMetrics
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.server.control_socket import control_socket
from authsvc.server.key_process import KeyServiceProcess
from authsvc.server.leaf_channel import LeafIssuer
from authsvc.server.reloads import Reloads
from authsvc.server.remote_license_keys import RemoteLicenseKeys
from authsvc.server.worker_pool import GUESS_KEY_BYTES, WorkerContext, WorkerPool, make_shared_metrics
from authsvc.settings import Settings, load_with_texts
from authsvc.setup.start_check import load_signing_keys
from authsvc.store.connection import Connection
from authsvc.store.server_check import check_server
from authsvc.wiring import clock

BACKLOG = 1024
_ADDRESS = re.compile(r"(?:fd:(?P<fd>[0-9]{1,5})|(?P<host>\[[0-9a-fA-F:.]+\]|[^:\s]+):(?P<port>[0-9]{1,5}))", re.ASCII)


def bind(address: str, option: str) -> socket.socket:
    """Return a listening socket for ``HOST:PORT``, or the inherited one for ``fd:N``.

    Raises:
        SetupRefused: it has another form, or it cannot be bound.
    """
    form = _ADDRESS.fullmatch(address)
    if form is None:
        raise SetupRefused(
            f"{option} {address[:80]!r} is not an address; write HOST:PORT, or fd:N for an inherited socket"
        )
    try:
        if form["fd"] is not None:
            listener = socket.socket(fileno=int(form["fd"]))
        else:
            host = form["host"].strip("[]")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, int(form["port"])), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        why = error.strerror if isinstance(error, OSError) else "the port must be at most 65535"
        raise SetupRefused(f"cannot listen on {option} {address}: {why}") from error
    listener.setblocking(False)  # noqa: FBT003  the standard library takes it by position only
    return listener


async def serve(
    environment: Mapping[str, str], listeners: ListeningSockets, workers: int, *, inherited: bool = False
) -> None:
    """Run ``workers`` workers until SIGTERM or SIGINT.

    SIGHUP and the command on the control socket replace them by new ones, with settings that are read again.

    Args:
        environment: where the settings come from.
        listeners: what the workers accept on.
        workers: how many.
        inherited: whether another process holds the listeners too, so that requests wait on them even when this process
            refuses to start. Then it starts with unusable keys as well: workers answer that they cannot sign.

    Raises:
        SetupRefused: a setting or secret is unusable, or Redis is not one to trust.
    """
    (settings, texts), shared_metrics = load_with_texts(environment), make_shared_metrics(workers)
    with server_log(settings.log_level, lambda lost: shared_metrics.slot(0).inc(LOG_LOST, by=lost)) as logger:
        _check_keys(settings, logger, inherited=inherited)
        await _check_store(settings, logger)
        await _serve(environment, settings, texts, listeners, workers, shared_metrics, logger)


def _check_keys(settings: Settings, logger: Logger, *, inherited: bool) -> None:
    try:
        load_signing_keys(settings)
    except SecretsRefused as error:
        if not inherited:
            raise
        logger.error("server.cannot_sign", reason=str(error))


async def _serve(
    environment: Mapping[str, str],
    settings: Settings,
    texts: Mapping[str, str],
    listeners: ListeningSockets,
    workers: int,
    shared_metrics: SharedMetrics,
    logger: Logger,
) -> None:
    threads = max(1, (os.cpu_count() or 1) // workers)
    guess_key = secrets.token_bytes(GUESS_KEY_BYTES)

    keys = _key_service(settings, shared_metrics, logger)
    published = _published(settings, logger)

    def make_context(current: Settings, given: Mapping[str, str]) -> WorkerContext:
        issuer = LeafIssuer(partial(load_signing_keys, current), current.leaf_life, clock, published)
        bearers = _hashes(partial(load_event_bearers, current.secrets_dir), "events.no_bearer", logger)
        shown = _hashes(partial(load_nginx_secrets, current.secrets_dir), "proxy.no_secret", logger)
        _note_root(current, shared_metrics)
        return WorkerContext(issuer, listeners, shared_metrics, threads, guess_key, given, logger, keys, bearers, shown)

    def reload_context() -> WorkerContext:
        current, given = load_with_texts(environment)
        load_signing_keys(current)
        if keys is not None:
            keys.restart(current.keys_dir, current.log_level)
        if published is not None and current.key_socket is not None:
            published.ask_at(current.key_socket)
        return make_context(current, given)

    stopping, reloads = asyncio.Event(), Reloads()
    loop = asyncio.get_running_loop()
    handlers = ((signal.SIGTERM, stopping.set), (signal.SIGINT, stopping.set), (signal.SIGHUP, reloads.request))
    for number, handler in handlers:
        loop.add_signal_handler(number, handler)
    shared_metrics.slot(0).set(WORKERS_WANTED, workers)
    async with control_socket(settings.control_socket, reloads, listeners.health_address, logger):
        logger.info("server.started", pid=os.getpid(), workers=workers, service=settings.public_url.authority)
        async with _running(keys):
            await WorkerPool(reload_context, workers, logger).run(make_context(settings, texts), stopping, reloads)
    logger.info("server.stopped", pid=os.getpid())


def _note_root(settings: Settings, shared_metrics: SharedMetrics) -> None:
    """Note when the token root ends, as far as it is here."""
    with suppress(SecretsRefused):
        end = load_signing_keys(settings).root.not_valid_after_utc
        shared_metrics.slot(0).set(TOKEN_ROOT_EXPIRY, int(end.timestamp()))


def _hashes(load_shown: Callable[[], tuple[str, ...]], event: str, logger: Logger) -> tuple[bytes, ...]:
    """Return the SHA-256 of each secret that our registry or nginx may show: all that a worker needs to know.

    Without a usable file nothing is refused but what must show it, and ``event`` is logged: an installation whose
    secrets are from before there was this one serves tokens until ``init`` has added it.
    """
    try:
        secrets_shown = load_shown()
    except SecretsRefused as error:
        logger.error(event, reason=str(error))
        return ()
    return tuple(sha256(each.encode("ascii")).digest() for each in secrets_shown)


def _key_service(settings: Settings, shared_metrics: SharedMetrics, logger: Logger) -> KeyServiceProcess | None:
    """Return the key service of this server; None when another container runs it."""
    if settings.key_socket is not None:
        return None
    died = partial(shared_metrics.slot(0).inc, KEY_SERVICE_DEATHS)
    return KeyServiceProcess(settings.keys_dir, settings.log_level, logger, died)


def _published(settings: Settings, logger: Logger) -> RemoteLicenseKeys | None:
    """Return who knows the public license keys when the key service runs in another container."""
    return None if settings.key_socket is None else RemoteLicenseKeys.at(settings.key_socket, logger)


@asynccontextmanager
async def _running(keys: KeyServiceProcess | None) -> AsyncIterator[None]:
    """Keep the key service running; it ends after the workers."""
    if keys is None:
        yield
        return
    ending = asyncio.Event()
    running = asyncio.create_task(keys.run(ending))
    try:
        yield
    finally:
        ending.set()
        await running


async def _check_store(settings: Settings, logger: Logger) -> None:
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    try:
        for warning in await check_server(connection):
            logger.warning("store.unchecked", reason=warning)
    except StoreUnavailable as error:
        # It may come later; until then requests get 503 and /readyz says so.
        logger.error("store.unavailable", detail=error.detail)
    finally:
        await connection.close()
