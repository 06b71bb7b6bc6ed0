"""Licenses that end soon: each is reported 30, 7 and 1 days before its end, once for every end."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from attrs import define, field

from authsvc.store.apps import RedisApps
from authsvc.store.webhook_deliveries import RedisWebhookDeliveries
from authsvc.store.webhook_outbox import WebhookOutbox, read_event
from authsvc.store.webhook_watches import RedisWebhookWatches
from authsvc.store.webhooks import RedisWebhooks
from authsvc.tenancy.records import License
from authsvc.tenancy.terms import LicenseTerms
from authsvc.webhook_sender.ending_licenses import LATEST, LOOK_EVERY, EndingLicenses
from authsvc.webhooks.event import EventType, WebhookEvent
from authsvc.webhooks.terms import WebhookTerms
from authsvc.webhooks.webhook import Webhook
from tests.support.installation import APP, OPERATOR, OTHER_APP, TEAM, Installation, confirmed, installed
from tests.support.migrated import migrate
from tests.support.redis_server import connected

URL = "https://hooks.example.com/in"
DAY = timedelta(days=1)


@define
class Watched:
    """An installation whose licenses are watched.

    Attributes:
        house: the installation.
        room: whether Redis has room.
    """

    house: Installation
    room: bool = True
    watcher: EndingLicenses = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin to watch."""
        self.watcher = self.another()

    @property
    def outbox(self) -> WebhookOutbox:
        """What the events are put into."""
        return WebhookOutbox(self.house.connection, lambda: self.room)

    def another(self) -> EndingLicenses:
        """Return the watcher of another server, which remembers nothing itself."""
        records = self.house.records
        return EndingLicenses(
            RedisWebhookWatches(records),
            RedisWebhooks(records),
            RedisApps(records),
            self.outbox,
            RedisWebhookDeliveries(self.house.connection, records.codec),
        )

    async def webhook(self, app: str | None = None, types: list[str] | None = None) -> Webhook:
        """Add a webhook."""
        added, _ = await self.house.webhooks.add(
            WebhookTerms.parse(URL, types), self.house.operation(), team=TEAM, app=app
        )
        return added

    async def license(self, ends_in: timedelta, app: str = APP) -> License:
        """Add a license."""
        terms = LicenseTerms("Globex", self.house.now + ends_in)
        made, _ = await self.house.licenses.create(app, terms, self.house.operation())
        return made

    async def look(self, after: timedelta = timedelta(0)) -> list[tuple[str, int]]:
        """Let time pass, look, and return license and days of what was reported."""
        self.house.now += after
        await self.watcher.look(self.house.now)
        events = await self.events()
        await self.house.connection.redis.delete(f"authsvc:webhook-events:{TEAM}")
        return [(event.data["license"]["id"], event.data["days"]) for event in events]  # type: ignore[index, misc]

    async def events(self) -> list[WebhookEvent]:
        """Return what waits."""
        return [read_event(json.loads(raw)) for raw in await self.outbox.waiting(TEAM, 10_000)]


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """Yield an installation whose lists are indexed."""
    async with connected("--appendfsync", "no") as connection, installed(connection) as house:
        await migrate(house.records)
        yield Watched(house)


async def test_a_license_is_reported_three_times(watched: Watched) -> None:
    """When 30, 7 and 1 days are left, and never again."""
    await watched.webhook()
    ending = await watched.license(40 * DAY)
    assert await watched.look() == []
    assert await watched.look(9 * DAY) == []
    assert await watched.look(DAY) == [(ending.id, 30)]
    assert await watched.look(DAY) == []
    assert await watched.look(22 * DAY) == [(ending.id, 7)]
    assert await watched.look(6 * DAY) == [(ending.id, 1)]
    assert await watched.look(2 * DAY) == []


