"""The connection on which Redis reports every change of a cached kind of record (client tracking, in RESP3).

It is made with the settings of the pool, so TLS, access rules and Sentinel are the same; then it uses the raw protocol:
reports of Redis are applied as soon as they arrive, before any request that arrived later is processed.

``HELLO`` is asked every second. Its answer comes after every report that Redis sent before, so it proves that all
changes before it have been reported; and it tells whether Redis is still the primary. With Sentinel, the sentinels are
asked first: a primary that was replaced without noticing it still answers.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import hiredis
from redis.exceptions import RedisError, ResponseError
from typing_extensions import override

from authsvc.logs import Logger
from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.record_cache import CURRENT_FOR, RecordCache
from authsvc.store.refusals import MAX_REPLY, reply_of

ASK_EVERY = 1.0
"""Seconds between two proofs."""

PAUSE = 0.5
"""Seconds before a lost connection is made again."""

REFUSED_PAUSE = 60.0
"""Seconds before the next attempt with a Redis that does not report changes."""

REPLACED = "another Redis is the primary now"


class TrackingRefused(Exception):
    """Redis does not report changes."""


class TrackingLost(Exception):
    """The connection can no longer be used."""


class _Reports(asyncio.Protocol):
    """Reads the messages of Redis."""

    def __init__(self, invalidate: Callable[[Iterable[str] | None], None]) -> None:
        self._invalidate = invalidate
        self._incomplete = object()
        self._reader = hiredis.Reader(notEnoughData=self._incomplete)
        self._questions: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.WriteTransport | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, transport: asyncio.WriteTransport) -> None:
        """Use ``transport`` from now on."""
        self._transport = transport
        transport.set_protocol(self)

    async def ask(self, *command: str) -> Any:
        """Return the reply to a command.

        Raises:
            TrackingRefused: it is an error.
            TrackingLost: there was none.
        """
        if self._transport is None or self.lost.done():
            raise TrackingLost("the connection was closed")
        question: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._questions.append(question)
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub takes one word only
        await asyncio.wait((question, self.lost), timeout=CURRENT_FOR, return_when=asyncio.FIRST_COMPLETED)
        if not question.done():
            raise TrackingLost("the connection was closed" if self.lost.done() else "no reply in time")
        reply = question.result()
        if isinstance(reply, hiredis.ReplyError):
            raise TrackingRefused(str(reply)[:MAX_REPLY])
        return reply

    @override
    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (message := self._reader.gets()) is not self._incomplete:
                self._take(message)
        except (hiredis.ProtocolError, IndexError, ValueError):
            self._end()

    def _take(self, message: Any) -> None:
        if not isinstance(message, hiredis.PushNotification):
            question = self._questions.popleft()
            if not question.done():
                question.set_result(message)
        elif message[0] == b"invalidate":
            self._invalidate(None if message[1] is None else map(bytes.decode, message[1]))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        self.on_lost()
        if not self.lost.done():
            self.lost.set_result(None)


class RecordTracking:
    """Keeps a cache current as long as Redis reports changes."""

    def __init__(self, connection: Connection, cache: RecordCache, logger: Logger) -> None:
        """Connect as ``connection`` does, which is what the cache is filled through."""
        self._connection = connection
        self._cache = cache
        self._logger = logger
        self._told = False

    async def run(self) -> None:
        """Follow the changes until cancelled; reconnect after failures."""
        while True:
            try:
                await self._follow()
            except (TrackingRefused, ResponseError) as error:
                self._untracked(reply_of(error) if isinstance(error, RedisError) else str(error))
                await asyncio.sleep(REFUSED_PAUSE)
            except (TrackingLost, RedisError, OSError, TimeoutError) as error:
                self._untracked(str(error) or type(error).__name__)
                await asyncio.sleep(PAUSE)

    async def _follow(self) -> None:
        """Follow the changes until the connection is lost.

        Raises:
            TrackingRefused: Redis does not report changes.
            ResponseError: the same, as redis-py raises it.
            TrackingLost: the connection can no longer be used.
            RedisError: it cannot be made.
        """
        primary = await self._connection.primary()
        reports = _Reports(self._cache.invalidate)
        async with self._connection.dedicated() as transport:
            reports.take(transport)
            prefixes = [word for prefix in keys.CACHED for word in ("PREFIX", prefix)]
            await reports.ask("CLIENT", "TRACKING", "ON", "BCAST", *prefixes)
            if await self._connection.primary() != primary:
                raise TrackingLost(REPLACED)
            asked_at = await self._prove(reports)
            # A pooled connection may lead to the previous primary, and changes of what is read there would never be
            # reported.
            self._connection.distrust_older()
            period = self._cache.begin_period(asked_at)
            reports.on_lost = lambda: self._cache.end_period(period)
            self._tracked()
            try:
                while not reports.lost.done():
                    await asyncio.wait((reports.lost,), timeout=ASK_EVERY)
                    if await self._is_still(primary):
                        period.proven_at = await self._prove(reports)
            finally:
                self._cache.end_period(period)
        raise TrackingLost("the connection was closed")

    async def _is_still(self, primary: tuple[str, int] | None) -> bool:
        """Whether the sentinels, if there are any, say that this is the primary; False when none of them answers.

        Raises:
            TrackingLost: they say that it is another one.
        """
        try:
            now = await self._connection.primary()
        except RedisError:
            return False
        if now != primary:
            raise TrackingLost(REPLACED)
        return True

    async def _prove(self, reports: _Reports) -> float:
        """Return a time until which every change has been reported."""
        asked_at = self._cache.monotonic()
        reply = await reports.ask("HELLO")
        if not isinstance(reply, dict):
            raise TrackingRefused("it does not speak RESP3")
        if reply.get(b"role") != b"master":
            raise TrackingLost("it is not the primary any more")
        return asked_at

    def _tracked(self) -> None:
        self._told = False
        self._logger.info("store.tracked")

    def _untracked(self, reason: str) -> None:
        """Log once why changes are not reported."""
        if not self._told:
            self._logger.warning("store.untracked", reason=reason)
        self._told = True
