"""A connection pool that checks a connection before use and replaces it when it is dead.

A restarted Redis, a fail-over or a firewall leaves a pool full of dead connections. redis-py notices some of them: with
its defaults none over TCP (the notifications for maintenance windows switch that check off), and a connection that its
health check finds dead fails the command instead of being opened again. Here a command gets a connection that

- has not been closed by the other side,
- answered within the last ``health_check_interval`` seconds, or answers a PING now, and
- was opened after the last failure that was reported to :meth:`CheckedPool.distrust`.

Rule 1: a connection is only ever closed by the task that has taken it out of the pool; anything else could close it
under a command of another task.
"""

import asyncio
import math
import ssl
import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.connection import AbstractConnection, RedisSSLContext, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig
from typing_extensions import override

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Of files: it differs when one of them does."""


class NotConnected(RedisConnectionError):
    """There was no connection for a command, so Redis has not seen it."""


class CheckedPool(BlockingConnectionPool):
    """Bounded; waits for a free connection as long as its ``timeout`` says."""

    def __init__(self, **options: Any) -> None:
        """Prepare a pool; nothing connects yet. ``options`` are those of redis-py's pool."""
        # With them redis-py takes a closed TCP connection for a usable one.
        super().__init__(maint_notifications_config=MaintNotificationsConfig(enabled=False), **options)
        self._opened_at: weakref.WeakKeyDictionary[AbstractConnection, float] = weakref.WeakKeyDictionary()
        self._trusted_since = -math.inf

    def distrust(self, opened_before: float) -> None:
        """Replace every connection that was opened before then (seconds of the loop's clock) when it is next used."""
        self._trusted_since = max(self._trusted_since, opened_before)

    async def primary(self) -> tuple[str, int] | None:
        """Return the address of the primary; None if it is only given by the URL."""
        return None

    def outside(self, protocol: int) -> AbstractConnection:
        """Return a connection with the settings of the pool that is not in it; nothing connects yet."""
        connection: AbstractConnection = self.connection_class(**{**self.connection_kwargs, "protocol": protocol})
        _take_certificates(connection)
        return connection

    @override
    async def get_connection(self, command_name: str | None = None, *keys: Any, **options: Any) -> AbstractConnection:
        try:
            connection: AbstractConnection = await super().get_connection()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            raise NotConnected(f"{type(error).__name__}: {error}") from error
        return connection

    @override
    async def ensure_connection(self, connection: AbstractConnection) -> None:
        if connection.is_connected and not await self._is_usable(connection):
            await connection.disconnect(nowait=True)
        if not connection.is_connected:
            self._opened_at[connection] = asyncio.get_running_loop().time()
            _take_certificates(connection)
            await connection.connect()  # type: ignore[no-untyped-call]

    async def _is_usable(self, connection: AbstractConnection) -> bool:
        if self._opened_at.get(connection, -math.inf) < self._trusted_since:
            return False
        try:
            # Also true at the end of the stream, and for a reply that no caller waits for.
            if await connection.can_read():
                return False
            await connection.check_health()  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            return False
        return True


def _take_certificates(connection: AbstractConnection) -> None:
    """Let a connection use what another one with its options has read of certificates, unless they were renewed since.

    To read those of the system takes 33 ms, in which a worker does nothing else: 2 s for a full pool.
    """
    if not isinstance(connection, SSLConnection):
        return
    own = connection.ssl_context
    values = ((name, getattr(own, name)) for name in own.__slots__ if name != "context")
    options = tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in values)
    connection.ssl_context = _certificates(options, _stamp(own))


@lru_cache(maxsize=8)
def _certificates(options: tuple[tuple[str, Any], ...], _as_of: Stamp) -> RedisSSLContext:
    """Return what connections with these options share, for as long as the files have the same stamp."""
    return RedisSSLContext(**dict(options))


def _stamp(read: RedisSSLContext) -> Stamp:
    """Return the stamp of the files that connections are made with, those of the system included."""
    system = ssl.get_default_verify_paths()
    own = (read.ca_certs, read.ca_path, read.certfile, read.keyfile)
    return tuple(_stamp_of(path) for path in (*own, system.cafile, system.capath))


def _stamp_of(path: str | None) -> tuple[int, int, int] | None:
    try:
        found = Path(path).stat() if path else None
    except OSError:
        return None
    return found and (found.st_mtime_ns, found.st_ino, found.st_size)
