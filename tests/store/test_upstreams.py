"""Links to external registries in Redis, and how each fares."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.error_codes import ErrorCode
from authsvc.errors import Conflict, StoreRefused
from authsvc.store import keys
from authsvc.store.apps import RedisApps
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.health import RedisHealth
from authsvc.store.records import Records
from authsvc.store.teams import RedisTeams
from authsvc.store.upstream_contents import RedisUpstreamContents
from authsvc.store.upstream_tags import RedisUpstreamTags
from authsvc.store.upstreams import HEALTH_EVERY, RedisUpstreamHealth, RedisUpstreams
from authsvc.tenancy.records import App, Team
from authsvc.tenancy.versioned import Versioned
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import MAX_LINKS_OF_APP, MAX_LINKS_OF_TEAM, UpstreamLink
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.providers import Provider
from authsvc.upstreams.tag_policy import RememberedTag
from tests.support.builders import NOW
from tests.support.redis_server import connected

_serial = itertools.count()
SOON = timedelta(seconds=1)

REMAINS = (f"{keys.PREFIX}op:", keys.AUDIT, keys.LEAF, keys.LEAVES, keys.index("upstreams", "acme-team"))
"""What changes leave: marks of operations, the audit, and an empty index."""


def entry() -> Entry:
    """Return what the audit records of a change."""
    return Entry(f"op-{next(_serial)}", NOW, "test.done", "system:authsvc")


def make_link(name: str = "quay", app: str = "acme", team: str = "acme-team") -> UpstreamLink:
    """Return a link."""
    return UpstreamLink(
        id=f"{next(_serial):016}",
        team=team,
        app=app,
        name=name,
        provider=Provider.QUAY,
        origin=Origin("https", "quay.io", 443),
        token_hosts=("auth.example",),
        repositories=("org/**", "tools/cli"),
        username="org+robot",
        sealed_secret="sealed1.0.x",
        credential_version=1,
        purge_count=0,
        created_at=NOW,
        created_by="m" * 16,
        changed_at=NOW,
        credential_ends_at=NOW + timedelta(days=90),
    )


class Place:
    """A store with apps of two teams."""

    def __init__(self, connection: Connection) -> None:
        """Work on an empty store."""
        self.connection = connection
        records = Records(connection, Codec())
        self.apps, self.teams, self.upstreams = RedisApps(records), RedisTeams(records), RedisUpstreams(records)

    async def fill(self) -> None:
        """Make the teams and apps."""
        for team in ("acme-team", "globex-team"):
            await self.teams.add(Team(team, team, NOW), entry())
        for app, team in (("acme", "acme-team"), ("acme-2", "acme-team"), ("globex", "globex-team")):
            await self.apps.add(App(app, team, app, NOW), entry())

    async def app(self, slug: str) -> Versioned[App]:
        """Return an app as it is."""
        found = await self.apps.get(slug)
        assert found is not None
        return found

    async def add(self, link: UpstreamLink) -> Versioned[UpstreamLink]:
        """Store a link and read it again."""
        await self.upstreams.add(link, await self.app(link.app), entry())
        found = await self.upstreams.get(link.id)
        assert found is not None
        return found

    async def names(self, team: str | None = None, app: str | None = None, limit: int = 2) -> list[str]:
        """Return what a list shows, page by page."""
        found, after = list[str](), None
        while True:
            page = await self.upstreams.page(team, after, limit, app=app)
            found += [f"{link.app}/{link.name}" for link in page.items]
            after = page.next
            if after is None:
                return found


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """Yield a store with apps."""
    async with connected("--appendfsync", "no") as connection:
        made = Place(connection)
        await made.fill()
        yield made


async def test_a_link_is_found_as_it_was_stored(place: Place) -> None:
    """By app and name, and by id; nothing under another name or app."""
    link = make_link()
    stored = await place.add(link)

    assert stored.record == link
    assert await place.upstreams.find("acme", "quay") == link
    assert await place.upstreams.find("acme", "hub") is None
    assert await place.upstreams.find("acme-2", "quay") is None
    assert await place.upstreams.get("x" * 16) is None


async def test_finding_a_link_is_one_read(place: Place) -> None:
    """Every pull asks for it."""
    await place.add(make_link())
    before = (await place.connection.redis.info("stats"))["total_commands_processed"]
    await place.upstreams.find("acme", "quay")
    after = (await place.connection.redis.info("stats"))["total_commands_processed"]

    assert after - before - 1 <= 1, "INFO itself is a command"


async def test_a_name_is_unique_among_links_that_are_there(place: Place) -> None:
    """Another app may use it, and so may the same one when the link has ended."""
    stored = await place.add(make_link())
    await place.add(make_link(app="acme-2"))
    second = make_link()
    with pytest.raises(Conflict, match="has an upstream 'quay' already") as refused:
        await place.add(second)
    assert (refused.value.code, refused.value.field) == ("name_taken", "name")
    assert await place.upstreams.get(second.id) is None

    await place.upstreams.remove(stored, entry())
    assert await place.upstreams.find("acme", "quay") is None
    assert await place.upstreams.get(stored.record.id) is None
    assert (await place.add(second)).record == second
    assert await place.upstreams.get(stored.record.id) is None, "the id of the ended link does not lead to the new one"


async def test_a_link_is_ended_also_without_memory(place: Place) -> None:
    """Its credential goes, whatever fills Redis; another link is refused then."""
    stored = await place.add(make_link())
    await place.connection.redis.config_set("maxmemory", "1mb")
    with pytest.raises(StoreRefused):
        await place.add(make_link("other"))
    await place.upstreams.remove(stored, entry())
    assert await place.upstreams.find("acme", "quay") is None


async def test_nothing_is_left_of_a_link_that_has_ended(place: Place) -> None:
    """Neither the sealed secret nor a place in a list or a limit."""
    before = set(await place.connection.redis.keys("*"))
    stored = await place.add(make_link())
    await RedisUpstreamHealth(place.connection).note_good(stored.record, NOW)
    await place.upstreams.remove(stored, entry())

    left = {str(key, "ascii") for key in set(await place.connection.redis.keys("*")) - before}  # type: ignore[arg-type]
    assert {key for key in left if not key.startswith(REMAINS)} == set()
    assert await place.names() == []


@pytest.mark.parametrize(
    ("most", "spread", "owner"), [(MAX_LINKS_OF_APP, 1, "the app"), (MAX_LINKS_OF_TEAM, 10, "the team")]
)
async def test_limits(place: Place, most: int, spread: int, owner: str) -> None:
    """An app and a team have so many links at most, whoever adds them; one that ends makes room."""
    slugs = [f"app-{number}" for number in range(spread)]
    for slug in slugs:
        await place.apps.add(App(slug, "acme-team", slug, NOW), entry())
    links = [make_link(f"up-{number}", slugs[number % spread]) for number in range(most + 1)]
    stored = [await place.add(link) for link in links[:-1]]
    code: ErrorCode = "upstreams_too_many"
    with pytest.raises(Conflict, match=f"{owner} .* has {most} upstreams, which is the limit") as refused:
        await place.add(links[-1])
    assert refused.value.code == code

    await place.upstreams.remove(stored[-1], entry())
    await place.add(links[-1])


async def test_lists(place: Place) -> None:
    """By app and name; of one app, of one team, or of all teams, however long a page is."""
    for app, name in (("acme", "quay"), ("acme-2", "hub"), ("acme", "hub"), ("acme", "ecr")):
        await place.add(make_link(name, app))
    await place.add(make_link("quay", "globex", "globex-team"))
    acme = ["acme-2/hub", "acme/ecr", "acme/hub", "acme/quay"]

    for limit in (1, 2, 100):
        assert await place.names("acme-team", limit=limit) == acme
        assert await place.names("acme-team", "acme", limit) == acme[1:]
        assert await place.names(limit=limit) == [*acme, "globex/quay"]
    assert await place.names("nobody") == []


async def test_a_change_rests_on_what_was_read(place: Place) -> None:
    """Two changes at once: the second one is refused."""
    stored = await place.add(make_link())
    changed = evolve(stored.record, purge_count=1)
    await place.upstreams.replace(stored, changed, entry())

    with pytest.raises(Conflict, match="changed at the same moment"):
        await place.upstreams.replace(stored, evolve(stored.record, repositories=("x",)), entry())
    with pytest.raises(Conflict, match="changed at the same moment"):
        await place.upstreams.remove(stored, entry())
    assert await place.upstreams.find("acme", "quay") == changed


async def test_an_app_that_was_changed_meanwhile_gets_no_link(place: Place) -> None:
    """It may have been archived."""
    app = await place.app("acme")
    await place.apps.replace(app, evolve(app.record, archived_at=NOW), entry())
    with pytest.raises(Conflict, match="changed at the same moment"):
        await place.upstreams.add(make_link(), app, entry())


async def test_health_is_remembered(place: Place) -> None:
    """The last good answer, the last error, and the end of the credential; in the order that was asked for."""
    first, second = [(await place.add(make_link(name))).record for name in ("quay", "hub")]
    health = RedisUpstreamHealth(place.connection)
    await health.note_good(first, NOW)
    await health.note_error(first, NOW + SOON, "upstream_refused", "the secret was refused")
    await health.note_credential_end(first, NOW + timedelta(hours=12))

    assert await place.upstreams.health([second, first]) == [
        UpstreamHealth(),
        UpstreamHealth(NOW, NOW + SOON, "upstream_refused", "the secret was refused", NOW + timedelta(hours=12)),
    ]
    assert await place.upstreams.health([]) == []


async def test_links_that_fail_are_counted(place: Place) -> None:
    """Until they work again, have another credential or are unlinked, or nobody has asked them for a while."""
    links = [await place.add(make_link(name)) for name in ("quay", "hub", "ghcr", "old")]
    quay, hub, ghcr, old = (link.record for link in links)
    health, seen = RedisUpstreamHealth(place.connection), RedisHealth(place.connection)

    async def failing() -> int:
        return await seen.failing_upstreams(NOW - SOON)

    assert await failing() == 0
    await health.note_error(old, NOW - 2 * SOON, "upstream_refused", "the secret was refused")
    assert await failing() == 0
    for link in (quay, hub, ghcr):
        await health.note_error(link, NOW, "upstream_refused", "the secret was refused")
        await health.note_error(link, NOW, "upstream_unavailable", "no answer")
    assert await failing() == 3
    await health.note_good(quay, NOW)
    assert await failing() == 2
    await place.upstreams.replace(links[1], evolve(hub, credential_version=2), entry())
    assert await failing() == 1
    await place.upstreams.remove(links[2], entry())
    assert await failing() == 0


async def test_health_of_another_credential_is_its_own(place: Place) -> None:
    """What is known of the old one says nothing about the new one, and is forgotten."""
    stored = await place.add(make_link())
    health = RedisUpstreamHealth(place.connection)
    await health.note_error(stored.record, NOW, "upstream_refused", "the secret was refused")
    new = evolve(stored.record, credential_version=2)
    await place.upstreams.replace(stored, new, entry())

    assert await place.upstreams.health([new, stored.record]) == [UpstreamHealth(), UpstreamHealth()]


@pytest.mark.parametrize("change", ["purge", "credential", "unlink", "repositories"])
async def test_what_nobody_asks_for_any_more_is_removed(
    place: Place, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Of the registry's tags and manifests nothing outlives a purge, a new credential or the link for a year."""
    monkeypatch.setattr("authsvc.store.upstreams.FORGOTTEN_AT_ONCE", 3)
    stored, other = await place.add(make_link()), await place.add(make_link("hub"))
    tags, contents = RedisUpstreamTags(place.connection, timedelta(days=7)), RedisUpstreamContents(place.connection)
    for link in (stored.record, other.record):
        for number in range(4):
            await tags.put(link, "org/a", str(number), RememberedTag(f"sha256:{number:064}", NOW))
            await contents.remember(link, "org/a", f"m{number}", "x", {f"b{number}": 1}, NOW)
    if change == "unlink":
        await place.upstreams.remove(stored, entry())
    else:
        changed = {
            "purge": evolve(stored.record, purge_count=1),
            "credential": evolve(stored.record, credential_version=2),
            "repositories": evolve(stored.record, repositories=("other/**",)),
        }
        await place.upstreams.replace(stored, changed[change], entry())

    names = await place.connection.run(place.connection.redis.keys(f"{keys.PREFIX}upstream-[tc]*"))
    left = Counter(name.decode().removeprefix(keys.PREFIX).split(":")[1] for name in names)
    whole = 4 + 8 + 2  # tags, manifests and blobs, and a list of each
    assert left[other.record.id] == whole
    assert left[stored.record.id] == (whole if change == "repositories" else 0)


