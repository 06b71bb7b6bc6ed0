"""Lists and summaries of activity: two teams, licenses of several apps, and both sources."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve, frozen

from authsvc.activity.history import Version
from authsvc.errors import AuthsvcError, InputRefused, NotFound
from authsvc.manage.activity import MAX_LICENSES, Activity, ActivityQuery
from authsvc.manage.activity_view import ActivityLine
from authsvc.manage.actor import Actor
from authsvc.manage.image_users import ImageUsers
from authsvc.store import keys
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.codec import Codec
from authsvc.store.records import Records
from authsvc.tenancy.records import Role
from authsvc.wiring.stores import make_stores
from tests.support.activity import (
    FOREIGN,
    FOREIGN_LICENSE,
    HOOLI,
    INDEX,
    INITECH,
    LICENSE,
    MEMBER,
    OTHER_LICENSE,
    Recording,
    blob,
    digest,
    event,
    push,
    recording,
)
from tests.support.builders import NOW, make_member

DAY = timedelta(days=1)
TOOLS_LICENSE = "license:c000000000000004"
OWNER = Actor.of_member(make_member())
LIMITED = Actor.of_member(make_member(Role.VIEWER, apps=("tools",)))
STRANGER = Actor.of_member(make_member(team="globex-team"))
OPERATOR = Actor.operator()


@frozen
class Desk:
    """The use cases on a store that records events."""

    store: Recording
    activity: Activity
    images: ImageUsers

    async def rows(self, actor: Actor = OWNER, **wanted: Any) -> list[ActivityLine]:
        """Return all rows of a query."""
        found: list[ActivityLine] = []
        after = None
        while True:
            page = await self.activity.rows(actor, ActivityQuery(**wanted), NOW, after=after, limit=2)
            found += page.items
            after = page.next
            if after is None:
                return found


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Yield use cases without activity."""
    async with recording() as store:
        stores = make_stores(Records(store.connection, Codec()))
        audit = RedisAudit(store.connection, 64 * 1024 * 1024)
        yield Desk(store, Activity(stores, audit), ImageUsers(stores))


async def test_a_row_says_who_pulled_what_and_for_whom(desk: Desk) -> None:
    """A license has its customer; a member has none; bytes are of a repository."""
    await desk.store.record(event(), event(timestamp=NOW - timedelta(minutes=2)), blob(700), event(subject=MEMBER))

    pulled = ActivityLine(
        period=NOW.replace(hour=0),
        resolution="day",  # type: ignore[arg-type]
        app="acme",
        repository="acme/worker",
        tag="1.0",
        digest=digest(),
        action="pull",
        subject=LICENSE,
        license="c000000000000001",
        customer="Initech",
        customer_id=INITECH.id,
        count=2,
        bytes=None,
        first_at=NOW - timedelta(minutes=2),
        last_at=NOW,
        source="registry",
    )
    downloaded = evolve(pulled, tag=None, digest=None, count=0, bytes=700, first_at=NOW)
    by_member = evolve(pulled, subject=MEMBER, license=None, customer=None, customer_id=None, count=1, first_at=NOW)
    assert [downloaded, pulled, by_member] == await desk.rows()
    assert {NOW, NOW - timedelta(hours=1)} == {
        row.period for row in await desk.rows(license="c000000000000001", resolution="hour")
    }


@pytest.mark.parametrize(
    ("wanted", "subjects"),
    [
        ({}, {LICENSE, OTHER_LICENSE, TOOLS_LICENSE}),
        ({"app": "acme"}, {LICENSE, OTHER_LICENSE}),
        ({"license": "c000000000000002"}, {OTHER_LICENSE}),
        ({"customer": "Initech"}, {LICENSE, TOOLS_LICENSE}),
        ({"customer": INITECH.id, "app": "tools"}, {TOOLS_LICENSE}),
        ({"customer": "Hooli", "license": "c000000000000001"}, set()),
        ({"license": "c000000000000001", "image": "acme/worker:1.0"}, {LICENSE}),
        ({"license": "c000000000000001", "image": "tools/worker"}, set()),
        ({"app": "tools", "image": "acme/worker"}, set()),
        ({"image": "acme/worker"}, {LICENSE, OTHER_LICENSE}),
        ({"image": f"acme/worker@{digest(2)}"}, {OTHER_LICENSE}),
        ({"image": "acme/worker:1.0", "customer": "Hooli"}, set()),
        ({"since": "1d"}, {LICENSE, TOOLS_LICENSE}),
        ({"until": "1d"}, {OTHER_LICENSE}),
    ],
)
async def test_filters_leave_rows_out(desk: Desk, wanted: dict[str, Any], subjects: set[str]) -> None:
    """Each alone and together, from either source."""
    await desk.store.record(
        event(),
        event(subject=OTHER_LICENSE, digest=digest(2), tag="2.0", timestamp=NOW - 3 * DAY),
        event(subject=TOOLS_LICENSE, repository="tools/worker"),
        event(subject=FOREIGN_LICENSE, repository="globex/worker"),
    )
    assert subjects == {row.subject for row in await desk.rows(**wanted)}


