"""A connection pool that follows the primary: its connections go to the redis that the sentinels name.

redis-py's own sentinel pool has no bound on waiting, and its clients retry; the connections that it makes are used
here with the bounds of :mod:`authsvc.store.connection`.
"""

import asyncio
import weakref
from typing import Any

from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
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
        super().__init__(
            connection_class=SentinelManagedConnection, username=url.user, password=url.password, **options
        )
        self.connection_kwargs["connection_pool"] = weakref.proxy(self)
        self._service = url.service
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            url.sentinels,
            sentinel_kwargs={
                "socket_timeout": ask_timeout,
                "socket_connect_timeout": ask_timeout,
                "retry": Retry(NoBackoff(), 0),
                "maint_notifications_config": MaintNotificationsConfig(enabled=False),  # see CheckedPool
            },
        )
        self._primary: tuple[str, int] | None = None

    @override
    async def primary(self) -> tuple[str, int] | None:
        return await self.get_master_address()

    async def get_master_address(self) -> tuple[str, int]:
        """Ask the sentinels, one after the other; the one that answered is asked first next time.

        Raises:
            redis.exceptions.ConnectionError: none of them knows a primary.
        """
        primary: tuple[str, int] = await self._sentinel.discover_master(self._service)
        if primary != self._primary:
            self._primary = primary
            # Older connections lead to the previous primary.
            self.distrust(opened_before=asyncio.get_running_loop().time())
        return primary

    @override
    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections=inuse_connections)
        await self._sentinel.aclose()
