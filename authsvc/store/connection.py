"""The connection to Redis: a bounded pool, deadlines for everything, and one retry for reads, but never for writes.

redis-py's defaults retry a write whose reply was lost and hang for a minute on a stopped server (measured:
docs/architecture.md, "Store"); so every client is made here.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from authsvc.errors import STORE_AWAY, SetupRefused, StoreRefused, StoreUnavailable
from authsvc.redaction import Secret
from authsvc.redis_url import FORMS, is_sentinel_url, parse_sentinel_url
from authsvc.store.batched_reads import BatchedReads, Values
from authsvc.store.batched_writes import BatchedWrites, ScriptCall
from authsvc.store.breaker import Breaker
from authsvc.store.pool import CheckedPool, NotConnected
from authsvc.store.refusals import refusal_of, reply_of
from authsvc.store.sentinel import PrimaryPool

REFUSED = "the service's database refused this, because {}; nothing was changed"

MAX_CONNECTIONS = 64

REPLY_PART, POOL_PART, SENTINEL_PART = 1 / 3, 1 / 6, 1 / 5
"""Shares of an operation's deadline: to connect and for each reply; to wait for a free connection; for one sentinel.
Several sentinels that do not answer must fit into the deadline of one operation.
"""

DEADLINE = 1.5
"""Seconds that a whole operation may take, unless AUTHSVC_REDIS_DEADLINE is set."""

HEALTH_CHECK = 15
"""Seconds after which an idle connection is pinged before use."""


def _unobserved(_seconds: float, _answered: bool) -> None:  # noqa: FBT001  the signature of an observer
    """Ignore a command."""


class _ConnectionLost(RedisError):
    """A connection failed under a command, which Redis may have carried out."""


class Connection:
    """One pool of connections to the one primary."""

    def __init__(
        self, url: Secret, observe: Callable[[float, bool], None] = _unobserved, *, deadline: float = DEADLINE
    ) -> None:
        """Prepare a pool for ``url``; nothing connects yet.

        Args:
            url: ``redis://``, ``rediss://``, ``unix://``, or ``redis+sentinel://`` and
                ``rediss+sentinel://`` to follow the primary.
            observe: is called for each command, and once for scripts that were sent together, with the seconds and
                whether it was answered.
            deadline: seconds that one operation may take.

        Raises:
            SetupRefused: ``url`` has another form.
        """
        options: dict[str, Any] = {
            "max_connections": MAX_CONNECTIONS,
            "timeout": deadline * POOL_PART,
            "socket_timeout": deadline * REPLY_PART,
            "socket_connect_timeout": deadline * REPLY_PART,
            "health_check_interval": HEALTH_CHECK,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": False,
        }
        try:
            pool = (
                PrimaryPool(parse_sentinel_url(url.reveal()), deadline * SENTINEL_PART, **options)
                if is_sentinel_url(url.reveal())
                else CheckedPool.from_url(url.reveal(), **options)
            )
        except ValueError as error:
            raise SetupRefused(f"AUTHSVC_REDIS_URL must look like {FORMS}") from error
        self._pool: CheckedPool = pool
        self.redis: Redis = Redis.from_pool(pool)
        self._deadline = deadline
        self._breaker = Breaker()
        self._observe = observe
        self._reads = BatchedReads(self._fetch)
        self._writes = BatchedWrites(self._run_scripts)
        self.refused: str | None = None
        """The reply of Redis to the last write if it was refused."""

    async def run(self, command: Awaitable[Any]) -> Any:
        """Return the reply to ``command``, which is sent once, within the deadline.

        Raises:
            StoreUnavailable: no answer in time, or no connection.
            StoreRefused: Redis refused the command.
        """
        try:
            return await self._noted(self._guarded(lambda: self._attempt(command)))
        finally:
            if inspect.iscoroutine(command):
                command.close()  # it was not awaited if the breaker is open

    async def run_script(self, call: ScriptCall) -> Any:
        """Return the reply to a script, which is sent once, with those of other callers at the same moment.

        Raises:
            StoreUnavailable: as :meth:`run`.
            StoreRefused: as :meth:`run`.
        """
        return await self._noted(self._writes.run(call))

    async def _noted(self, reply: Awaitable[Any]) -> Any:
        """Return the reply to a write, and note whether Redis refused it."""
        try:
            found = await reply
        except StoreRefused as refused:
            self.refused = refused.detail
            raise
        self.refused = None
        return found

    async def _run_scripts(self, calls: Sequence[ScriptCall]) -> list[Any]:
        """Return for each script its reply, or its error."""

        async def attempt(some: Sequence[ScriptCall]) -> list[Any]:
            pipeline = self.redis.pipeline(transaction=False)
            for call in some:
                _ = pipeline.evalsha(call.digest, len(call.keys), *call.keys, *call.arguments)
            return list(await pipeline.execute(raise_on_error=False))

        async def attempts() -> list[Any]:
            replies = await self._attempt(attempt(calls))
            unknown = [place for place, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:
                for text in {calls[place].text for place in unknown}:
                    await self._attempt(self.redis.script_load(text))
                again = await self._attempt(attempt([calls[place] for place in unknown]))
                for place, reply in zip(unknown, again, strict=True):
                    replies[place] = reply
            return list(replies)

        replies, now = await self._guarded(attempts), asyncio.get_running_loop().time()
        return [self._translated(reply, now) if isinstance(reply, RedisError) else reply for reply in replies]

    async def read(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Return the reply to a command that only reads, within the deadline.

        If its connection fails, the command is sent a second time, on a new connection: the pool may be full of
        connections to a Redis that has since been restarted.

        Args:
            command: makes the command, once for each attempt.

        Raises:
            StoreUnavailable: as :meth:`run`.
            StoreRefused: as :meth:`run`.
        """

        async def attempts() -> Any:
            with suppress(_ConnectionLost):
                return await self._attempt(command())
            return await command()

        return await self._guarded(attempts)

    async def _attempt(self, command: Awaitable[Any]) -> Any:
        """Return the reply to ``command``.

        Raises:
            _ConnectionLost: the connection failed under it, which raises doubts about all older ones.
        """
        began = asyncio.get_running_loop().time()
        try:
            return await command
        except NotConnected:
            raise
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            self._pool.distrust(opened_before=began)
            raise _ConnectionLost(str(error)) from error

    async def _guarded(self, attempts: Callable[[], Awaitable[Any]]) -> Any:
        """Apply the breaker and the deadline, count, and translate errors."""
        clock = asyncio.get_running_loop().time
        began = clock()
        answered: bool | None = None
        if not self._breaker.lets_through(clock()):
            raise StoreUnavailable(STORE_AWAY, detail="the breaker is open")
        task = asyncio.current_task()
        cancellations = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(self._deadline):
                reply = await attempts()
                # asyncio.wait_for, which redis-py sends with, can forget a cancellation in Python 3.11 (cpython#86296).
                if task and task.cancelling() > cancellations:
                    raise asyncio.CancelledError
        except (RedisError, OSError, TimeoutError) as error:
            answered = False
            raise self._translated(error, clock()) from error
        else:
            answered = True
        finally:
            if answered is not None:  # a cancelled request says nothing about Redis
                self._observe(clock() - began, answered)
        self._breaker.succeeded()
        return reply

    def _translated(self, error: Exception, now: float) -> StoreUnavailable:
        """Return the error for the caller, and notify the breaker of what ``error`` says about Redis."""
        refusal = refusal_of(error)
        if refusal is not None:
            self._breaker.succeeded()  # it is up
            return StoreRefused(REFUSED.format(refusal.reason), detail=refusal.reply)
        detail = f"{type(error).__name__}: {error}"
        if isinstance(error, ResponseError):
            self._breaker.succeeded()
            return StoreUnavailable(STORE_AWAY, uncertain=True, detail=reply_of(error))
        if isinstance(error, _ConnectionLost):
            # A write on an older connection. The next command determines with a new connection whether Redis is down.
            return StoreUnavailable(STORE_AWAY, uncertain=True, detail=detail)
        self._breaker.failed(now)
        return StoreUnavailable(STORE_AWAY, uncertain=not isinstance(error, NotConnected), detail=detail)

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
        return cast("Values", await self.read(lambda: self.redis.mget(keys)))

    async def primary(self) -> tuple[str, int] | None:
        """Return the address of the primary according to the sentinels, or None without sentinels.

        Raises:
            redis.exceptions.RedisError: none of them knows one.
        """
        return await self._pool.primary()

    def distrust_older(self) -> None:
        """Replace every connection that is open now when it is next used."""
        self._pool.distrust(opened_before=asyncio.get_running_loop().time())

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[asyncio.WriteTransport]:
        """Yield a connection outside the pool with the same settings, in RESP3, for callers of the raw protocol.

        Raises:
            redis.exceptions.RedisError: it cannot be made.
        """
        connection = self._pool.outside(protocol=3)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            writer = connection._writer  # noqa: SLF001  redis-py offers nothing that takes a message the moment it comes
            if writer is None:
                raise RedisConnectionError("the connection was closed")
            yield writer.transport
            writer.transport.abort()
        finally:
            await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close every connection."""
        await self.redis.aclose()
        await self.redis.connection_pool.disconnect()
