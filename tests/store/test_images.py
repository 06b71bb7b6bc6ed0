"""The index of images on Redis: pages, places, changes at the same moment, and what is kept how long."""

from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from random import Random

import pytest
from attrs import define, field

from authsvc.audit.entry import Entry
from authsvc.errors import InputRefused
from authsvc.images.evidence import Evidence, tag_of
from authsvc.images.index import ImageScope, IndexChange
from authsvc.images.manifest import ImageKind, Platform
from authsvc.images.summary import Blob, BlobList, DescribedImage, ImageSummary, PlatformImage
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.image_format import decode_blobs, encode_blobs, long, short
from authsvc.store.image_index import INCOMPLETE_LIFE, LIFE, RedisImageIndex
from authsvc.store.images import RedisImages
from authsvc.store.records import Records
from authsvc.tenancy.records import App, Team
from authsvc.wiring.stores import make_stores
from tests.support.builders import NOW
from tests.support.oci import digest_of
from tests.support.redis_server import connected


@define
class World:
    """An index with two teams.

    Attributes:
        connection: to Redis.
        records: of it.
    """

    connection: Connection
    records: Records = field(init=False)

    @records.default
    def _records(self) -> Records:
        return Records(self.connection, Codec())

    @property
    def index(self) -> RedisImageIndex:
        """What writes."""
        return RedisImageIndex(self.connection, Codec())

    @property
    def images(self) -> RedisImages:
        """What reads."""
        return RedisImages(self.records)

    async def put(self, repository: str, *tags: str, digest: str | None = None) -> None:
        """Put tags into the index, each with an image of its own unless one is given."""
        app = repository.partition("/")[0]
        known = await self.index.digests(repository, list(tags))
        changes = [IndexChange(tag, known.get(tag), digest or name(tag)) for tag in tags]
        assert await self.index.apply(repository, app, changes, NOW) == []
        await self.index.finish(repository, NOW, "", all_tags=True, unread=0)

    async def listed(self, scope: ImageScope, limit: int) -> list[str]:
        """Return every tag of a scope, read in pages."""
        found, after = list[str](), None
        while True:
            page = await self.images.page(scope, after, limit)
            assert len(page.items) <= limit
            found += [f"{one.repository}:{one.tag}" for one in page.items]
            after = page.next
            if after is None:
                return found


def name(text: str) -> str:
    """Return a digest."""
    return digest_of(text.encode())


def summary(text: str, **more: object) -> ImageSummary:
    """Return a summary of an image."""
    return ImageSummary(name(text), "application/x", ImageKind.IMAGE, **more)  # type: ignore[arg-type]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Yield an empty index."""
    async with connected("--appendfsync", "no") as connection:
        made = World(connection)
        stores, entry = make_stores(made.records), partial(Entry, at=NOW, event="test.done", actor="system:authsvc")
        for team, apps in (("acme-team", ("acme", "annex")), ("globex-team", ("globex",))):
            await stores.teams.add(Team(team, team, NOW), entry(team))
            for app in apps:
                await stores.apps.add(App(app, team, app, NOW), entry(app))
        yield made


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_every_tag_is_listed_once(world: World, limit: int) -> None:
    """By app, repository and name, whatever the size of a page and however many leaves an index has."""
    random = Random(7)
    expected = []
    for repository in ("acme/a", "acme/a-b", "acme/a/b", "annex/x", "globex/x"):
        tags = {f"t{random.randrange(10_000)}" for _ in range(3)} | {"a", "A", "v1", "v1.0", "v1-0", "x" * 128}
        await world.put(repository, *tags)
        expected += [f"{repository}:{tag}" for tag in sorted(tags)]

    assert await world.listed(ImageScope(), limit) == expected
    ours = [one for one in expected if not one.startswith("globex")]
    assert await world.listed(ImageScope("acme-team"), limit) == ours
    assert await world.listed(ImageScope("acme-team", frozenset({"annex"})), limit) == [
        one for one in expected if one.startswith("annex/")
    ]
    assert await world.listed(ImageScope(repository="acme/a"), limit) == [
        one for one in expected if one.startswith("acme/a:")
    ]