CALLS: dict[str, Callable[[Desk, Actor], Any]] = {
    "app": lambda desk, actor: desk.activity.rows(actor, ActivityQuery(app="acme"), NOW),
    "license": lambda desk, actor: desk.activity.rows(actor, ActivityQuery(license="c000000000000001"), NOW),
    "customer": lambda desk, actor: desk.activity.rows(actor, ActivityQuery(customer=HOOLI.id), NOW),
    "image": lambda desk, actor: desk.activity.rows(actor, ActivityQuery(image="acme/worker"), NOW),
    "of a license": lambda desk, actor: desk.activity.license(actor, "c000000000000001", NOW),
    "of a customer": lambda desk, actor: desk.activity.customer(actor, HOOLI.id, NOW),
    "of an app": lambda desk, actor: desk.activity.app(actor, "acme", NOW),
    "of an image": lambda desk, actor: desk.images.show(actor, "acme/worker:1.0", NOW),
    "unused": lambda desk, actor: desk.images.unused(actor, "acme/worker", NOW),
}


@pytest.mark.parametrize("name", list(CALLS))
@pytest.mark.parametrize("actor", [STRANGER, LIMITED], ids=["stranger", "limited"])
async def test_what_an_actor_does_not_see_does_not_exist(desk: Desk, name: str, actor: Actor) -> None:
    """The error is the same as without any activity."""
    with pytest.raises(NotFound) as before:
        await CALLS[name](desk, actor)
    await desk.store.record(event(), push(), event(subject=OTHER_LICENSE))
    with pytest.raises(NotFound) as after:
        await CALLS[name](desk, actor)
    assert str(before.value) == str(after.value)


async def test_nothing_of_another_team_appears(desk: Desk) -> None:
    """Two vendors' licenses in one password: each vendor sees its own, also when it asks for everything."""
    both = "license:c000000000000001,c000000000000003"
    await desk.store.record(event(subject=both), event(subject=both, repository="globex/db"), blob(9, subject=both))
    await write_tokens(
        desk, both, ["acme/worker", "globex/db"], {"c000000000000001": "acme", "c000000000000003": "globex"}
    )

    for source in ("registry", "token"):
        mine, theirs = await desk.rows(source=source), await desk.rows(STRANGER, source=source)
        assert {("acme/worker", LICENSE, INITECH.id)} == {
            (row.repository, row.subject, row.customer_id) for row in mine
        }
        assert {("globex/db", FOREIGN_LICENSE, FOREIGN.id)} == {
            (row.repository, row.subject, row.customer_id) for row in theirs
        }
        assert [] == await desk.rows(LIMITED, source=source)
        assert {LICENSE, FOREIGN_LICENSE} == {row.subject for row in await desk.rows(OPERATOR, source=source)}


