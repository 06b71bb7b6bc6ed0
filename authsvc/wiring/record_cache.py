"""The cache of records of a worker, kept current by Redis."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from authsvc.logs import Logger
from authsvc.metrics.catalogue import CACHE, RECORD_READS, RECORDS_CACHED, REDIS, WORKERS_TRACKING
from authsvc.metrics.shared_metrics import Slot
from authsvc.processes.waiting import ended
from authsvc.settings import Settings
from authsvc.store.connection import Connection
from authsvc.store.record_cache import RecordCache
from authsvc.store.record_tracking import RecordTracking

COUNT_EVERY = 1.0
"""Seconds between two updates of the metrics of the cache, which counts in its own memory."""


@asynccontextmanager
async def record_cache(
    settings: Settings, connection: Connection, logger: Logger, slot: Slot
) -> AsyncIterator[RecordCache]:
    """Yield the cache of the records that are read through ``connection``."""
    # Unlike time.monotonic, it continues while the machine sleeps.
    cache = RecordCache(settings.cached_records, lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
    counted = [0, 0]

    def count() -> None:
        hits, misses = cache.hits, cache.misses
        slot.inc(RECORD_READS, CACHE, by=hits - counted[0])
        slot.inc(RECORD_READS, REDIS, by=misses - counted[1])
        counted[:] = hits, misses
        slot.set(RECORDS_CACHED, len(cache))
        slot.set(WORKERS_TRACKING, int(cache.is_current()))

    async def keep_counting() -> None:
        while True:
            count()
            await asyncio.sleep(COUNT_EVERY)

    tasks = [
        asyncio.create_task(RecordTracking(connection, cache, logger).run()),
        asyncio.create_task(keep_counting()),
    ]
    try:
        yield cache
    finally:
        await ended(*tasks)
        count()