async def test_what_is_sent(watched: Watched) -> None:
    """The license with its end, and the instant at which so many days were left."""
    await watched.webhook()
    ending = await watched.license(10 * DAY)
    await watched.watcher.look(watched.house.now)
    watched.house.now += 3 * DAY + timedelta(hours=5)
    await watched.watcher.look(watched.house.now)
    (event,) = await watched.events()
    assert (event.type, event.team, event.app, event.at) == (EventType.ENDING, TEAM, APP, ending.expires_at - 7 * DAY)
    assert event.data["license"] == {
        "id": ending.id,
        "app": APP,
        "customer": "Globex",
        "customer_id": ending.customer_id,
        "reference": None,
        "type": "paid",
        "expires_at": ending.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


async def test_a_license_that_was_extended_is_judged_anew(watched: Watched) -> None:
    """Nothing more of the old end, and all of the new one."""
    await watched.webhook()
    ending = await watched.license(8 * DAY)
    await watched.look()
    await watched.house.licenses.extend(ending.id, "60d", watched.house.operation())
    assert await watched.look(2 * DAY) == []
    assert await watched.look(28 * DAY) == [(ending.id, 30)]
    await watched.house.licenses.extend(ending.id, "60d", watched.house.operation())
    assert await watched.look(7 * DAY) == []
    assert await watched.look(23 * DAY) == [(ending.id, 30)]


async def test_what_is_not_reported(watched: Watched) -> None:
    """Licenses that are not in force, that were made with less time, of other apps, and of archived ones."""
    await watched.webhook(app=APP)
    revoked, archived = await watched.license(8 * DAY), await watched.license(8 * DAY)
    await watched.license(8 * DAY, app=OTHER_APP)
    await watched.look()
    await watched.house.licenses.revoke(revoked.id, watched.house.operation())
    await watched.house.licenses.archive(archived.id, watched.house.operation())
    await watched.license(7 * DAY)
    await watched.license(6 * DAY)
    assert await watched.look(2 * DAY) == []
    kept = await watched.license(8 * DAY)
    assert await watched.look(2 * DAY) == [(kept.id, 7)]
    await watched.license(8 * DAY)
    await confirmed(watched.house.teams.archive_app, APP, watched.house.operation())
    assert await watched.look(2 * DAY) == []


async def test_without_a_webhook_nothing_is_kept_for_later(watched: Watched) -> None:
    """Neither for one that is added afterwards, nor for one that chose other types or was disabled."""
    ending = await watched.license(9 * DAY)
    await watched.look()
    assert await watched.look(3 * DAY) == []
    other = await watched.webhook(types=["image.pushed"])
    assert await watched.look(LOOK_EVERY) == []
    await watched.house.webhooks.remove(other.id, watched.house.operation())
    await watched.webhook()
    assert await watched.look(LOOK_EVERY) == []
    assert await watched.look(5 * DAY) == [(ending.id, 1)]


async def test_another_server_goes_on_where_one_ended(watched: Watched) -> None:
    """Also a while later; what was due for days is not reported any more."""
    await watched.webhook()
    await watched.look()
    soon, late = await watched.license(32 * DAY), await watched.license(40 * DAY)
    watched.watcher = watched.another()
    assert await watched.look(2 * DAY + LATEST - timedelta(minutes=1)) == [(soon.id, 30)]
    watched.watcher = watched.another()
    assert await watched.look(9 * DAY) == []
    assert await watched.look(late.expires_at - watched.house.now - 7 * DAY) == [(late.id, 7)]


async def test_a_look_that_is_repeated_has_the_same_ids(watched: Watched) -> None:
    """A server that was killed after it reported and before it noted how far it was reports nothing twice."""
    await watched.webhook()
    await watched.license(8 * DAY)
    await watched.look()
    position = await watched.house.connection.redis.hgetall("authsvc:webhook-endings")
    watched.house.now += 2 * DAY
    await watched.watcher.look(watched.house.now)
    before = await watched.events()
    await watched.house.connection.redis.hset("authsvc:webhook-endings", mapping=position)  # type: ignore[arg-type]
    await watched.another().look(watched.house.now)
    assert await watched.events() == before
    assert len(before) == 1


async def test_many_licenses_that_end_at_once(watched: Watched) -> None:
    """None is dropped: while many events wait, a look goes no further, and the next one goes on."""
    await watched.webhook()
    terms = LicenseTerms("Globex", watched.house.now + 8 * DAY)
    opened = await watched.house.licenses.open_app(OPERATOR, APP)
    made = {
        (await watched.house.licenses.create_in(opened, terms, watched.house.operation()))[0].id for _ in range(350)
    }
    await watched.look()
    found = await watched.look(2 * DAY)
    assert 100 <= len(found) < 350
    while more := await watched.look():
        found += more
    assert sorted(found) == sorted((one, 7) for one in made)


async def test_without_room_nothing_is_passed_over(watched: Watched) -> None:
    """It is reported as soon as Redis has room again."""
    await watched.webhook()
    ending = await watched.license(8 * DAY)
    await watched.look()
    watched.room = False
    assert await watched.look(2 * DAY) == []
    watched.room = True
    assert await watched.look() == [(ending.id, 7)]


async def test_until_lists_are_indexed_nothing_is_passed_over(watched: Watched) -> None:
    """After an upgrade, licenses of an older version are not found by their end yet."""
    await watched.webhook()
    ending = await watched.license(8 * DAY)
    await watched.look()
    await watched.house.connection.redis.hset("authsvc:migration:indexes", "settled", "0")
    assert await watched.look(2 * DAY) == []
    await migrate(watched.house.records)
    assert await watched.look() == [(ending.id, 7)]
