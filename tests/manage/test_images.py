"""Listing and showing images: what is known, of what is asked of the registry, and what another team's are."""

import itertools
from datetime import timedelta

import pytest
from attrs import define, evolve, field

from authsvc.errors import InputRefused, NotFound, RegistryUnavailable
from authsvc.images.index import IndexChange
from authsvc.images.manifest import parse_manifest
from authsvc.images.summary import DescribedImage, of_manifest, unreadable
from authsvc.manage.actor import Actor
from authsvc.manage.images import Images, ListedImage, RunningCustomer, ShownImage, ShownRepository
from authsvc.spec.registry_event import EventAction, RegistryEvent
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from authsvc.tenancy.records import License, Role
from tests.manage.use_cases import terms
from tests.support.builders import NOW, PASSWORD, SERVICE, make_member
from tests.support.installation import APP, OPERATOR, TEAM, Installation
from tests.support.oci import MANIFEST, Image

ONE, TWO, THREE = Image(b"one"), Image(b"two"), Image(b"three")


def described(image: Image) -> DescribedImage:
    """Return what a registry says of an image."""
    manifest = parse_manifest(image.manifest, MANIFEST)
    assert manifest is not None
    return of_manifest(image.digest, manifest, None)


@define
class FakeRegistry:
    """A registry with these images, by repository and reference; None is one that is down.

    Attributes:
        images: what it has.
        asked: what it was asked.
    """

    images: dict[tuple[str, str], DescribedImage] | None = field(factory=dict)
    asked: list[str] = field(factory=list)

    async def find(self, repository: str, reference: str) -> DescribedImage | None:
        """Answer."""
        self.asked.append(f"{repository} {reference}")
        if self.images is None:
            raise RegistryUnavailable("down")
        return self.images.get((repository, reference))

    async def count_tags(self, repository: str) -> int:
        """Answer."""
        self.asked.append(repository)
        if self.images is None:
            raise RegistryUnavailable("down")
        return sum(name == repository for name, _ in self.images)


@define
class World:
    """Two teams with images in the index.

    Attributes:
        house: the installation.
        registry: what is asked.
        images: the use cases.
        license: of a customer of the first team.
    """

    house: Installation
    registry: FakeRegistry
    images: Images
    license: License
    numbers: "itertools.count[int]" = field(factory=itertools.count)

    @property
    def owner(self) -> Actor:
        """An owner of the first team."""
        return Actor.of_member(make_member(team=TEAM))

    @property
    def stranger(self) -> Actor:
        """An owner of the second team."""
        return Actor.of_member(make_member(team="globex-team"))

    async def index(self, repository: str, tag: str, image: Image, *, whole: bool = True) -> None:
        """Put a tag into the index."""
        app = repository.partition("/")[0]
        index = RedisImageIndex(self.house.connection, Codec())
        await index.save(app, [described(image)])
        await index.apply(repository, app, [IndexChange(tag, None, image.digest)], self.house.now)
        if whole:
            await index.finish(repository, self.house.now, "", all_tags=True, unread=0)

    async def happened(self, action: EventAction, subject: str, repository: str, tag: str, image: Image) -> None:
        """Record an event of the registry."""
        method = "PUT" if action is EventAction.PUSH else "GET"
        event = RegistryEvent(
            f"e{next(self.numbers)}", self.house.now, action, repository, MANIFEST, image.digest, 1, tag,
            method=method, subject=subject,
        )  # fmt: skip
        recorded = await RedisActivitySink(self.house.connection, Codec()).record([event], self.house.now)
        assert recorded.accepted == 1

    async def listed(self, actor: Actor, **more: str) -> list[str]:
        """Return the names of a list."""
        page = await self.images.list(actor, **more)  # type: ignore[arg-type]
        return [f"{one.image.repository}:{one.image.tag}" for one in page.items]

    async def shown(self, name: str, actor: Actor | None = None) -> ShownImage:
        """Return an image."""
        return await self.images.show(actor or self.owner, name, self.house.now)


