"""Crawls: what the index says afterwards is what the registry holds."""

from collections.abc import Collection, Mapping
from datetime import datetime

import pytest

from authsvc.images.manifest import ImageKind
from authsvc.store import keys
from tests.image_index.world import World, size_of, world_between
from tests.support.attached import (
    platform_index,
)
from tests.support.oci import Image
from tests.support.real_registry import TRIXIE, running
from tests.support.redis_server import connected

ONE, TWO, THREE = Image(b"one"), Image(b"two"), Image(b"three")


async def test_everything_is_found(world: World) -> None:
    """Tags with their digests, platform and size, of the repositories of apps only, each team's for itself."""
    for repository, tag, image in (
        ("acme/api", "v1", ONE),
        ("acme/api", "v2", TWO),
        ("acme/api", "latest", TWO),
        ("acme/web/front", "v1", ONE),
        ("globex/api", "v1", TWO),
        ("stranger/api", "v1", ONE),
    ):
        world.content.push(repository, tag, image)
    state = await world.crawl()

    assert (state.repositories, state.outside, state.errors, state.ended_at) == (4, 1, 0, world.now)
    assert await world.names(team="acme-team") == [
        "acme/api:latest",
        "acme/api:v1",
        "acme/api:v2",
        "acme/web/front:v1",
    ]
    assert await world.names(team="globex-team") == ["globex/api:v1"]
    assert len(await world.names()) == 5
    listed = await world.only("globex/api", "v1")
    assert listed.summary is not None
    assert (listed.digest, listed.summary.kind, listed.summary.size) == (TWO.digest, ImageKind.IMAGE, size_of(TWO))
    assert [str(one.platform) for one in listed.summary.platforms or ()] == ["linux/amd64"]
    assert (listed.signed, listed.sbom, listed.read_at) == (False, False, world.now)
    assert await world.images.tags_of("acme/api", TWO.digest, 9) == ["latest", "v2"]


async def test_the_newer_registry() -> None:
    """Debian 13's 2.8.3 answers alike."""
    with running(TRIXIE) as registry:
        async with connected("--appendfsync", "no") as connection, world_between(connection, registry) as world:
            world.content.push("acme/api", "v1", ONE)
            index = world.content.push_json("acme/api", "v2", platform_index({"linux/amd64": ONE}))
            await world.crawl()
            assert await world.names() == ["acme/api:v1", "acme/api:v2"]
            assert (await world.only("acme/api", "v2")).digest == index
            world.content.delete("acme/api", index)
            await world.crawl()
            assert await world.names() == ["acme/api:v1"]


async def test_what_has_changed_since(world: World) -> None:
    """New, moved and vanished tags, and a repository without tags, are as in the registry after the next crawl."""
    for repository, tag, image in (
        ("acme/api", "kept", ONE),
        ("acme/api", "moved", ONE),
        ("acme/api", "gone", THREE),
        ("acme/old", "v1", TWO),
    ):
        world.content.push(repository, tag, image)
    await world.crawl()
    world.content.delete("acme/api", THREE.digest)
    world.content.delete("acme/old", TWO.digest)
    world.content.push("acme/api", "moved", TWO)
    world.content.push("acme/new", "v1", ONE)
    world.later(hours=6)
    await world.crawl()

    assert await world.names() == ["acme/api:kept", "acme/api:moved", "acme/new:v1"]
    assert (await world.only("acme/api", "moved")).digest == TWO.digest
    assert await world.images.tags_of("acme/api", ONE.digest, 9) == ["kept"]
    assert await world.images.repository("acme/old", "acme") is None
    state = await world.images.repository("acme/api", "acme")
    assert state is not None
    assert (state.tags, state.read_at, state.is_whole) == (2, world.now, True)


async def test_a_crawl_without_a_change_tells_the_registry_of_no_pull(world: World) -> None:
    """What is known is asked for in a way that the registry answers without an event, and nothing is written."""
    for number in range(5):
        world.content.push("acme/api", f"v{number}", Image(b"%d" % number))
    await world.crawl()
    asked: list[str] = []
    request = world.reader.session.request

    async def recorded(method: str, path: str, *rest: object, **more: object) -> object:
        reply = await request(method, path, *rest, **more)  # type: ignore[arg-type]
        asked.append(f"{reply.status} {path}")
        return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.reader.session, "request", recorded)
        await world.crawl()
    manifests = [one for one in asked if "/manifests/" in one]
    assert len(manifests) == 5
    assert all(one.startswith("304") for one in manifests)


async def test_an_app_counts_shared_layers_once(world: World) -> None:
    """Over tags, repositories and platforms; another app's images are its own, although they are the same."""
    for repository, tag, image in (
        ("acme/api", "v1", ONE),
        ("acme/api", "v2", TWO),
        ("acme/api", "again", ONE),
        ("acme/web", "v1", ONE),
        ("annex/api", "v1", ONE),
    ):
        world.content.push(repository, tag, image)
    await world.crawl()

    acme, annex = await world.sum("acme"), await world.sum("annex")
    assert (acme.repositories, acme.tags, acme.size, acme.unsized) == (2, 4, size_of(ONE, TWO), 0)
    assert (annex.repositories, annex.tags, annex.size) == (1, 1, size_of(ONE))
    assert acme.counted_at == world.now


async def test_an_index_that_redis_has_lost(world: World) -> None:
    """It is built again from the registry alone."""
    world.content.push("acme/api", "v1", ONE)
    await world.crawl()
    await world.connection.redis.flushall()
    await world.build()
    assert await world.names() == []
    assert (await world.images.crawl()).ended_at is None
    await world.crawl()
    assert await world.names() == ["acme/api:v1"]


async def test_images_are_kept_while_a_crawl_sees_them(world: World) -> None:
    """Their life is extended before it ends; what no tag names any more ends by itself."""
    world.content.push("acme/api", "v1", ONE)
    await world.crawl()
    redis = world.connection.redis
    names = await redis.keys(f"{keys.image('acme', '')}*") + await redis.keys(f"{keys.image_blobs('acme', '')}*")
    assert len(names) == 2
    for name in names:
        await redis.expire(name, 24 * 3600)
    await world.crawl()
    assert all([await redis.ttl(name) > 13 * 24 * 3600 for name in names])
    await redis.delete(names[0])
    await world.crawl()
    assert (await world.only("acme/api", "v1")).summary is not None


async def test_a_crawl_tells_what_it_found(world: World) -> None:
    """Of every tag its digest, and which are gone, as of when the repository was read."""
    told: list[tuple[str, dict[str, str], list[str], datetime]] = []

    class Observer:
        async def reconcile(
            self, repository: str, found: Mapping[str, str], gone: Collection[str], as_of: datetime
        ) -> int:
            told.append((repository, dict(found), sorted(gone), as_of))
            return 0

    world.observer = Observer()
    world.content.push("acme/api", "v1", ONE)
    world.content.push("acme/api", "v2", TWO)
    await world.crawl()
    world.content.delete("acme/api", TWO.digest)
    world.later(hours=1)
    await world.crawl()
    assert ("acme/api", {"v1": ONE.digest, "v2": TWO.digest}, [], world.now.replace(hour=world.now.hour - 1)) in told
    assert ("acme/api", {"v1": ONE.digest}, [], world.now) in told
    assert ("acme/api", {}, ["v2"], world.now) in told
