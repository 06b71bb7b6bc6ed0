"""Events of the registry become counts once, whatever happens to the sender, to Redis, and to the room on its disk."""

import asyncio
import itertools
import random
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from attrs import evolve
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from authsvc.activity.activity_filter import Resolution
from authsvc.activity.event_sink import RecordedEvents
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import HOURS_KEPT
from authsvc.errors import StoreRefused, StoreUnavailable
from authsvc.spec.registry_event import RegistryEvent
from authsvc.store import activity_sink, keys
from authsvc.store.activity_images import RedisActivityImages
from authsvc.store.activity_layout import MAX_COUNTS, MAX_NETWORKS, MAX_USED
from authsvc.store.activity_sink import GRACE, RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from tests.support.activity import (
    LICENSE,
    MEMBER,
    OTHER_LICENSE,
    Recording,
    blob,
    digest,
    event,
    fill,
    push,
    recording,
)
from tests.support.activity_history import History
from tests.support.activity_totals import all_rows, amount, check, readers
from tests.support.builders import NOW, make_app
from tests.support.redis_server import RedisServer, patient, redis_server, server_in_background

DAY = timedelta(days=1)


@pytest.fixture
async def store() -> AsyncIterator[Recording]:
    """Yield a store without activity."""
    async with recording() as made:
        yield made


def made_up(seed: int) -> History:
    """Return a repeatable history."""
    return History(random.Random(seed), NOW)


async def test_an_event_counts_once(store: Recording) -> None:
    """Sent again at once, in one call, after a restart of the worker, or within 14 days."""
    one = event()
    assert RecordedEvents(accepted=1) == await store.sink.record([one], NOW)
    assert RecordedEvents(duplicate=2) == await store.sink.record([one, one], NOW)
    fresh = RedisActivitySink(store.connection, Codec())
    assert RecordedEvents(duplicate=1) == await fresh.record([one], NOW + HOURS_KEPT)
    assert RecordedEvents(dropped=1) == await fresh.record([one], NOW + HOURS_KEPT + timedelta(seconds=1))
    assert RecordedEvents() == await fresh.record([], NOW)
    rows, _ = readers(store)
    assert [1] == [row.count for row in await all_rows(rows)]


async def test_every_event_of_a_busy_hour_is_recognised(store: Recording) -> None:
    """The ids of an hour fill several levels of sets; each of them is looked at."""
    ids = [f"id-{number}" for number in range(6_000)]
    events = [event(id=one, subject=None, tag=None) for one in ids]
    assert RecordedEvents(accepted=6_000) == await store.sink.record(events, NOW)
    assert RecordedEvents(duplicate=6_000) == await store.sink.record(events, NOW)
    async for key in store.connection.redis.scan_iter(f"{keys.ACTIVITY}seen:*:*"):
        assert await store.connection.redis.object("ENCODING", key) == b"intset"
        assert 0 < await store.connection.redis.ttl(key) <= 16 * 86400


async def test_an_event_from_the_future_is_recognised_too(store: Recording) -> None:
    """It counts as of the first time that it came, and is not remembered until then."""
    late = event(timestamp=NOW + 1000 * DAY)
    assert RecordedEvents(accepted=1) == await store.sink.record([late], NOW)
    assert RecordedEvents(duplicate=1) == await store.sink.record([late], NOW + 13 * DAY)
    (row,) = await all_rows(readers(store)[0])
    assert row.last_at == NOW
    async for key in store.connection.redis.scan_iter(f"{keys.ACTIVITY}seen:*"):
        assert await store.connection.redis.ttl(key) <= 16 * 86400


async def test_changed_images_are_marked(store: Recording) -> None:
    """By pushes and deletes of anyone, authsvc too; not by repeated ones, pulls and blobs."""
    own = event("delete", "DELETE", repository="acme/own", subject="system:authsvc", digest=None)
    pushed, deleted = push(), event("delete", "DELETE", repository="acme/gone", tag=None, media_type=None)
    await store.record(event(repository="acme/pulled"), blob(1), pushed, deleted)
    assert RecordedEvents(ignored=1) == await store.sink.record([own], NOW)
    members = store.connection.redis.smembers
    changed = {"acme/worker:1.0", "acme/own:1.0", f"acme/gone@{digest()}"}
    assert {one.encode() for one in changed} == await members(keys.IMAGES_CHANGED)

    await store.connection.redis.delete(keys.IMAGES_CHANGED)
    await store.record(pushed, deleted, own)
    assert not await store.connection.redis.exists(keys.IMAGES_CHANGED)