@pytest.fixture
async def world(house: Installation) -> World:
    """Return the world."""
    await house.teams.create("globex-team", None, house.operation())
    await house.teams.create_app("globex", "globex-team", None, house.operation())
    license_, _ = await house.licenses.create(APP, terms(house), house.operation())
    registry = FakeRegistry()
    made = World(house, registry, Images(house.stores, registry, SERVICE), license_)
    await made.index("acme/api", "v1", ONE)
    await made.index("acme/api", "v2", TWO)
    await made.index("acme/api", "latest", TWO)
    await made.index("annex/web", "v1", ONE)
    await made.index("globex/api", "v1", THREE)
    return made


async def test_lists(world: World) -> None:
    """Of an app, of a repository, of everything that the actor sees; never more."""
    assert await world.listed(world.owner, app="acme") == ["acme/api:latest", "acme/api:v1", "acme/api:v2"]
    assert await world.listed(world.owner, repository="annex/web") == ["annex/web:v1"]
    assert await world.listed(world.owner, repository=f"{SERVICE}/annex/web") == ["annex/web:v1"]
    assert len(await world.listed(world.owner)) == 4
    assert await world.listed(world.stranger) == ["globex/api:v1"]
    assert len(await world.listed(OPERATOR)) == 5
    limited = Actor.of_member(make_member(Role.VIEWER, team=TEAM, apps=("annex",)))
    assert await world.listed(limited) == ["annex/web:v1"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"app": "globex"}, "app_not_found"),
        ({"repository": "globex/api"}, "image_not_found"),
        ({"repository": "acme/nothing"}, "image_not_found"),
        ({"repository": "acme/api:v1"}, "image_not_found"),
        ({"repository": "acme/api", "app": "annex"}, "image_not_found"),
        ({"repository": "proxy/acme/hub/x"}, "image_not_found"),
        ({"repository": "acme"}, "image_invalid"),
        ({"repository": "acme/../globex/api"}, "image_invalid"),
    ],
)
async def test_lists_of_what_is_not_there(world: World, arguments: dict[str, str], code: str) -> None:
    """Foreign, unknown and impossible names are refused, each with its code and argument."""
    with pytest.raises(InputRefused) as refused:
        await world.images.list(world.owner, **arguments)  # type: ignore[arg-type]
    assert (refused.value.code, refused.value.field) == (code, "app" if code == "app_not_found" else "repository")


async def test_who_pushed_and_pulled(world: World) -> None:
    """The last of each with a name for people; of what nobody recorded nothing is claimed."""
    member = await world.house.members.add("dev@acme.test", TEAM, "developer", (), PASSWORD, world.house.operation())
    await world.happened(EventAction.PUSH, f"member:{member.id}", "acme/api", "v1", ONE)
    world.house.now += timedelta(hours=1)
    await world.happened(EventAction.PULL, world.license.subject, "acme/api", "v1", ONE)
    page = await world.images.list(world.owner, repository="acme/api")
    found = {one.image.tag: one for one in page.items}

    pushed, pulled = found["v1"].history.pushed, found["v1"].history.pulled
    assert pushed is not None
    assert pulled is not None
    assert (pushed.at, pulled.at) == (NOW, NOW + timedelta(hours=1))
    assert found["v1"].names == {f"member:{member.id}": "dev@acme.test", world.license.subject: "Globex"}
    assert (found["v2"].history.pushed, found["v2"].history.pulled, found["v2"].names) == (None, None, {})


async def test_an_image(world: World) -> None:
    """Its layers, its other tags, and the customers that pulled it lately, the last first."""
    await world.happened(EventAction.PULL, world.license.subject, "acme/api", "v2", TWO)
    shown = await world.shown("acme/api:v2")
    assert shown.listed.image.digest == TWO.digest
    assert shown.tags == ("latest", "v2")
    assert shown.blobs == described(TWO).blobs
    assert shown.customers == (RunningCustomer(world.license.id, "Globex", NOW, world.license.customer_id),)
    assert not shown.from_registry
    assert (await world.shown(f"acme/api@{TWO.digest}")).tags == ("latest", "v2")
    assert (await world.shown(f"{SERVICE}/acme/api:v2")).listed == shown.listed
    assert world.registry.asked == []
    world.house.now += timedelta(days=31)
    assert (await world.shown("acme/api:v2")).customers == ()


