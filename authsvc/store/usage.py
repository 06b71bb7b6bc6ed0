"""When credentials were last used: noted in memory, written in batches, worth nothing to security but idle ends."""

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

MAX_NOTED = 50_000
"""Most credentials noted between two batches; more are left to their next use."""

MAX_BATCH = 500
"""Most that one command writes: neither Redis nor this process serves anybody else for more than some milliseconds."""

NO_ROOM = "the disk of Redis is nearly full"

KEPT_FOR = 400 * 24 * 3600
"""Seconds after which an unused credential's note is forgotten."""

_WRITE = """
for place, key in ipairs(KEYS) do redis.call('SET', key, ARGV[place + 1], 'EX', ARGV[1]) end
"""


class RedisUsage:
    """Notes who signed in and writes it down in the background."""

    def __init__(self, connection: Connection, logger: Logger, has_room: Callable[[], bool] = lambda: True) -> None:
        """Write through ``connection`` while ``has_room`` says so: it can wait."""
        self._has_room = has_room
        self._connection = connection
        self._logger = logger
        self._write = connection.redis.register_script(_WRITE)
        self._noted: dict[str, datetime] = {}

    def note(self, credential_id: str, now: datetime) -> None:
        """Remember that a credential was used."""
        if credential_id in self._noted or len(self._noted) < MAX_NOTED:
            self._noted[credential_id] = now

    async def keep_flushing(self) -> None:
        """Write a batch every few seconds until cancelled. Whoever cancels it calls :meth:`flush` once more."""
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted; what cannot be written is dropped, since the next use says the same.

        What is not written yet when this is cancelled stays noted.
        """
        waiting = list(self._noted.items())
        for first in range(0, len(waiting), MAX_BATCH):
            batch = waiting[first : first + MAX_BATCH]
            names = [keys.used(credential_id) for credential_id, _ in batch]
            arguments: list[str | int] = [KEPT_FOR, *(at.isoformat() for _, at in batch)]
            if not self._has_room():
                self._drop(waiting[first:], NO_ROOM)
                return
            try:
                await self._connection.run(self._write(keys=names, args=arguments))
            except StoreUnavailable as error:
                self._drop(waiting[first:], error.detail)
                return
            self._forget(batch)

    def _drop(self, noted: Sequence[tuple[str, datetime]], why: str | None) -> None:
        self._logger.warning("usage.not_written", credentials=len(noted), detail=why)
        self._forget(noted)

    def _forget(self, noted: Sequence[tuple[str, datetime]]) -> None:
        """Forget uses, but not those of the same credentials since then."""
        for credential_id, at in noted:
            if self._noted.get(credential_id) == at:
                del self._noted[credential_id]


@frozen
class RedisUsageReader:
    """Reads when credentials were last used.

    Attributes:
        connection: to Redis.
    """

    connection: Connection

    async def used_at(self, credential_ids: Iterable[str]) -> dict[str, datetime]:
        """Return when each credential last logged in; one that never did is left out.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        ids = list(credential_ids)
        raws = await self.connection.get_all(*map(keys.used, ids))
        return {one: decode_instant(raw) for one, raw in zip(ids, raws, strict=True) if raw is not None}
