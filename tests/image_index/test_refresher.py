"""The background task: what has changed is read at once, by one worker, whatever fails meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from attrs import evolve

from authsvc.errors import RegistryUnavailable, StoreUnavailable
from authsvc.image_index import change_reader
from authsvc.image_index import refresher as refreshing
from authsvc.image_index.refresher import CRAWL_EVERY, ImageRefresher, RefreshMetrics
from authsvc.processes.waiting import ended
from authsvc.store import keys
from authsvc.store.connection import Connection
from tests.image_index.world import World, world_between
from tests.support.oci import Image
from tests.support.real_registry import INSTALLED
from tests.support.real_registry import running as running_registry
from tests.support.redis_server import redis_server
from tests.support.waiting import PATIENCE

ONE, TWO = Image(b"one"), Image(b"two")


@asynccontextmanager
async def running(*refreshers: ImageRefresher) -> AsyncIterator[None]:
    """Run the background tasks of workers."""
    tasks = [asyncio.create_task(one.run()) for one in refreshers]
    try:
        yield
    finally:
        await ended(*tasks)


async def until_names(world: World, *names: str) -> None:
    """Wait until the index has exactly these tags."""
    async with asyncio.timeout(PATIENCE):
        while await world.names() != list(names):
            await asyncio.sleep(0.05)


async def changed(world: World, *what: str) -> None:
    """Tell that something was pushed or deleted, as the registry's events do."""
    await world.connection.redis.sadd(keys.IMAGES_CHANGED, *what)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that waits wait less."""
    for name, seconds in (
        ("LOOK_EVERY", 0.1),
        ("CHANGES_EVERY", 0.05),
        ("CRAWL_LOOK_EVERY", 0.1),
        ("FIRST_PAUSE", 0.1),
    ):
        monkeypatch.setattr(refreshing, name, seconds)
    monkeypatch.setattr(change_reader, "AGAIN_AFTER", (0.1, 0.2))


async def test_a_first_start_crawls(world: World) -> None:
    """The index is empty, so everything is read; the images of each app are added up."""
    world.content.push("acme/api", "v1", ONE)
    async with running(world.refresher()):
        await until_names(world, "acme/api:v1")
        async with asyncio.timeout(PATIENCE):
            while await world.images.app("acme") is None:
                await asyncio.sleep(0.05)
    assert (await world.sum("acme")).tags == 1


async def test_what_is_named_is_read(world: World) -> None:
    """A tag that was pushed, one that was deleted with its digest, and a whole repository; what is nobody's is not."""
    async with running(world.refresher()):
        await until_names(world)
        world.content.push("acme/api", "v1", ONE)
        world.content.push("acme/api", "v2", ONE)
        await changed(
            world,
            "acme/api:v1",
            "acme/api:v2",
            "acme/api:v9",
            "stranger/api:v1",
            "",
            "::",
            "acme",
            "Ä/b:v",
            "acme/api@x",
        )
        await until_names(world, "acme/api:v1", "acme/api:v2")
        world.content.push("acme/api", "v3", TWO)
        await changed(world, "acme/api")
        await until_names(world, "acme/api:v1", "acme/api:v2", "acme/api:v3")
        world.content.delete("acme/api", ONE.digest)
        await changed(world, f"acme/api@{ONE.digest}")
        await until_names(world, "acme/api:v3")
        async with asyncio.timeout(PATIENCE):
            while await world.connection.redis.exists(keys.IMAGES_CHANGED, keys.IMAGES_TAKEN):
                await asyncio.sleep(0.05)
    state = await world.images.repository("acme/api", "acme")
    assert state is not None
    assert (state.tags, state.changed_at) == (1, world.now)