async def test_what_the_index_does_not_have_is_asked_of_the_registry(world: World) -> None:
    """A tag of a moment ago, and a digest without a tag; what is asked is not claimed to be unsigned."""
    world.registry.images = {("acme/api", "v3"): described(THREE), ("acme/api", ONE.digest): described(ONE)}
    shown = await world.shown("acme/api:v3")
    assert shown.from_registry
    assert (shown.listed.image.digest, shown.listed.image.tag) == (THREE.digest, "v3")
    assert (shown.listed.image.signed, shown.blobs) == (None, described(THREE).blobs)
    await world.shown(f"annex/web@{ONE.digest}")
    assert world.registry.asked == ["acme/api v3"]
    with pytest.raises(NotFound):
        await world.shown(f"annex/web@{TWO.digest}")


async def test_an_image_of_another_repository_is_not_shown(world: World) -> None:
    """That the app has it elsewhere is not enough: the registry is asked."""
    with pytest.raises(NotFound):
        await world.shown(f"acme/other@{ONE.digest}")
    assert world.registry.asked == [f"acme/other {ONE.digest}"]


async def test_a_registry_that_is_down(world: World) -> None:
    """What is in the index is shown with its age; of the rest nobody can say whether it exists."""
    world.registry.images = None
    assert (await world.shown("acme/api:v1")).listed.image.read_at == NOW
    with pytest.raises(RegistryUnavailable):
        await world.shown("acme/api:v9")
    with pytest.raises(RegistryUnavailable):
        await world.images.repository(world.owner, "acme/nothing", NOW)
    index = RedisImageIndex(world.house.connection, Codec())
    await index.apply("acme/api", "acme", [IndexChange("bare", None, THREE.digest)], NOW)
    bare = await world.shown("acme/api:bare")
    assert (bare.listed.image.digest, bare.listed.image.summary) == (THREE.digest, None)


async def test_an_image_that_cannot_be_read(world: World) -> None:
    """It is shown, and unknown."""
    world.registry.images = {("acme/api", "x"): unreadable(THREE.digest, "text/html")}
    shown = await world.shown("acme/api:x")
    assert shown.listed.image.summary is not None
    assert (str(shown.listed.image.summary.kind), shown.blobs) == ("unknown", ())


async def test_a_repository(world: World) -> None:
    """How many tags, and since when that is known; a new one is asked of the registry."""
    shown = await world.images.repository(world.owner, "acme/api", NOW)
    assert (shown.state.tags, shown.state.read_at, shown.from_registry) == (3, NOW, False)
    world.registry.images = {("acme/new", "v1"): described(ONE)}
    fresh = await world.images.repository(world.owner, "acme/new", NOW)
    assert (fresh.state.tags, fresh.from_registry) == (1, True)
    with pytest.raises(NotFound):
        await world.images.repository(world.owner, "acme/none", NOW)


@pytest.mark.parametrize("name", ["globex/api", "globex/api:v1", "globex/api:v9", f"globex/api@{THREE.digest}"])
async def test_what_another_team_has(world: World, name: str) -> None:
    """It is as unknown as what nobody has, and the registry is not even asked."""
    world.registry.images = {("globex/api", "v1"): described(THREE)}
    told, use = set(), world.images
    for asked in (name, name.replace("globex", "nowhere")):
        with pytest.raises(NotFound) as refused:
            await (use.show if ":" in asked else use.repository)(world.owner, asked, NOW)
        told.add(str(refused.value).replace(asked, "NAME"))
    assert len(told) == 1
    assert world.registry.asked == []


async def test_no_name_of_another_team_is_told(world: World) -> None:
    """In no result of the first team is a word of the second."""
    results: list[ListedImage | ShownImage | ShownRepository] = []
    results += (await world.images.list(world.owner)).items
    results += [await world.shown("acme/api:v1"), await world.images.repository(world.owner, "acme/api", NOW)]
    assert "globex" not in repr([evolve_names(one) for one in results]).lower()


def evolve_names(result: ListedImage | ShownImage | ShownRepository) -> object:
    """Return a result without the customer of the first team, who has the name of the second team."""
    return evolve(result, customers=()) if isinstance(result, ShownImage) else result


async def test_what_an_app_adds_up_to(world: World) -> None:
    """It is unknown until it has been added up."""
    total, crawl = await world.images.sum(world.owner, "acme")
    assert (total, crawl.ended_at) == (None, None)
    with pytest.raises(NotFound):
        await world.images.sum(world.owner, "globex")
