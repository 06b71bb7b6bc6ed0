"""When credentials were last used: collected in memory and written in batches; security needs it for idle ends only."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from attrs import frozen

from authsvc.errors import StoreUnavailable
from authsvc.logs import Logger
from authsvc.store import keys
from authsvc.store.codec import decode_instant
from authsvc.store.connection import Connection

FLUSH_EVERY = 10.0
"""Seconds between two batches."""

MAX_USES = 50_000
"""Most uses collected between two batches; more are left to their next use."""

MAX_BATCH = 500
"""Most uses that one command writes, so that it blocks Redis and this process only for some milliseconds."""

NO_ROOM = "the disk of Redis is nearly full"

EXPIRES_AFTER = 400 * 24 * 3600
"""Seconds after which the last use of a credential expires."""

_WRITE = """
for index, key in ipairs(KEYS) do redis.call('SET', key, ARGV[index + 1], 'EX', ARGV[1]) end
"""


class RedisUsage:
    """Collects uses of credentials and writes them in the background."""

    def __init__(self, connection: Connection, logger: Logger, has_room: Callable[[], bool] = lambda: True) -> None:
        """Write through ``connection`` while ``has_room`` returns true."""
        self._has_room = has_room
        self._connection = connection
        self._logger = logger
        self._write = connection.redis.register_script(_WRITE)
        self._uses: dict[str, datetime] = {}

    def record(self, credential_id: str, now: datetime) -> None:
        """Remember that a credential was used."""
        if credential_id in self._uses or len(self._uses) < MAX_USES:
            self._uses[credential_id] = now

    async def run(self) -> None:
        """Write a batch every few seconds until cancelled. The caller that cancels it calls :meth:`flush` once more."""
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Write what was collected; what cannot be written is dropped, since the next use writes the same.

        If this is cancelled, uses that are not written yet stay collected.
        """
        waiting = list(self._uses.items())
        for first in range(0, len(waiting), MAX_BATCH):
            batch = waiting[first : first + MAX_BATCH]
            names = [keys.used(credential_id) for credential_id, _ in batch]
            arguments: list[str | int] = [EXPIRES_AFTER, *(at.isoformat() for _, at in batch)]
            if not self._has_room():
                self._drop(waiting[first:], NO_ROOM)
                return
            try:
                await self._connection.run(self._write(keys=names, args=arguments))
            except StoreUnavailable as error:
                self._drop(waiting[first:], error.detail)
                return
            self._forget(batch)

    def _drop(self, uses: Sequence[tuple[str, datetime]], why: str | None) -> None:
        self._logger.warning("usage.not_written", credentials=len(uses), detail=why)
        self._forget(uses)

    def _forget(self, uses: Sequence[tuple[str, datetime]]) -> None:
        """Forget uses, but not those of the same credentials since then."""
        for credential_id, at in uses:
            if self._uses.get(credential_id) == at:
                del self._uses[credential_id]


@frozen(eq=False, repr=False)
class RedisUsageReader:
    """Reads when credentials were last used.

    Attributes:
        connection: to Redis.
    """

    connection: Connection

    async def used_at(self, credential_ids: Iterable[str]) -> dict[str, datetime]:
        """Return when each credential was last used; unused ones are left out.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        ids = list(credential_ids)
        raws = await self.connection.get_all(*map(keys.used, ids))
        return {one: decode_instant(raw) for one, raw in zip(ids, raws, strict=True) if raw is not None}
