"""Webhooks in Redis."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict, StoreRefused
from authsvc.store import keys
from authsvc.store.apps import RedisApps
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.store.teams import RedisTeams
from authsvc.store.webhook_deliveries import delivery_keys
from authsvc.store.webhook_keys import WEBHOOKS_DUE
from authsvc.store.webhooks import RedisWebhooks
from authsvc.tenancy.records import App, Team
from authsvc.tenancy.versioned import Versioned
from authsvc.upstreams.origin import Origin
from authsvc.webhooks.event import EventType
from authsvc.webhooks.webhook import MAX_WEBHOOKS_OF_TEAM, Webhook
from tests.support.builders import NOW
from tests.support.redis_server import connected

_serial = itertools.count()

REMAINS = (f"{keys.PREFIX}op:", keys.AUDIT, keys.LEAF, keys.LEAVES, keys.index("webhooks", "acme"))
"""What changes leave: marks of operations, the audit, and an empty index."""


def entry() -> Entry:
    """Return what the audit records of a change."""
    return Entry(f"op-{next(_serial)}", NOW, "test.done", "system:authsvc")


def make_webhook(team: str = "acme", **other: Any) -> Webhook:
    """Return a webhook; each is a minute younger than the one before."""
    number = next(_serial)
    at = NOW + timedelta(minutes=number)
    webhook = Webhook(
        id=f"{number:016}",
        team=team,
        app=None,
        origin=Origin("https", "hooks.example.com", 8443),
        path="/in",
        types=(EventType.ENDING, EventType.PUSHED),
        sealed_secret="sealed1.0.x",
        secret_version=1,
        created_at=at,
        created_by="m" * 16,
        changed_at=at,
    )
    return evolve(webhook, **other)


class Place:
    """A store with two teams and an app."""

    def __init__(self, connection: Connection) -> None:
        """Work on an empty store."""
        self.connection = connection
        records = Records(connection, Codec())
        self.apps, self.teams, self.webhooks = RedisApps(records), RedisTeams(records), RedisWebhooks(records)

    async def fill(self) -> None:
        """Make the teams and the app."""
        for team in ("acme", "globex"):
            await self.teams.add(Team(team, team, NOW), entry())
        await self.apps.add(App("shop", "acme", "shop", NOW), entry())

    async def add(self, webhook: Webhook) -> Versioned[Webhook]:
        """Store a webhook and read it again."""
        await self.webhooks.add(webhook, None, entry())
        found = await self.webhooks.get(webhook.id)
        assert found is not None
        return found

    async def ids(self, team: str | None, limit: int) -> list[str]:
        """Return what a list shows, page by page."""
        found, after = list[str](), None
        while True:
            page = await self.webhooks.page(team, after, limit)
            found += [webhook.id for webhook in page.items]
            after = page.next
            if after is None:
                return found


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """Yield a store with teams."""
    async with connected("--appendfsync", "no") as connection:
        made = Place(connection)
        await made.fill()
        yield made


async def test_a_webhook_is_found(place: Place) -> None:
    """As it was stored, by id and in its team."""
    webhook = make_webhook(app="shop", types=None, created_by=None)
    assert (await place.add(webhook)).record == webhook
    assert await place.webhooks.of_team("acme") == [webhook]
    assert await place.webhooks.get("0" * 16) is None
    assert await place.webhooks.of_team("globex") == []


async def test_lists(place: Place) -> None:
    """Oldest first, of one team or team by team, however long a page is."""
    stored = [(await place.add(make_webhook(team))).record for team in ("acme", "globex", "acme")]
    acme, globex = [stored[0].id, stored[2].id], [stored[1].id]
    for limit in (1, 2, 100):
        assert await place.ids("acme", limit) == acme
        assert await place.ids(None, limit) == acme + globex
    assert [webhook.id for webhook in await place.webhooks.of_team("acme")] == acme
    assert await place.webhooks.teams() == ["acme", "globex"]


async def test_a_change_rests_on_what_was_read(place: Place) -> None:
    """Two changes at once: the second one is refused."""
    stored = await place.add(make_webhook())
    changed = evolve(stored.record, disabled_at=NOW, disabled_reason="it answered 410")
    await place.webhooks.replace(stored, changed, entry())
    with pytest.raises(Conflict, match="changed at the same moment"):
        await place.webhooks.replace(stored, evolve(stored.record, types=None), entry())
    with pytest.raises(Conflict, match="changed at the same moment"):
        await place.webhooks.remove(stored, entry())
    assert await place.webhooks.of_team("acme") == [changed]


async def test_an_app_that_was_changed_meanwhile_gets_no_webhook(place: Place) -> None:
    """It may have been archived."""
    app = await place.apps.get("shop")
    assert app is not None
    await place.apps.replace(app, evolve(app.record, archived_at=NOW), entry())
    with pytest.raises(Conflict, match="changed at the same moment"):
        await place.webhooks.add(make_webhook(app="shop"), app, entry())


async def test_the_limit_of_a_team(place: Place) -> None:
    """One that is removed makes room; another team has its own limit."""
    stored = [await place.add(make_webhook()) for _ in range(MAX_WEBHOOKS_OF_TEAM)]
    with pytest.raises(Conflict, match="'acme' has 20 webhooks, which is the limit") as refused:
        await place.add(make_webhook())
    assert refused.value.code == "webhooks_too_many"
    await place.add(make_webhook("globex"))
    await place.webhooks.remove(stored[0], entry())
    await place.add(make_webhook())


async def test_nothing_is_left_of_a_webhook_that_was_removed(place: Place) -> None:
    """Neither the sealed secret nor a place in a list or a limit nor an event, also when Redis has no memory left."""
    before = set(await place.connection.redis.keys("*"))
    stored = await place.add(make_webhook())
    for name in delivery_keys(stored.record.id):
        await place.connection.redis.hset(name, "evt_1", "what a customer did")
    await place.connection.redis.zadd(WEBHOOKS_DUE, {f"acme/{stored.record.id}": 1})
    await place.connection.redis.config_set("maxmemory", "1mb")
    with pytest.raises(StoreRefused):
        await place.add(make_webhook())
    await place.webhooks.remove(stored, entry())

    left = {str(key, "ascii") for key in set(await place.connection.redis.keys("*")) - before}  # type: ignore[arg-type]
    assert {key for key in left if not key.startswith(REMAINS)} == set()
    assert await place.ids("acme", 10) == []
    assert await place.webhooks.teams() == []


async def test_what_a_newer_authsvc_wrote_is_left_out(place: Place) -> None:
    """The other webhooks of the team go on."""
    newer, known = await place.add(make_webhook()), await place.add(make_webhook())
    await place.connection.redis.set(keys.webhook(newer.record.id), newer.version.replace(b'"v":1', b'"v":2'))
    assert await place.webhooks.of_team("acme") == [known.record]