async def test_a_license_is_summed_up(desk: Desk) -> None:
    """First and last pull, versions with their tags, networks and bytes; parts of an index are not counted."""
    child = digest(70)
    await desk.store.record(
        event("pull", "HEAD", timestamp=NOW - 3 * DAY),
        event(tag=None, media_type=INDEX, parts=(child,), timestamp=NOW - 3 * DAY),
        event(tag=None, digest=child, timestamp=NOW - 3 * DAY, address="2001:db8::1"),
        event(digest=digest(2), tag="2.0", timestamp=NOW - DAY),
        event(digest=digest(2), tag="latest"),
        blob(100),
        blob(23),
        event(subject=OTHER_LICENSE, digest=digest(3)),
    )
    summary = await desk.activity.license(OWNER, "c000000000000001", NOW)

    assert (NOW - 3 * DAY, NOW) == (summary.first_pull, summary.last_pull)
    (use,) = summary.licenses
    assert (3, 123, 2) == (use.pulls, use.bytes, use.networks)
    assert ("2001:db8::/64", "203.0.113.7") == summary.networks
    head, pulled = NOW - 3 * DAY, NOW - 3 * DAY
    assert summary.versions[0] == Version(
        "acme/worker", digest(2), ("2.0", "latest"), NOW - DAY, NOW, None, 2, is_part=False
    )
    assert set(summary.versions[1:]) == {
        Version("acme/worker", digest(), ("1.0",), pulled, pulled, head, 1, is_part=False),
        Version("acme/worker", child, (), pulled, pulled, None, 0, is_part=True),
    }
    first = await desk.activity.license(OWNER, "c000000000000001", NOW, limit=2)
    rest = await desk.activity.license(OWNER, "c000000000000001", NOW, limit=2, after=first.next)
    assert summary.versions == (*first.versions, *rest.versions)
    assert rest.next is None


async def test_a_customer_is_the_sum_of_its_licenses(desk: Desk) -> None:
    """Within what the actor sees; a license without activity is there too."""
    await desk.store.record(
        event(timestamp=NOW - DAY),
        event(subject=TOOLS_LICENSE, repository="tools/worker", address="198.51.100.1"),
        blob(5, subject=TOOLS_LICENSE, repository="tools/worker"),
    )
    whole = await desk.activity.customer(OWNER, "Initech", NOW)
    assert (NOW - DAY, NOW) == (whole.first_pull, whole.last_pull)
    assert {"acme": (1, 0), "tools": (1, 5)} == {one.app: (one.pulls, one.bytes) for one in whole.licenses}
    assert ("198.51.100.1", "203.0.113.7") == whole.networks
    assert ["tools/worker", "acme/worker"] == [version.repository for version in whole.versions]

    limited = await desk.activity.customer(LIMITED, "Initech", NOW)
    assert ["tools"] == [one.app for one in limited.licenses]
    assert ("198.51.100.1", "203.0.113.7") == limited.networks
    idle = await desk.activity.customer(OWNER, "Hooli", NOW)
    assert (None, None, ()) == (idle.since, idle.last_pull, idle.versions)
    assert [0] == [one.pulls for one in idle.licenses]
    assert MAX_LICENSES > len(idle.licenses)


async def test_an_apps_days_are_everyones_together(desk: Desk) -> None:
    """Two licenses in one password are one pull of the app."""
    both = f"{LICENSE},c000000000000002"
    await desk.store.record(
        event(subject=both),
        blob(10, subject=both),
        push(timestamp=NOW - DAY),
        event("pull", "HEAD", timestamp=NOW - DAY),
    )
    days = (await desk.activity.app(OWNER, "acme", NOW)).items
    assert [(NOW.replace(hour=0), 1, 0, 0, 10), (NOW.replace(hour=0) - DAY, 0, 1, 1, 0)] == [
        (day.start, day.pulls, day.heads, day.pushes, day.size) for day in days
    ]
    first = await desk.activity.app(OWNER, "acme", NOW, limit=1)
    assert (days[1],) == (await desk.activity.app(OWNER, "acme", NOW, limit=1, after=first.next)).items
    assert (days[0],) == (await desk.activity.app(OWNER, "acme", NOW, since="12h")).items


