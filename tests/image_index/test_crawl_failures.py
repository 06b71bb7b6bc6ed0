"""Crawls that are cut off or meet what cannot be read, and the bounds of the index."""

from collections.abc import Mapping

import pytest

from authsvc.errors import RegistryUnavailable
from authsvc.image_index import repository_update
from tests.image_index.world import World
from tests.support.oci import Image

ONE, TWO = Image(b"one"), Image(b"two")


async def test_a_crawl_goes_on_where_it_ended(world: World) -> None:
    """After a crash, what was done is not done again, and everything is in the index in the end."""
    for name in ("a", "b", "c"):
        world.content.push(f"acme/{name}", "v1", ONE)
    died = 0
    advance = type(world.state).advance

    async def dies_once(self: object, last: str, counts: Mapping[str, int]) -> None:
        nonlocal died
        await advance(self, last, counts)  # type: ignore[arg-type]
        died += 1
        if died == 2:
            raise ConnectionAbortedError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(world.state), "advance", dies_once)
        with pytest.raises(ConnectionAbortedError):
            await world.crawl()
    state = await world.images.crawl()
    assert (state.last, state.ended_at) == ("acme/b", None)
    assert await world.names() == ["acme/a:v1", "acme/b:v1"]

    started = state.started_at
    world.later(minutes=1)
    after = await world.crawl()
    assert await world.names() == ["acme/a:v1", "acme/b:v1", "acme/c:v1"]
    assert (after.repositories, after.seconds, after.started_at) == (3, 60, None)
    read = await world.images.repository("acme/a", "acme")
    assert read is not None
    assert read.read_at == started


async def test_a_registry_that_is_down(world: World) -> None:
    """A crawl stops and the index stays as it was, with its age."""
    world.content.push("acme/api", "v1", ONE)
    await world.crawl()
    before, now = await world.listed(), world.now
    world.later(hours=7)

    async def refuse(*_: object, **__: object) -> object:
        raise RegistryUnavailable("down")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.reader.session, "request", refuse)
        with pytest.raises(RegistryUnavailable):
            await world.crawl()
    assert await world.listed() == before
    assert before[0].read_at == now
    assert (await world.images.crawl()).ended_at == now


async def test_one_repository_that_cannot_be_read(world: World) -> None:
    """The others are read; what was known of it stays."""
    for name in ("a", "b", "c"):
        world.content.push(f"acme/{name}", "v1", ONE)
    await world.crawl()
    for name in ("a", "b", "c"):
        world.content.push(f"acme/{name}", "v2", TWO)
    world.later(hours=7)
    tags = type(world.reader).tags

    async def damaged(self: object, repository: str, last: str | None = None) -> object:
        if repository == "acme/b":
            raise RegistryUnavailable("no")
        return await tags(self, repository, last)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(world.reader), "tags", damaged)
        state = await world.crawl()
    assert state.errors == 1
    assert await world.names() == ["acme/a:v1", "acme/a:v2", "acme/b:v1", "acme/c:v1", "acme/c:v2"]


async def test_an_image_that_cannot_be_read(world: World) -> None:
    """One tag of a damaged image is left as it was, and counted; then the repository is not known whole."""
    world.content.push("acme/api", "v1", ONE)
    world.content.push("acme/api", "v2", TWO)
    manifest = type(world.reader).manifest

    async def damaged(self: object, repository: str, reference: str, known: str | None = None) -> object:
        if reference in {"v2", TWO.digest}:
            raise RegistryUnavailable("no")
        return await manifest(self, repository, reference, known)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(world.reader), "manifest", damaged)
        state = await world.crawl()
    assert state.errors == 1
    assert await world.names() == ["acme/api:v1"]
    listed = await world.only("acme/api", "v1")
    assert (listed.signed, listed.all_evidence) == (None, False)


async def test_more_tags_than_the_index_takes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first by name are there, and it is known that others are missing."""
    monkeypatch.setattr(repository_update, "MAX_TAGS", 2)
    for tag in ("a", "b", "c"):
        world.content.push("acme/api", tag, ONE)
    await world.crawl()
    state = await world.images.repository("acme/api", "acme")
    assert state is not None
    assert (await world.names(), state.all_tags, state.is_whole) == (["acme/api:a", "acme/api:b"], False, False)
    assert (await world.only("acme/api", "a")).signed is None


async def test_an_app_that_is_full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """New tags are left out once an app has as much as the index takes; others are kept true."""
    monkeypatch.setattr("authsvc.store.image_index.MAX_APP_TAGS", 1)
    monkeypatch.setattr("authsvc.store.image_crawl.MAX_APP_TAGS", 1)
    world.content.push("acme/api", "v1", ONE)
    await world.crawl()
    assert (await world.sum("acme")).is_full
    world.content.push("acme/api", "v1", TWO)
    world.content.push("acme/api", "v2", TWO)
    await world.crawl()
    assert await world.names() == ["acme/api:v1"]
    assert (await world.only("acme/api", "v1")).digest == TWO.digest
