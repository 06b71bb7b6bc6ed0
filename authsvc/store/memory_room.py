"""Memory of Redis, with a watermark: data that clients can cause stops growing before Redis refuses every change.

At ``maxmemory`` Redis refuses writes, and licenses could be neither made nor changed only because many images were
pulled. So below that limit the activity and the index of images stop, and the remaining memory is for changes,
decisions of the audit and the throttle. A change that ends access does not even need that
(:mod:`authsvc.store.transaction`).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from authsvc.disk_room import MIB, Room
from authsvc.errors import StoreUnavailable
from authsvc.store.connection import Connection

LOOK_EVERY = 3.0
"""Seconds between two checks: in that time a flood of events adds at most some megabytes."""

STOP_AT, RESUME_AT = 0.85, 0.80
"""Shares of ``maxmemory``: above the first, writes that can wait stop; below the second they continue, so that the
state does not flap."""


@frozen
class Memory:
    """What Redis uses, in bytes.

    Attributes:
        used: as Redis compares it with its limit: without the buffers of replicas and of the append-only file.
        limit: ``maxmemory``; 0 when there is none.
    """

    used: int
    limit: int


def room_in(memory: Memory, before: Room) -> Room:
    """Return how much room there is, if there was as much as ``before``."""
    mark = RESUME_AT if before is Room.FULL else STOP_AT
    return Room.FULL if memory.limit and memory.used > mark * memory.limit else Room.ENOUGH


def describe_memory(memory: Memory) -> str:
    """Return a sentence for people about the memory of Redis."""
    if not memory.limit:
        return f"Redis uses {memory.used // MIB} MiB and has no maxmemory, so activity and the index of images continue"
    used = f"Redis uses {memory.used // MIB} of the {memory.limit // MIB} MiB of its maxmemory"
    if room_in(memory, Room.FULL) is Room.FULL:
        return f"{used}, so activity and the index of images have stopped; give it more (docs/reliability.md)"
    return f"{used}, so activity and the index of images continue"


class MemoryWatch:
    """Watches the memory of Redis.

    A Redis that does not answer, or does not say, has as much room as it had before: without it nothing is written.
    """

    def __init__(self, connection: Connection, on_change: Callable[["MemoryWatch"], None] = lambda _: None) -> None:
        """Watch the Redis of ``connection``; ``on_change`` is called when it is full, and when it no longer is."""
        self.room = Room.UNKNOWN
        self.memory: Memory | None = None
        """At the last check that was answered."""
        self.file_bytes = 0
        """Size of the append-only file at that look; 0 when Redis does not say."""
        self._connection = connection
        self._on_change = on_change

    def has_room(self) -> bool:
        """Whether what can wait may be written."""
        return self.room is not Room.FULL

    def facts(self) -> Mapping[str, Any]:
        """Return the result of the last check, for ``/readyz``."""
        if self.memory is None:
            return {"room": self.room.value}
        limit = self.memory.limit or None
        return {"room": self.room.value, "used_bytes": self.memory.used, "limit_bytes": limit}

    async def look(self) -> None:
        """Query Redis, and report a change."""
        redis = self._connection.redis
        try:
            facts = await self._connection.read(lambda: redis.info("memory", "persistence"))
        except StoreUnavailable:
            return
        if "used_memory" not in facts:
            return
        self.file_bytes = int(facts.get("aof_current_size", 0))
        before, uncounted = self.room, int(facts.get("mem_not_counted_for_evict", 0))
        self.memory = Memory(int(facts["used_memory"]) - uncounted, int(facts.get("maxmemory", 0)))
        self.room = room_in(self.memory, before)
        # The first check is reported only if something is wrong.
        if self.room is not before and (before, self.room) != (Room.UNKNOWN, Room.ENOUGH):
            self._on_change(self)

    async def keep_looking(self, after_look: Callable[[], None] = lambda: None) -> None:
        """Check every few seconds until cancelled."""
        while True:
            await self.look()
            after_look()
            await asyncio.sleep(LOOK_EVERY)
