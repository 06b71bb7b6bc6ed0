"""Watches of free space in a worker: on the disks of Redis and of the images, and in the memory of Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from attrs import frozen

from authsvc.disk_room import MIB, DiskWatch, Room, describe_images, describe_store, share_disk
from authsvc.logs import Logger
from authsvc.metrics.catalogue import (
    REGISTRY_DISK_FREE,
    REGISTRY_DISK_SIZE,
    STORE_DISK_FREE,
    STORE_DISK_SIZE,
    STORE_FILE,
    STORE_MEMORY_LIMIT,
    STORE_MEMORY_USED,
)
from authsvc.metrics.metric import Metric
from authsvc.metrics.shared_metrics import Slot
from authsvc.processes.waiting import ended
from authsvc.settings import Settings
from authsvc.store.connection import Connection
from authsvc.store.memory_room import MemoryWatch, describe_memory


@frozen
class RoomWatches:
    """The watches of one installation in one worker."""

    store_disk: DiskWatch
    registry_disk: DiskWatch
    memory: MemoryWatch

    def has_room(self) -> bool:
        """Whether Redis has room for data that can wait."""
        return self.store_disk.has_room() and self.memory.has_room()


@asynccontextmanager
async def watched_room(
    settings: Settings, connection: Connection, logger: Logger, slot: Slot
) -> AsyncIterator[RoomWatches]:
    """Yield the watches of the disks, and of the memory of the Redis of ``connection``."""
    async with (
        _watched_disks(settings, logger, slot) as disks,
        _watched_memory(connection, logger, slot) as memory,
    ):
        yield RoomWatches(*disks, memory)


@asynccontextmanager
async def _watched_disks(settings: Settings, logger: Logger, slot: Slot) -> AsyncIterator[tuple[DiskWatch, DiskWatch]]:
    """Yield the watch of the disk of Redis, and that of the disk of the images.

    If it is the same disk, its changes are logged only once, as those of Redis.
    """

    def store_changed(watch: DiskWatch) -> None:
        log = logger.info if watch.room is Room.ENOUGH else logger.warning
        log("store.disk", room=watch.room.value, free=_free(watch), reserve=watch.reserve, detail=describe_store(watch))

    def images_changed(watch: DiskWatch) -> None:
        if not share_disk(settings.registry_disk, settings.redis_disk):
            log = logger.info if watch.room is Room.ENOUGH else logger.warning
            facts = {"room": watch.room.value, "free": _free(watch), "reserve": watch.reserve}
            log("registry.disk", **facts, detail=describe_images(watch))

    store = DiskWatch(settings.redis_disk, settings.redis_disk_reserve * MIB, store_changed)
    images = DiskWatch(settings.registry_disk, settings.registry_disk_reserve * MIB, images_changed)
    looking = [
        asyncio.create_task(store.keep_looking(partial(_count, store, slot, STORE_DISK_FREE, STORE_DISK_SIZE))),
        asyncio.create_task(images.keep_looking(partial(_count, images, slot, REGISTRY_DISK_FREE, REGISTRY_DISK_SIZE))),
    ]
    try:
        yield store, images
    finally:
        for task in looking:
            await ended(task)


def _free(watch: DiskWatch) -> int | None:
    return watch.disk.free if watch.disk else None


def _count(watch: DiskWatch, slot: Slot, free: Metric, size: Metric) -> None:
    slot.set(free, watch.disk.free if watch.disk else 0)
    slot.set(size, watch.disk.size if watch.disk else 0)


@asynccontextmanager
async def _watched_memory(connection: Connection, logger: Logger, slot: Slot) -> AsyncIterator[MemoryWatch]:
    """Yield the watch of the memory of the Redis of ``connection``."""

    def changed(watch: MemoryWatch) -> None:
        if watch.memory is not None:
            log = logger.warning if watch.room is Room.FULL else logger.info
            used, limit = watch.memory.used, watch.memory.limit
            log("store.memory", room=watch.room.value, used=used, limit=limit, detail=describe_memory(watch.memory))

    def count() -> None:
        slot.set(STORE_MEMORY_USED, watch.memory.used if watch.memory else 0)
        slot.set(STORE_MEMORY_LIMIT, watch.memory.limit if watch.memory else 0)
        slot.set(STORE_FILE, watch.file_bytes)

    watch = MemoryWatch(connection, changed)
    looking = asyncio.create_task(watch.keep_looking(count))
    try:
        yield watch
    finally:
        await ended(looking)
