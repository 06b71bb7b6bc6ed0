"""A connection pool that follows the primary: its connections go to the redis that the sentinels name.

redis-py's own sentinel pool has no bound on waiting, and its clients retry; the connections that it makes are used
here with the bounds of :mod:`authsvc.store.connection`.
"""

import asyncio
import weakref
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelManagedConnection, SentinelManagedSSLConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from typing_extensions import override

from authsvc.redis_url import SentinelUrl
from authsvc.store.pool import CheckedPool


class PrimaryPool(CheckedPool):
    """Connections to the current primary; each new connection asks the sentinels for its address."""

    is_master = True
    check_connection = False
    """An attribute that redis-py's connection requires of its pool."""

    def __init__(self, url: SentinelUrl, ask_timeout: float, **options: Any) -> None:
        """Prepare a pool that waits ``ask_timeout`` seconds for each sentinel; nothing connects yet."""
        tls = {"ssl_ca_certs": url.ca_file} if url.tls else {}
        super().__init__(
            connection_class=SentinelManagedSSLConnection if url.tls else SentinelManagedConnection,
            username=url.user,
            password=url.password,
            **tls,
            **options,
        )
        self.connection_kwargs["connection_pool"] = weakref.proxy(self)
        self._service = url.service
        self._sentinels = [
            (
                f"{host}:{port}",
                Redis.from_pool(
                    CheckedPool(
                        connection_class=SSLConnection if url.tls else Connection,
                        host=host,
                        port=port,
                        username=url.sentinel_user,
                        password=url.sentinel_password,
                        max_connections=options["max_connections"],
                        timeout=ask_timeout,
                        socket_timeout=ask_timeout,
                        socket_connect_timeout=ask_timeout,
                        retry=Retry(NoBackoff(), 0),
                        **tls,
                    )
                ),
            )
            for host, port in url.sentinels
        ]
        self._primary: tuple[str, int] | None = None

    @override
    async def primary(self) -> tuple[str, int] | None:
        return await self.get_master_address()

    async def get_master_address(self) -> tuple[str, int]:
        """Ask the sentinels, one after the other; the one that answered is asked first next time.

        Raises:
            redis.exceptions.ConnectionError: none of them knows a primary; the message says why of each.
        """
        reasons = []
        for asked in tuple(self._sentinels):
            name, sentinel = asked
            try:
                masters: Any = await sentinel.sentinel_masters()
            except (RedisError, OSError) as error:
                reasons.append(f"{name}: {error}")
                continue
            state = masters.get(self._service)
            if state is None:
                reasons.append(f"{name}: it does not watch {self._service!r}")
            elif not state["is_master"] or state["is_sdown"] or state["is_odown"]:
                reasons.append(f"{name}: the primary is down")
            else:
                self._sentinels.remove(asked)
                self._sentinels.insert(0, asked)
                return self._found((state["ip"], state["port"]))
        raise RedisConnectionError(f"no sentinel names a primary ({'; '.join(reasons)})")

    def _found(self, primary: tuple[str, int]) -> tuple[str, int]:
        if primary != self._primary:
            self._primary = primary
            # Older connections lead to the previous primary.
            self.distrust(opened_before=asyncio.get_running_loop().time())
        return primary

    @override
    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections=inuse_connections)
        for _, sentinel in self._sentinels:
            await sentinel.aclose()