async def test_the_same_news_is_written_once_a_minute(place: Place) -> None:
    """A thousand pulls a second are one write; news of another kind are written at once."""
    link = (await place.add(make_link())).record
    health = RedisUpstreamHealth(place.connection)

    async def written(what: str, after: timedelta) -> bool:
        writes = "rdb_changes_since_last_save"
        before = (await place.connection.redis.info("persistence"))[writes]
        at = NOW + after
        await (health.note_error(link, at, what, "words") if what else health.note_good(link, at))
        return bool((await place.connection.redis.info("persistence"))[writes] > before)

    assert await written("", 0 * SOON)
    assert not await written("", SOON)
    assert await written("upstream_limited", 2 * SOON)
    assert not await written("upstream_limited", 3 * SOON)
    assert await written("upstream_refused", 4 * SOON)
    assert await written("", 5 * SOON)
    assert not await written("", 5 * SOON + HEALTH_EVERY - SOON)
    assert await written("", 5 * SOON + HEALTH_EVERY)


async def test_health_waits_for_nobody(place: Place) -> None:
    """A Redis that is down costs a request nothing but the note."""
    link = (await place.add(make_link())).record
    async with connected() as gone:
        health = RedisUpstreamHealth(gone)
        await gone.close()
        await gone.redis.connection_pool.disconnect()
    await health.note_good(link, NOW)