async def test_apps_and_licenses_are_learned(store: Recording) -> None:
    """An app that is made later counts from then on; a license is read once."""
    later = event(repository="later/web", subject=MEMBER)
    assert RecordedEvents(ignored=1) == await store.sink.record([later], NOW)
    await store.connection.redis.set(keys.app("later"), Codec().encode(make_app("later")))
    assert RecordedEvents(accepted=1) == await store.sink.record([later], NOW)

    await store.record(event())
    await store.connection.redis.delete(keys.license_("c000000000000001"))
    await store.record(event())
    rows, _ = readers(store)
    found = [*await all_rows(rows, app="acme"), *await all_rows(rows, app="later")]
    assert {LICENSE: 2, MEMBER: 1} == {row.subject: row.count for row in found}


async def test_what_is_remembered_of_licenses_is_bounded(store: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten is read again."""
    monkeypatch.setattr(activity_sink, "MAX_KNOWN", 1)
    both = f"{LICENSE},c000000000000002"
    await store.record(event(), event(subject=both), event(subject=OTHER_LICENSE), event(subject=both))
    assert {LICENSE: 3, OTHER_LICENSE: 3} == {row.subject: row.count for row in await all_rows(readers(store)[0])}


async def test_many_images_are_counted_together(store: Recording) -> None:
    """Beyond the limit of an account rows have no image; totals are exact, and a summary says that it lacks some."""
    total = MAX_COUNTS + 100
    events = [event(tag=None, digest=digest(number)) for number in range(total)]
    await store.sink.record([*events, event(tag=None, digest=digest(total + 1))], NOW)
    rows, accounts = readers(store)
    for resolution, most in ((Resolution.DAY, MAX_COUNTS), (Resolution.HOUR, MAX_COUNTS // 4)):
        found = await all_rows(rows, app="acme", resolution=resolution)
        assert most + 1 == len(found)
        assert [total - most + 1] == [row.count for row in found if row.image is None]
        assert total + 1 == sum(map(amount, found))
    (day,) = (await accounts.days("acme", NOW - DAY, NOW)).items
    assert total + 1 == day.pulls
    (account,) = await accounts.accounts([("acme", LICENSE)], NOW)
    assert account is not None
    assert (MAX_USED, True) == (len(account.uses), account.more_images)


async def test_many_networks_are_marked(store: Recording) -> None:
    """Some are known, and that there are more."""
    await store.sink.record([event(address=f"198.51.100.{number}") for number in range(MAX_NETWORKS + 1)], NOW)
    (account,) = await readers(store)[1].accounts([("acme", LICENSE)], NOW)
    assert account is not None
    assert (MAX_NETWORKS, True) == (len(account.networks), account.more_networks)


async def test_without_room_the_registry_keeps_its_events_for_some_time(store: Recording) -> None:
    """Then they are dropped and counted, until there is room again; what is not recorded anyway waits for nothing."""
    room = False
    sink = evolve(store.sink, has_room=lambda: room)
    with pytest.raises(StoreUnavailable):
        await sink.record([event()], NOW)
    assert RecordedEvents(ignored=1) == await sink.record([event(repository="nobody/web")], NOW)
    with pytest.raises(StoreUnavailable):
        await sink.record([event()], NOW + GRACE - timedelta(seconds=1))
    assert RecordedEvents(dropped=1, no_room=1) == await sink.record([event()], NOW + GRACE)
    room = True
    assert RecordedEvents(accepted=1) == await sink.record([event()], NOW + GRACE)
    room = False
    with pytest.raises(StoreUnavailable):
        await sink.record([event()], NOW + GRACE)


async def test_without_memory_nothing_is_half_recorded(store: Recording) -> None:
    """Redis refuses the step as a whole; a revocation that needs no more room than it frees is not the worse for it."""
    one = event()
    await store.connection.redis.config_set("maxmemory", "1mb")
    with pytest.raises(StoreRefused):
        await store.sink.record([one], NOW)
    assert RecordedEvents(dropped=1, no_room=1) == await store.sink.record([one], NOW + GRACE)
    await store.connection.redis.config_set("maxmemory", "0")
    assert not [key async for key in store.connection.redis.scan_iter(f"{keys.ACTIVITY}*")]
    assert RecordedEvents(accepted=1) == await store.sink.record([one], NOW)


async def test_every_key_has_an_end_but_those_of_accounts_and_what_exists(store: Recording) -> None:
    """So nothing that grows with time stays for good."""
    await store.sink.record(made_up(5).events(300), NOW)
    lasting = set()
    async for key in store.connection.redis.scan_iter(f"{keys.ACTIVITY}*"):
        if await store.connection.redis.ttl(key) == -1:
            lasting.add(key.split(b":")[2])
    assert lasting <= {b"account", b"accounts", b"image"}


async def test_four_writers_at_once_count_each_event_once() -> None:
    """Each has all events, in an order of its own; no two of them ever agree on what comes next."""
    history = made_up(11)
    sent = history.deliveries(800)
    async with recording() as store:
        sinks = [RedisActivitySink(store.connection, Codec()) for _ in range(4)]

        async def write(number: int) -> int:
            chance = random.Random(number)
            own = chance.sample(sent, len(sent))
            return sum([(await sinks[number].record([one], NOW)).accepted for one in own])

        assert history.expected.events == sum(await asyncio.gather(*map(write, range(4))))
        await check(store, history.expected, Resolution.DAY)


async def test_a_killed_redis_loses_and_doubles_nothing() -> None:
    """Each event is sent until it is acknowledged, as the registry does; Redis dies under the writers, three times."""
    history = made_up(13)
    sent = history.deliveries(900)
    async with redis_server() as server:
        connection = patient(server)
        await fill(connection)
        waiting, kills = list(reversed(sent)), [700, 400, 100]

        async def write() -> None:
            own = Connection(server.url, deadline=2.0)
            sink = RedisActivitySink(own, Codec())
            try:
                while waiting:
                    one = waiting.pop()
                    while not await acknowledged(sink, one):
                        await asyncio.sleep(0.02)
            finally:
                await own.close()

        async def kill() -> None:
            while kills:
                if len(waiting) < kills[0]:
                    kills.pop(0)
                    await server.stop(signal.SIGKILL)
                    await server.start()
                await asyncio.sleep(0.005)

        await asyncio.gather(kill(), *(write() for _ in range(3)))
        store = Recording(connection, RedisActivitySink(connection, Codec()), RedisActivityImages(connection))
        await check(store, history.expected, Resolution.DAY)
        await connection.close()


async def acknowledged(sink: RedisActivitySink, one: RegistryEvent) -> bool:
    """Send one event; return whether the registry would be told that it is recorded."""
    try:
        await sink.record([one], NOW)
    except StoreUnavailable:
        return False
    return True


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """Return a Redis that the examples of one test share."""
    with server_in_background("--appendfsync", "no") as server:
        yield server


@settings(max_examples=15, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 2**32), data=st.data())
def test_any_order_and_repetition_gives_the_same(shared: RedisServer, seed: int, data: st.DataObject) -> None:
    """In calls of any size: what is read afterwards is what was done."""
    history = made_up(seed)
    unique = history.events(30)
    again = data.draw(st.lists(st.sampled_from(range(len(unique))), max_size=30))
    order = data.draw(st.permutations([*range(len(unique)), *again]))
    cuts = data.draw(st.sets(st.integers(1, len(order)), max_size=8))
    bounds = [0, *sorted(cuts), len(order)]

    async def run() -> None:
        connection = patient(shared)
        try:
            await connection.redis.flushall()
            await fill(connection)
            store = Recording(connection, RedisActivitySink(connection, Codec()), RedisActivityImages(connection))
            for start, end in itertools.pairwise(bounds):
                await store.sink.record([unique[index] for index in order[start:end]], NOW)
            await check(store, history.expected, Resolution.DAY)
        finally:
            await connection.close()

    asyncio.run(run())


async def test_a_history_of_an_image_is_not_lost_in_a_full_app(
    store: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names beyond the limit are counted without an image, and those that are known go on."""
    await store.record(push(), event())
    await store.connection.redis.set(f"{keys.ACTIVITY}new:acme:{int(NOW.timestamp()) // 86400 // 16}", 10**6)
    await store.record(push(tag="2.0", digest=digest(2)), event(tag="2.0", digest=digest(2)), event())
    found = await all_rows(readers(store)[0], app="acme", license_id="c000000000000001")
    assert {("1.0", 2), (None, 1)} == {(row.image and row.image.tag, row.count) for row in found}
    (one, two) = await store.images.histories([ImageName("acme/worker", "1.0"), ImageName("acme/worker", "2.0")])
    assert one.pulled is not None
    assert two.pulled is None
