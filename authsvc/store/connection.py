"""The connection to Redis: a bounded pool, deadlines on everything, no silent retries.

redis-py's defaults retry a write whose reply was lost and hang for a minute on a stopped server (measured:
docs/architecture.md, "Store"); so every client is made here.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from authsvc.errors import SetupRefused, StoreUnavailable
from authsvc.redaction import Secret
from authsvc.store.breaker import Breaker
from authsvc.store.gathering import GatheredReads, Values
from authsvc.store.sentinel import PrimaryPool
from authsvc.store.sentinel_url import SCHEME, parse_sentinel_url

AWAY = "the service's database does not answer; try again in a few seconds"

MAX_CONNECTIONS = 64
POOL_WAIT = 0.25
"""Seconds to wait for a free connection."""

COMMAND_TIMEOUT = 0.5
"""Seconds to wait for the socket, for connecting and for each reply."""

DEADLINE = 1.5
"""Seconds that a whole operation may take."""

HEALTH_CHECK = 15
"""Seconds after which an idle connection is pinged before use."""


def _unobserved(_seconds: float, _answered: bool) -> None:  # noqa: FBT001  the signature of an observer
    """Forget a command."""


class Connection:
    """One pool of connections to the one primary."""

    def __init__(self, url: Secret, observe: Callable[[float, bool], None] = _unobserved) -> None:
        """Prepare a pool for ``url``; nothing connects yet.

        Args:
            url: ``redis://``, ``rediss://``, ``unix://``, or ``redis+sentinel://`` to follow the primary.
            observe: hears of each command the seconds that it took and whether it was answered.

        Raises:
            SetupRefused: ``url`` is of another form.
        """
        options: dict[str, Any] = {
            "max_connections": MAX_CONNECTIONS,
            "timeout": POOL_WAIT,
            "socket_timeout": COMMAND_TIMEOUT,
            "socket_connect_timeout": COMMAND_TIMEOUT,
            "health_check_interval": HEALTH_CHECK,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": False,
        }
        try:
            pool = (
                PrimaryPool(parse_sentinel_url(url.reveal()), **options)
                if url.reveal().startswith(SCHEME)
                else BlockingConnectionPool.from_url(url.reveal(), **options)
            )
        except ValueError as error:
            raise SetupRefused(
                "AUTHSVC_REDIS_URL must look like redis://HOST:PORT, rediss://HOST:PORT or unix:///path/redis.sock, or "
                "redis+sentinel://HOST:PORT,HOST:PORT/SERVICE"
            ) from error
        self.redis: Redis = Redis.from_pool(pool)
        self._breaker = Breaker()
        self._observe = observe
        self._reads = GatheredReads(self._fetch)

    async def run(self, command: Awaitable[Any]) -> Any:
        """Return the reply to ``command``, within the deadline.

        Raises:
            StoreUnavailable: no answer in time, no connection, or Redis refused the command.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        answered: bool | None = None
        if not self._breaker.lets_through(clock()):
            if inspect.iscoroutine(command):
                command.close()
            raise StoreUnavailable(AWAY, detail="the breaker is open")
        try:
            async with asyncio.timeout(DEADLINE):
                reply = await command
        except ResponseError as error:
            answered = False
            self._breaker.succeeded()  # it is there, and says no: full, read-only, or not to be asked that
            raise StoreUnavailable(AWAY, detail=repr(error)) from error
        except (RedisError, OSError, TimeoutError) as error:
            answered = False
            self._breaker.failed(clock())
            raise StoreUnavailable(AWAY, detail=repr(error)) from error
        else:
            answered = True
        finally:
            if answered is not None:  # a request that gave up says nothing about Redis
                self._observe(clock() - began, answered)
        self._breaker.succeeded()
        return reply

    async def get(self, key: str) -> bytes | None:
        """Return the value of ``key``.

        Raises:
            StoreUnavailable: as :meth:`run`.
        """
        return (await self._reads.read((key,)))[0]

    async def get_all(self, *keys: str) -> list[bytes | None]:
        """Return the values of ``keys`` as of one instant.

        Raises:
            StoreUnavailable: as :meth:`run`.
        """
        return await self._reads.read(keys) if keys else []

    async def _fetch(self, keys: Sequence[str]) -> Values:
        return cast("Values", await self.run(self.redis.mget(keys)))

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose()
        await self.redis.connection_pool.disconnect()