async def test_many_tags_and_many_repositories(world: World) -> None:
    """More than one leaf of an index, and more repositories than one step reads."""
    tags = [f"v{number:04}" for number in range(450)]
    await world.put("acme/many", *tags)
    for number in range(150):
        await world.put(f"annex/r{number:03}", "v1")
    assert await world.listed(ImageScope(repository="acme/many"), 100) == [f"acme/many:{tag}" for tag in tags]
    assert await world.listed(ImageScope("acme-team", frozenset({"annex"})), 100) == [
        f"annex/r{number:03}:v1" for number in range(150)
    ]
    state = await world.images.repository("acme/many", "acme")
    assert state is not None
    assert state.tags == 450


async def test_a_page_goes_on_although_its_place_is_gone(world: World) -> None:
    """The tag, and even the repository, at which a page ended may vanish; nothing is repeated or left out."""
    await world.put("acme/a", "v1", "v2")
    await world.put("acme/b", "v1")
    page = await world.images.page(ImageScope("acme-team"), None, 1)
    await world.index.apply("acme/a", "acme", [IndexChange("v1", name("v1"), None)], NOW)
    following = await world.images.page(ImageScope("acme-team"), page.next, 100)
    assert [f"{one.repository}:{one.tag}" for one in following.items] == ["acme/a:v2", "acme/b:v1"]
    await world.index.apply("acme/a", "acme", [IndexChange("v2", name("v2"), None)], NOW)
    following = await world.images.page(ImageScope("acme-team"), page.next, 100)
    assert [f"{one.repository}:{one.tag}" for one in following.items] == ["acme/b:v1"]


async def test_a_cursor_belongs_to_its_list(world: World) -> None:
    """That of another team's list, or of another repository, is refused."""
    await world.put("acme/a", "v1", "v2")
    page = await world.images.page(ImageScope("acme-team"), None, 1)
    for scope in (ImageScope(), ImageScope("globex-team"), ImageScope(repository="acme/a")):
        with pytest.raises(InputRefused) as refused:
            await world.images.page(scope, page.next, 1)
        assert refused.value.code == "cursor_invalid"


async def test_two_that_change_the_same_tag(world: World) -> None:
    """Who asked the registry before the other one wrote is refused, so that an old answer is never stored."""
    await world.put("acme/a", "v1")
    slow = IndexChange("v1", name("v1"), name("old"))
    quick = IndexChange("v1", name("v1"), name("new"))
    assert await world.index.apply("acme/a", "acme", [quick], NOW) == []
    assert await world.index.apply("acme/a", "acme", [slow, IndexChange("v2", None, name("x"))], NOW) == ["v1"]
    assert await world.index.digests("acme/a", ["v1", "v2", "v3"]) == {"v1": name("new"), "v2": name("x")}
    assert await world.index.apply("acme/a", "acme", [IndexChange("v1", None, name("y"))], NOW) == ["v1"]
    assert await world.images.tags_of("acme/a", name("v1"), 9) == []
    assert await world.images.tags_of("acme/a", name("new"), 9) == ["v1"]


async def test_a_tag_is_not_another_that_begins_so(world: World) -> None:
    """Neither when it is looked for nor when it is changed."""
    await world.put("acme/a", "v1.0", "v1-rc", "v10")
    assert await world.images.tag("acme/a", "v1") is None
    assert await world.index.digests("acme/a", ["v1"]) == {}
    await world.index.apply("acme/a", "acme", [IndexChange("v1", None, name("v1"))], NOW)
    await world.index.apply("acme/a", "acme", [IndexChange("v1", name("v1"), None)], NOW)
    assert await world.listed(ImageScope(repository="acme/a"), 9) == ["acme/a:v1-rc", "acme/a:v1.0", "acme/a:v10"]


