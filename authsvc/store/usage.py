"""When credentials were last used: noted in memory, written in batches, worth nothing to security but idle ends."""

import asyncio
from datetime import datetime

from authsvc.errors import StoreUnavailable
from authsvc.logs import Logger
from authsvc.store import keys
from authsvc.store.connection import Connection

FLUSH_EVERY = 10.0
"""Seconds between two batches."""

MAX_NOTED = 50_000
"""Most credentials noted between two batches; more are left to their next use."""

KEPT_FOR = 400 * 24 * 3600
"""Seconds after which an unused credential's note is forgotten."""


class RedisUsage:
    """Notes who signed in and writes it down in the background."""

    def __init__(self, connection: Connection, logger: Logger) -> None:
        """Write through ``connection``."""
        self._connection = connection
        self._logger = logger
        self._noted: dict[str, datetime] = {}

    def note(self, credential_id: str, now: datetime) -> None:
        """Remember that a credential was used."""
        if credential_id in self._noted or len(self._noted) < MAX_NOTED:
            self._noted[credential_id] = now

    async def keep_flushing(self) -> None:
        """Write a batch every few seconds until cancelled; then the last one."""
        try:
            while True:
                await asyncio.sleep(FLUSH_EVERY)
                await self.flush()
        finally:
            await self.flush()

    async def flush(self) -> None:
        """Write what was noted; a batch that can not be written is dropped, since the next use says the same."""
        noted, self._noted = self._noted, {}
        if not noted:
            return
        pipeline = self._connection.redis.pipeline(transaction=False)
        for credential_id, at in noted.items():
            _ = pipeline.set(keys.used(credential_id), at.isoformat(), ex=KEPT_FOR)
        try:
            await self._connection.run(pipeline.execute())
        except StoreUnavailable as error:
            self._logger.warning("usage.not_written", credentials=len(noted), detail=error.detail)