async def test_a_tag_that_the_registry_writes_after_it_reported_the_push(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again after a while; until then the change is not forgotten, whatever happens to the worker."""
    monkeypatch.setattr(change_reader, "AGAIN_AFTER", (0.1,) * 300)
    await world.crawl()
    async with running(world.refresher()):
        await changed(world, "acme/api:late")
        async with asyncio.timeout(PATIENCE):
            while await world.connection.redis.smembers(keys.IMAGES_TAKEN) != {b"acme/api:late"}:
                await asyncio.sleep(0.01)
        world.content.push("acme/api", "late", ONE)
        await until_names(world, "acme/api:late")


async def test_a_new_repository_is_read_whole(world: World) -> None:
    """So that its first image is known to be unsigned at once; one with many tags waits for the crawl."""
    for tag in ("v1", "v2"):
        world.content.push("acme/new", tag, ONE)
    update = world.update
    await update.tag("acme/new", "acme", "v1")
    state = await world.images.repository("acme/new", "acme")
    assert state is not None
    assert (state.tags, state.read_at) == (2, world.now)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("authsvc.image_index.repository_update.MAX_NEW_TAGS", 1)
        for tag in ("v1", "v2"):
            world.content.push("acme/large", tag, ONE)
        await update.tag("acme/large", "acme", "v1")
    state = await world.images.repository("acme/large", "acme")
    assert state is not None
    assert (state.tags, state.read_at) == (1, None)


async def test_one_worker_works_at_a_time(world: World) -> None:
    """Another one takes over when it ends, at once; after a crash when its lease has run out."""
    first, second = world.refresher("worker-1"), world.refresher("worker-2")
    redis = world.connection.redis

    async def until_holder(holder: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            while await redis.get(keys.IMAGES_LEASE) != holder:
                await asyncio.sleep(0.02)

    async with running(first):
        await until_holder(b"worker-1")
        async with asyncio.timeout(PATIENCE):
            while await world.images.app("acme") is None:
                await asyncio.sleep(0.05)
        async with running(second):
            world.content.push("acme/api", "v1", ONE)
            await changed(world, "acme/api:v1")
            await until_names(world, "acme/api:v1")
            assert await redis.get(keys.IMAGES_LEASE) == b"worker-1"
    async with running(second):
        await until_holder(b"worker-2")
    assert await redis.get(keys.IMAGES_LEASE) is None

    assert await world.index.lease("dead", 10)
    assert not await world.index.lease("worker-1", 10)
    assert 0 < await redis.ttl(keys.IMAGES_LEASE) <= 10


async def test_what_a_crash_left_is_read(world: World) -> None:
    """Changes that a dead worker had taken are taken again by the next one."""
    await world.crawl()
    assert await world.index.lease("dead", 10)
    world.content.push("acme/api", "v1", ONE)
    await changed(world, "acme/api:v1")
    assert await world.index.take_changed(9) == [b"acme/api:v1"]
    await world.connection.redis.delete(keys.IMAGES_LEASE)
    async with running(world.refresher()):
        await until_names(world, "acme/api:v1")


async def test_a_registry_that_is_down_for_a_while(world: World) -> None:
    """Nothing that has changed is forgotten, and the failures are counted."""
    await world.crawl()
    world.content.push("acme/api", "v1", ONE)
    failed = asyncio.Event()
    request, is_down = world.reader.session.request, True

    async def sometimes(*arguments: object, **more: object) -> object:
        if is_down:
            raise RegistryUnavailable("down")
        return await request(*arguments, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.reader.session, "request", sometimes)
        async with running(evolve(world.refresher(), metrics=RefreshMetrics(failed=failed.set))):
            await changed(world, "acme/api:v1")
            await asyncio.wait_for(failed.wait(), PATIENCE)
            assert await world.names() == []
            is_down = False
            await until_names(world, "acme/api:v1")


async def test_redis_that_is_down_for_a_while() -> None:
    """The background task goes on when it is back, with what was noted before."""
    with running_registry(INSTALLED) as registry:
        async with redis_server("--appendfsync", "no") as server:
            connection = Connection(server.url, deadline=10)
            async with world_between(connection, registry) as world, running(world.refresher()):
                await until_names(world)
                world.content.push("acme/api", "v1", ONE)
                await server.stop()
                await asyncio.sleep(0.3)
                await server.start()
                await _until_stored(world, "acme/api:v1")
                await until_names(world, "acme/api:v1")
            await connection.close()


async def _until_stored(world: World, what: str) -> None:
    """Note a change as soon as Redis takes it: connections from before its restart fail once."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await world.index.mark_changed(what)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_one_change_that_cannot_be_read(world: World) -> None:
    """It is given up, as long as the registry answers, so that others are read."""
    await world.crawl()
    world.content.push("acme/api", "v1", ONE)
    world.content.push("acme/bad", "v1", ONE)
    manifest = type(world.reader).manifest

    async def damaged(self: object, repository: str, reference: str, known: str | None = None) -> object:
        if repository == "acme/bad":
            raise RegistryUnavailable("no")
        return await manifest(self, repository, reference, known)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(world.reader), "manifest", damaged)
        async with running(world.refresher()):
            await changed(world, "acme/bad:v1")
            await changed(world, "acme/api:v1")
            await until_names(world, "acme/api:v1")


async def test_when_a_crawl_is_due(world: World) -> None:
    """Every few hours, and at once when the clock was set back: what is not read in time is read then."""
    await world.crawl()
    world.content.push("acme/api", "v1", ONE)
    world.later(seconds=CRAWL_EVERY.total_seconds() - 1)
    refresher = world.refresher()
    await refresher._crawl_when_due()
    assert await world.names() == []
    world.later(seconds=1)
    await refresher._crawl_when_due()
    assert await world.names() == ["acme/api:v1"]
    world.content.push("acme/api", "v2", ONE)
    world.now -= timedelta(days=1)
    await refresher._crawl_when_due()
    assert await world.names() == ["acme/api:v1", "acme/api:v2"]


async def test_a_full_disk_stops_it(world: World) -> None:
    """What can wait is not written while Redis' disk is nearly full."""
    world.content.push("acme/api", "v1", ONE)
    rooms = iter([False] * 3)
    asked = asyncio.Event()

    def has_room() -> bool:
        asked.set()
        return next(rooms, False)

    async with running(evolve(world.refresher(), has_room=has_room)):
        await asyncio.wait_for(asked.wait(), PATIENCE)
        await asyncio.sleep(0.2)
        assert await world.names() == []
