"""What outsiders cause stops before the memory of Redis is full, and a license can be revoked all the while."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from attrs import evolve

from authsvc.activity.event_sink import RecordedEvents
from authsvc.disk_room import MIB, Room
from authsvc.errors import StoreRefused, StoreUnavailable
from authsvc.manage.actor import Actor
from authsvc.manage.licenses import Licenses
from authsvc.manage.operation import Operation
from authsvc.store.activity_sink import GRACE, RedisActivitySink
from authsvc.store.connection import Connection
from authsvc.store.memory_room import Memory, MemoryWatch, describe_memory, room_in
from authsvc.store.records import Records
from authsvc.wiring.stores import make_stores
from tests.support.activity import Recording, digest, event, recording
from tests.support.builders import NOW, SERVICE
from tests.support.installation import KeysInMemory
from tests.support.redis_server import redis_server

TAGS = 20
"""Events of one notification, each with a name of its own."""

FLOOD = 300
"""Notifications; far more than there is room for."""


@pytest.fixture
async def store() -> AsyncIterator[Recording]:
    """Yield a store without activity."""
    async with recording() as made:
        yield made


@pytest.mark.parametrize(
    ("used", "limit", "before", "expected"),
    [
        (10**12, 0, Room.ENOUGH, Room.ENOUGH),
        (0, 100, Room.UNKNOWN, Room.ENOUGH),
        (85, 100, Room.ENOUGH, Room.ENOUGH),
        (86, 100, Room.ENOUGH, Room.FULL),
        (86, 100, Room.UNKNOWN, Room.FULL),
        (81, 100, Room.FULL, Room.FULL),
        (80, 100, Room.FULL, Room.ENOUGH),
        (81, 100, Room.ENOUGH, Room.ENOUGH),
    ],
)
def test_the_marks(used: int, limit: int, before: Room, expected: Room) -> None:
    """Above 85 % it is full, until it is below 80 % again; without a limit it never is."""
    assert expected is room_in(Memory(used, limit), before)
    assert expected is room_in(Memory(used, limit), expected)


def test_no_limit_is_described_as_none() -> None:
    """And not as a limit of 0 MiB."""
    assert "uses 3 MiB and has no maxmemory, so activity" in describe_memory(Memory(3 * MIB, 0))
    assert "uses 3 of the 100 MiB of its maxmemory, so activity and the index of images continue" in describe_memory(
        Memory(3 * MIB, 100 * MIB)
    )


async def flooded(sink: RedisActivitySink, watch: MemoryWatch) -> int:
    """Send one notification after the other until one is not taken; return how many were."""
    for number in range(FLOOD):
        await watch.look()
        names = range(TAGS * number, TAGS * (number + 1))
        try:
            taken = await sink.record([event(tag=f"v{one}", digest=digest(one)) for one in names], NOW)
        except StoreRefused:
            pytest.fail("it did not stop by itself before Redis refused it")
        except StoreUnavailable:
            return number
        assert taken == RecordedEvents(accepted=TAGS)
    return FLOOD


async def test_a_flood_stops_in_time(store: Recording) -> None:
    """Then a license is made and revoked; when there is room again, events are recorded again."""
    redis = store.connection.redis
    used = (await redis.info("memory"))["used_memory"]
    await redis.config_set("maxmemory", used + 4 * MIB)
    told: list[str] = []
    watch = MemoryWatch(store.connection, lambda watch: told.append(describe_memory(watch.memory or Memory(0, 0))))
    sink = evolve(store.sink, has_room=watch.has_room)
    assert 0 < await flooded(sink, watch) < FLOOD
    assert RecordedEvents(dropped=1, no_room=1) == await sink.record([event()], NOW + GRACE)
    assert "of its maxmemory, so activity and the index of images have stopped" in told[0]
    assert Room.FULL.value == watch.facts()["room"]

    licenses = Licenses(make_stores(Records(store.connection, sink.codec)), KeysInMemory(), SERVICE)
    revoked = await licenses.revoke("c000000000000001", Operation(Actor.operator(), NOW, "op-1", bytes))
    assert revoked.revoked_at == NOW
    extended, _ = await licenses.extend("c000000000000002", "400d", Operation(Actor.operator(), NOW, "op-2", bytes))
    assert extended.expires_at > NOW + timedelta(days=399), "what is left is for changes"

    await redis.config_set("maxmemory", used + 40 * MIB)
    await watch.look()
    assert RecordedEvents(accepted=1) == await sink.record([event()], NOW + GRACE)
    assert [True, False] == ["have stopped" in one for one in told]


async def test_a_redis_that_does_not_answer_has_the_room_it_had() -> None:
    """While it is away nothing is known; it is looked at again when it answers."""
    async with redis_server("--maxmemory", "1") as server:
        connection = Connection(server.url)
        told: list[Room] = []
        watch = MemoryWatch(connection, lambda watch: told.append(watch.room))
        assert (True, {"room": "unknown"}) == (watch.has_room(), watch.facts())
        await watch.look()
        await server.stop()
        await watch.look()
        assert not watch.has_room()
        assert [Room.FULL] == told
        await connection.close()
