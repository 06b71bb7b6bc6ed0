"""``authsvc serve``: the parent that holds the root key, binds the listeners and keeps the workers alive.

It accepts no connection itself. Workers inherit the listening sockets, so one that dies takes no address with it.
"""

import asyncio
import os
import re
import signal
import socket
from collections.abc import Callable
from functools import partial

from authsvc.errors import SecretsRefused, SetupRefused, StoreUnavailable
from authsvc.logs import Logger, make_logger
from authsvc.settings import Settings
from authsvc.stack.crew import Crew, Equipment, Listeners, make_board
from authsvc.stack.key_files import Authority, load_authority, load_leaf_files
from authsvc.stack.leaf_channel import LeafIssuer
from authsvc.stack.secrets_dir import TOKEN_ROOT_CERTIFICATE, TOKEN_ROOT_KEY, load_roots, root_is_offline
from authsvc.store.boot import check_server
from authsvc.store.connection import Connection
from authsvc.wiring import clock

BACKLOG = 1024
_ADDRESS = re.compile(r"(?:fd:(?P<fd>[0-9]{1,5})|(?P<host>\[[0-9a-fA-F:.]+\]|[^:\s]+):(?P<port>[0-9]{1,5}))", re.ASCII)


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


async def serve(load: Callable[[], Settings], listeners: Listeners, workers: int) -> None:
    """Run ``workers`` workers until SIGTERM or SIGINT; SIGHUP replaces them by new ones, with settings read anew.

    Raises:
        SetupRefused: a setting or secret is unusable, or Redis is not one to trust.
    """
    settings = load()
    logger = make_logger(settings.log_level)
    _authority(settings)
    await _check_store(settings, logger)
    board = make_board(workers)
    threads = max(1, (os.cpu_count() or 1) // workers)

    def equip() -> Equipment:
        current = load()
        _authority(current)
        issuer = LeafIssuer(partial(_authority, current), current.leaf_life, clock)
        return Equipment(issuer, listeners, board, threads, logger)

    stopping, rolling = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number, event in ((signal.SIGTERM, stopping), (signal.SIGINT, stopping), (signal.SIGHUP, rolling)):
        loop.add_signal_handler(number, event.set)
    logger.info("server.started", pid=os.getpid(), workers=workers, service=settings.public_url.authority)
    await Crew(equip, workers, logger).run(stopping, rolling)
    logger.info("server.stopped", pid=os.getpid())


def _authority(settings: Settings) -> Authority:
    """Return the keys of the installation.

    Raises:
        SecretsRefused: they are unusable, or there is nothing to sign with.
    """
    files = settings.leaf_files
    if files is not None:
        load_leaf_files(*files, load_roots(settings.secrets_dir))
    elif root_is_offline(settings.secrets_dir):
        raise SecretsRefused(
            f"{settings.secrets_dir / TOKEN_ROOT_CERTIFICATE} has no key {TOKEN_ROOT_KEY} beside it; put the key back, "
            "or set AUTHSVC_LEAF_KEY and AUTHSVC_LEAF_CERTIFICATE to a leaf made with `authsvc keys issue`"
        )
    return load_authority(settings.secrets_dir, offline=files is not None)


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
