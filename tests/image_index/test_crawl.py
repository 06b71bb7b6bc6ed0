"""Crawls: what the index says afterwards is what the registry holds."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime

import pytest

from authsvc.errors import RegistryUnavailable
from authsvc.image_index import repository_update
from authsvc.images.evidence import Evidence
from authsvc.images.index import IndexedTag
from authsvc.images.manifest import ImageKind
from authsvc.store import keys
from tests.image_index.world import World, world_between
from tests.support.attached import (
    DSSE,
    EMPTY,
    IN_TOTO,
    PROVENANCE,
    SIMPLE_SIGNING,
    SPDX,
    artifact,
    attestation_row,
    cosign_tag,
    platform_index,
)
from tests.support.oci import INDEX, MANIFEST, Image
from tests.support.real_registry import TRIXIE, running
from tests.support.redis_server import connected

ONE, TWO, THREE = Image(b"one"), Image(b"two"), Image(b"three")


def size_of(*images: Image) -> int:
    """Return the bytes of images that share no blob."""
    return sum(len(image.config) + len(image.layer) for image in images)


async def only(world: World, repository: str, tag: str) -> IndexedTag:
    """Return a tag of the index."""
    found = await world.images.tag(repository, tag)
    assert found is not None
    return found


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
    listed = await only(world, "globex/api", "v1")
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
            assert (await only(world, "acme/api", "v2")).digest == index
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
    assert (await only(world, "acme/api", "moved")).digest == TWO.digest
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


async def test_platforms_of_an_index(world: World) -> None:
    """Every platform with its own size; the whole with each blob once; what is in it is no tag."""
    images = {"linux/amd64": ONE, "linux/arm64/v8": TWO}
    for image in images.values():
        world.content.push_blob("acme/api", image.layer)
        world.content.push_blob("acme/api", image.config)
        world.content.put("acme/api", image.digest, image.manifest)
    index = world.content.push_json("acme/api", "v1", platform_index(images))
    await world.crawl()

    listed = await only(world, "acme/api", "v1")
    assert listed.summary is not None
    assert (listed.digest, listed.summary.kind, listed.summary.size) == (index, ImageKind.INDEX, size_of(ONE, TWO))
    assert {str(one.platform): (one.digest, one.size) for one in listed.summary.platforms or ()} == {
        "linux/amd64": (ONE.digest, size_of(ONE)),
        "linux/arm64/v8": (TWO.digest, size_of(TWO)),
    }
    blobs = await world.images.blobs("acme", index)
    assert blobs is not None
    assert [one.digest for one in blobs] == [ONE.digest, TWO.digest]
    assert await world.names() == ["acme/api:v1"]


async def test_signed_and_with_a_bill(world: World) -> None:
    """Attestations in an index, cosign's tags and the fallback tag of referrers are found; the rest has neither."""
    push = world.content
    for tag, image in (("plain", ONE), ("signed", TWO), ("attested", THREE), ("listed", Image(b"4"))):
        push.push("acme/api", tag, image)
    push.push_json("acme/api", cosign_tag(TWO.digest, ".sig"), artifact(b"s", SIMPLE_SIGNING), EMPTY, b"s")
    bill = artifact(b"a", DSSE, annotations={"predicateType": SPDX})
    push.push_json("acme/api", cosign_tag(THREE.digest, ".att"), bill, EMPTY, b"a")
    signature = artifact(b"n", "application/jose+json", artifact_type="application/vnd.cncf.notary.signature")
    digest = push.push_json("acme/api", "", signature, EMPTY, b"n")
    row = {
        "mediaType": MANIFEST,
        "digest": digest,
        "size": len(json.dumps(signature)),
        "artifactType": "application/vnd.cncf.notary.signature",
    }
    fallback = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [row]}
    push.push_json("acme/api", cosign_tag(Image(b"4").digest), fallback)
    built = artifact(b"b", IN_TOTO, annotations={"in-toto.io/predicate-type": SPDX})
    push.push_json("acme/api", "", built, EMPTY, b"b")
    index = platform_index({"linux/amd64": ONE}, attestation_row(built, ONE.digest))
    push.push_json("acme/api", "built", index)
    await world.crawl()

    found = {one.tag: (one.signed, one.sbom) for one in await world.listed() if "-" not in one.tag}
    assert found == {
        "plain": (False, False),
        "signed": (True, False),
        "attested": (False, True),
        "listed": (True, False),
        "built": (False, True),
    }
    built_now = await only(world, "acme/api", "built")
    assert built_now.summary is not None
    assert [str(one.platform) for one in built_now.summary.platforms or ()] == ["linux/amd64"]


async def test_an_attestation_that_does_not_say_what_it_is(world: World) -> None:
    """Whether the image has a bill, or a signature, is unknown then, and not no."""
    world.content.push("acme/api", "v1", ONE)
    world.content.push_json("acme/api", cosign_tag(ONE.digest, ".att"), artifact(b"a", DSSE), EMPTY, b"a")
    built = artifact(b"b", IN_TOTO, annotations={"in-toto.io/predicate-type": PROVENANCE})
    world.content.push_json("acme/api", "", built, EMPTY, b"b")
    index = platform_index({"linux/amd64": ONE}, attestation_row(built, ONE.digest))
    world.content.push_json("acme/api", "v2", index)
    await world.crawl()

    one, two = await only(world, "acme/api", "v1"), await only(world, "acme/api", "v2")
    assert (one.signed, one.sbom, one.evidence) == (None, None, frozenset({Evidence.UNKNOWN}))
    assert (two.signed, two.sbom, two.evidence) == (False, False, frozenset({Evidence.PROVENANCE}))


async def test_artifacts_and_what_cannot_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chart is an artifact with its type; a manifest that is too long is there, and nothing of it is known."""
    chart = artifact(
        b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", artifact_type="application/x.helm"
    )
    world.content.push_json("acme/chart", "1.0.0", chart, EMPTY, b"chart")
    long = artifact(b"long", "x/layer")
    long["annotations"] = {"note": "x" * 5_000}
    world.content.push_json("acme/long", "v1", long, EMPTY, b"long")
    monkeypatch.setattr("authsvc.registries.reader.MAX_MANIFEST", 5_000)
    await world.crawl()

    found = {one.repository: one for one in await world.listed()}
    of_chart, of_long = found["acme/chart"].summary, found["acme/long"].summary
    assert of_chart is not None
    assert of_long is not None
    assert (of_chart.kind, of_chart.artifact_type, of_chart.platforms) == (ImageKind.ARTIFACT, "application/x.helm", ())
    assert (of_long.kind, of_long.size, of_long.platforms) == (ImageKind.UNKNOWN, None, None)
    assert (found["acme/long"].signed, found["acme/long"].sbom) == (None, None)
    assert (await world.sum("acme")).unsized == 1


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
    listed = await only(world, "acme/api", "v1")
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
    assert (await only(world, "acme/api", "a")).signed is None


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
    assert (await only(world, "acme/api", "v1")).digest == TWO.digest


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
    assert (await only(world, "acme/api", "v1")).summary is not None


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
