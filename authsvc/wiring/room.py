"""What watches the room of Redis in a worker: on its disk and in its memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from authsvc.disk_room import MIB, DiskWatch, Room, describe
from authsvc.logs import Logger
from authsvc.metrics.catalogue import STORE_DISK_FREE, STORE_DISK_SIZE, STORE_MEMORY_LIMIT, STORE_MEMORY_USED
from authsvc.metrics.shared_metrics import Slot
from authsvc.processes.waiting import ended
from authsvc.settings import Settings
from authsvc.store.connection import Connection
from authsvc.store.memory_room import MemoryWatch, describe_memory


@asynccontextmanager
async def watched_disk(settings: Settings, logger: Logger, slot: Slot) -> AsyncIterator[DiskWatch]:
    """Yield what watches the disk of Redis."""

    def changed(watch: DiskWatch) -> None:
        log = logger.info if watch.room is Room.ENOUGH else logger.warning
        free = watch.disk.free if watch.disk else None
        log("store.disk", room=watch.room.value, free=free, reserve=watch.reserve, detail=describe(watch))

    def count() -> None:
        slot.set(STORE_DISK_FREE, watch.disk.free if watch.disk else 0)
        slot.set(STORE_DISK_SIZE, watch.disk.size if watch.disk else 0)

    watch = DiskWatch(settings.redis_disk, settings.redis_disk_reserve * MIB, changed)
    looking = asyncio.create_task(watch.keep_looking(count))
    try:
        yield watch
    finally:
        await ended(looking)


@asynccontextmanager
async def watched_memory(connection: Connection, logger: Logger, slot: Slot) -> AsyncIterator[MemoryWatch]:
    """Yield what watches the memory of the Redis of ``connection``."""

    def changed(watch: MemoryWatch) -> None:
        if watch.memory is not None:
            log = logger.warning if watch.room is Room.FULL else logger.info
            used, limit = watch.memory.used, watch.memory.limit
            log("store.memory", room=watch.room.value, used=used, limit=limit, detail=describe_memory(watch.memory))

    def count() -> None:
        slot.set(STORE_MEMORY_USED, watch.memory.used if watch.memory else 0)
        slot.set(STORE_MEMORY_LIMIT, watch.memory.limit if watch.memory else 0)

    watch = MemoryWatch(connection, changed)
    looking = asyncio.create_task(watch.keep_looking(count))
    try:
        yield watch
    finally:
        await ended(looking)
