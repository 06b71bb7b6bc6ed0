"""Following the primary: a pool whose connections go to whichever redis the sentinels call primary.

redis-py's own sentinel pool has no bound on waiting, and its clients retry; the connections that it makes are used
here with the bounds of :mod:`authsvc.store.connection`.
"""

import re
import weakref
from typing import Any
from urllib.parse import unquote

from attrs import frozen
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelManagedConnection
from redis.backoff import NoBackoff
from typing_extensions import override

SCHEME = "redis+sentinel://"

DEFAULT_PORT = 26379
MAX_PORT = 65535

ASK_TIMEOUT = 0.3
"""Seconds to wait for one sentinel: several silent ones must fit into the deadline of one operation."""

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?"
_URL = re.compile(
    rf"redis\+sentinel://(?:(?P<user>[^:@/]*):(?P<password>[^@/]*)@)?(?P<hosts>{_HOST}(?:,{_HOST})*)/(?P<service>[\w.-]+)",
    re.ASCII,
)


@frozen
class SentinelUrl:
    """Where the sentinels are, what they call the primary, and who we are to it."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    user: str | None
    password: str | None


def parse_sentinel_url(text: str) -> SentinelUrl:
    """Return the parts of ``redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE``.

    Raises:
        ValueError: of another form.
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError("not the address of sentinels")
    sentinels = []
    for place in found["hosts"].split(","):
        host, port = place, ""
        if not place.endswith("]") and ":" in place:
            host, _, port = place.rpartition(":")
        if int(port or DEFAULT_PORT) > MAX_PORT:
            raise ValueError("a port is at most 65535")
        sentinels.append((host.strip("[]"), int(port or DEFAULT_PORT)))
    user, password = (unquote(found[name] or "") or None for name in ("user", "password"))
    return SentinelUrl(tuple(sentinels), found["service"], user, password)


class PrimaryPool(BlockingConnectionPool):
    """Connections to the primary of the moment; each new one asks where that is."""

    is_master = True
    check_connection = False
    """What redis-py's connection asks of its pool."""

    def __init__(self, url: SentinelUrl, **options: Any) -> None:
        """Prepare a pool; nothing connects yet."""
        super().__init__(
            connection_class=SentinelManagedConnection, username=url.user, password=url.password, **options
        )
        self.connection_kwargs["connection_pool"] = weakref.proxy(self)
        self._service = url.service
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            url.sentinels,
            sentinel_kwargs={
                "socket_timeout": ASK_TIMEOUT,
                "socket_connect_timeout": ASK_TIMEOUT,
                "retry": Retry(NoBackoff(), 0),
            },
        )
        self._primary: tuple[str, int] | None = None

    async def get_master_address(self) -> tuple[str, int]:
        """Ask the sentinels, one after the other; the one that knew is asked first next time.

        Raises:
            redis.exceptions.ConnectionError: none of them knows a primary.
        """
        primary: tuple[str, int] = await self._sentinel.discover_master(self._service)
        if primary != self._primary:
            self._primary = primary
            # Idle connections lead to who was primary before.
            await super().disconnect(inuse_connections=False)
        return primary

    @override
    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections=inuse_connections)
        await self._sentinel.aclose()