async def test_who_has_which_version(desk: Desk) -> None:
    """A tag's users are those of its digest too; a repository's have their versions."""
    await desk.store.record(
        push(timestamp=NOW - 9 * DAY),
        push(timestamp=NOW - 8 * DAY, tag="2.0", digest=digest(2)),
        event("pull", "HEAD", timestamp=NOW - 3 * DAY),
        event(tag=None, timestamp=NOW - 3 * DAY),
        event(subject=OTHER_LICENSE, tag="2.0", digest=digest(2), timestamp=NOW - 2 * DAY),
        event(subject=MEMBER, tag="2.0", digest=digest(2)),
    )
    tag = await desk.images.show(OWNER, "acme/worker:1.0", NOW)
    assert [(LICENSE, "Initech", NOW - 3 * DAY)] == [
        (user.subject, user.customer, user.last_pull) for user in tag.users
    ]
    assert tag.history.image.digest == digest()
    assert tag.history.pulled_by_license is not None
    assert [] == list((await desk.images.show(OWNER, "acme/worker:1.0", NOW, since="1d")).users)

    whole = await desk.images.show(OWNER, "acme/worker", NOW)
    found = {user.subject: [(v.tags, v.digest) for v in user.versions or ()] for user in whole.users}
    newer = [(("2.0",), digest(2))]
    assert {LICENSE: [(("1.0",), digest())], OTHER_LICENSE: newer, MEMBER: newer} == found

    unused = await desk.images.unused(OWNER, "acme/worker", NOW, unused_for="60h")
    assert ["1.0"] == [tag.image.tag for tag in unused.items]
    assert [] == list((await desk.images.unused(OWNER, "acme/worker", NOW)).items)
    await desk.store.record(event("delete", "DELETE", digest=None, media_type=None))
    assert [] == list((await desk.images.unused(OWNER, "acme/worker", NOW, unused_for="60h")).items)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"resolution": "week"}, "resolution"),
        ({"source": "guess"}, "source"),
        ({"since": "soon"}, "since"),
        ({"until": "500d"}, "until"),
        ({"since": "1d", "until": "2d"}, "until"),
        ({"image": "acme/worker:1.0@sha256:1"}, "image"),
        ({"image": f"acme/worker:1.0@{digest()}"}, "image"),
        ({"image": "registry.test:5000/acme/worker"}, "image"),
        ({"image": "registry.test/acme/worker"}, "image"),
        ({"image": "acme"}, "image"),
        ({"image": "proxy/acme"}, "image"),
        ({"app": "Nope!"}, "app"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(desk: Desk, wanted: dict[str, Any], field: str) -> None:
    """With the argument's name."""
    with pytest.raises(InputRefused) as refused:
        await desk.rows(**wanted)
    assert field == refused.value.field


async def test_a_cursor_belongs_to_its_list(desk: Desk) -> None:
    """It is refused with other filters, and of another source."""
    await desk.store.record(event(), event(tag="2.0"))
    page = await desk.activity.rows(OWNER, ActivityQuery(), NOW, limit=1)
    assert page.next is not None
    for other in (ActivityQuery(app="acme"), ActivityQuery(resolution="hour"), ActivityQuery(source="token")):
        with pytest.raises(AuthsvcError, match="not a cursor of this list"):
            await desk.activity.rows(OWNER, other, NOW, after=page.next)


async def write_tokens(desk: Desk, subject: str, repositories: list[str], apps: dict[str, str], count: int = 1) -> None:
    """Write an issued token to the audit, as the recorder does."""
    each = [{"kind": "license", "id": one, "app": app} for one, app in apps.items()]
    credential = each[0] if len(each) == 1 else {"kind": "licenses", "id": ",".join(apps), "licenses": each}
    facts = {
        "at": NOW.isoformat(),
        "event": "token.issued",
        "actor": subject,
        "id": "0" * 16,
        "granted": [f"repository:{name}:pull" for name in repositories],
        "credential": credential,
        "count": count,
    }
    # The entries that made the store are of the clock's time, and those of the test are older.
    await desk.store.connection.redis.delete(keys.AUDIT)
    position = f"{int(NOW.timestamp() * 1000)}-1"
    await desk.store.connection.redis.xadd(keys.AUDIT, {"entry": json.dumps(facts)}, id=position)


async def test_a_granted_token_shows_that_a_customer_asked(desk: Desk) -> None:
    """Even if the registry's events were lost; its tag is not known, and it counts tokens."""
    await write_tokens(desk, LICENSE, ["acme/worker", "acme/web"], {"c000000000000001": "acme"}, count=3)

    rows = await desk.rows(source="token", license="c000000000000001")
    assert {("acme/worker", "Initech", 3), ("acme/web", "Initech", 3)} == {
        (row.repository, row.customer, row.count) for row in rows
    }
    assert {(None, None, None, "pull", "token")} == {
        (row.tag, row.digest, row.bytes, row.action, row.source) for row in rows
    }
    assert ["acme/web"] == [row.repository for row in await desk.rows(source="token", image="acme/web:1.0")]
    assert [] == await desk.rows(source="token", license="c000000000000002")
    assert [] == await desk.rows()