async def test_a_repository_without_tags_does_not_exist(world: World) -> None:
    """Nothing of it stays."""
    await world.put("acme/a", "v1", "v2")
    before = set(await world.connection.redis.keys("*"))
    await world.index.apply("acme/a", "acme", [IndexChange(tag, name(tag), None) for tag in ("v1", "v2")], NOW)
    await world.index.finish("acme/a", NOW, "", all_tags=True, unread=0)
    assert await world.images.repository("acme/a", "acme") is None
    after = set(await world.connection.redis.keys("*"))
    assert keys.repository("acme/a").encode() in before - after


async def test_what_is_kept_of_an_image(world: World) -> None:
    """Summary and blobs come back as they were; for how long depends on whether a part was missing."""
    platform = PlatformImage(name("p"), Platform("linux", "arm64", "v8"), 12)
    whole = DescribedImage(
        summary("a", size=12, platforms=(platform,), evidence=(Evidence.SBOM,), subject=name("s")),
        (BlobList(name("p"), Blob(name("c"), 2), (Blob(name("l"), 10),)),),
    )
    part = DescribedImage(summary("b", complete=False))
    await world.put("acme/a", "a", "b")
    await world.index.save("acme", [whole, part])

    found = await world.images.tag("acme/a", "a")
    assert found is not None
    assert (found.summary, await world.images.blobs("acme", name("a"))) == (whole.summary, whole.blobs)
    redis = world.connection.redis
    assert LIFE - 60 < await redis.ttl(keys.image("acme", short(name("a")))) <= LIFE
    assert INCOMPLETE_LIFE - 60 < await redis.ttl(keys.image("acme", short(name("b")))) <= INCOMPLETE_LIFE
    assert await world.index.missing("acme", [name("a"), name("b"), name("c")]) == {name("b"), name("c")}
    assert await world.index.missing("annex", [name("a")]) == {name("a")}


@pytest.mark.parametrize(
    "raw", [b"", b"x", b"{}", b'{"v":2}', b'{"v":1,"digest":5}', b'{"v":1,"kind":"new","digest":"x","media_type":"y"}']
)
async def test_what_is_damaged_or_newer_is_unknown(world: World, raw: bytes) -> None:
    """It is a copy: the tag is listed, and of its image nothing is known."""
    await world.put("acme/a", "a")
    await world.connection.redis.set(keys.image("acme", short(name("a"))), raw)
    await world.connection.redis.set(keys.image_blobs("acme", short(name("a"))), raw)
    (found,) = (await world.images.page(ImageScope(), None, 9)).items
    assert (found.summary, found.signed) == (None, None)
    assert await world.images.blobs("acme", name("a")) is None


async def test_evidence_of_a_tag(world: World) -> None:
    """What is attached by a tag or listed by the registry counts for its image, in its own repository alone."""
    await world.put("acme/a", "signed", "plain", "listed")
    await world.put("acme/b", "signed")
    await world.index.save("acme", [DescribedImage(summary(one)) for one in ("signed", "plain", "listed")])
    await world.put("acme/a", f"{tag_of(name('signed'))}.sig", f"{tag_of(name('signed'))}.other")
    await world.index.save_referrers("acme/a", {name("listed"): [Evidence.SBOM], name("plain"): []})
    found = {
        f"{one.repository}:{one.tag}": (one.signed, one.sbom)
        for one in (await world.images.page(ImageScope(), None, 9)).items
    }
    assert found["acme/a:signed"] == (True, False)
    assert found["acme/a:plain"] == (False, False)
    assert found["acme/a:listed"] == (False, True)
    assert found["acme/b:signed"] == (False, False)
    await world.index.finish("acme/b", NOW + timedelta(1), "", all_tags=False, unread=0)
    (unsure,) = (await world.images.page(ImageScope(repository="acme/b"), None, 9)).items
    assert (unsure.signed, unsure.read_at) == (None, NOW + timedelta(1))


@pytest.mark.parametrize(
    "digest", ["sha256:" + "0f" * 32, "sha384:" + "0f" * 48, "sha512:" + "0f" * 64, digest_of(b"x")]
)
def test_short_digests(digest: str) -> None:
    """They are read again as they were."""
    assert long(short(digest)) == digest
    lists = (BlobList(digest, Blob(digest, 0), (Blob(digest, 7),)),)
    assert decode_blobs(encode_blobs(lists)) == lists
