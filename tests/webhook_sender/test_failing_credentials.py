"""Credentials of linked registries that fail: each is reported once until it works again."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from attrs import define

from authsvc.manage.upstreams import LinkChange
from authsvc.redaction import Secret
from authsvc.store.upstreams import HEALTH_EVERY, RedisUpstreamHealth, RedisUpstreams
from authsvc.store.webhook_keys import webhook_event_seen
from authsvc.store.webhook_outbox import WebhookOutbox, read_event
from authsvc.store.webhook_watches import RedisWebhookWatches
from authsvc.store.webhooks import RedisWebhooks
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.terms import LinkTerms
from authsvc.webhook_sender.failing_credentials import FailingCredentials
from authsvc.webhooks.event import WebhookEvent
from authsvc.webhooks.terms import WebhookTerms
from authsvc.webhooks.watched_events import FAILING_FOR
from tests.support.installation import APP, OPERATOR, TEAM, Installation, installed
from tests.support.redis_server import connected

MINUTE = timedelta(minutes=1)
HOOK = WebhookTerms.parse("https://hooks.example.com/in", None)
ROBOT = LinkTerms.parse("quay", None, "org+robot", Secret("a key"), ["org/**"])


@define
class Watched:
    """An installation with a link, whose health is watched.

    Attributes:
        house: the installation.
        link: of its app.
        room: whether Redis has room.
    """

    house: Installation
    link: UpstreamLink
    room: bool = True

    @property
    def outbox(self) -> WebhookOutbox:
        """What the events are put into."""
        return WebhookOutbox(self.house.connection, lambda: self.room)

    async def look(self, after: timedelta = timedelta(0)) -> list[WebhookEvent]:
        """Let time pass, look as a server that has just started, and return what was reported."""
        self.house.now += after
        records = self.house.records
        watcher = FailingCredentials(
            RedisWebhookWatches(records), RedisWebhooks(records), RedisUpstreams(records), self.outbox
        )
        await watcher.look(self.house.now)
        events = [read_event(json.loads(raw)) for raw in await self.outbox.waiting(TEAM, 100)]
        await self.house.connection.redis.delete(f"authsvc:webhook-events:{TEAM}")
        return events

    async def good(self) -> None:
        """Let a pull through the link work."""
        await RedisUpstreamHealth(self.house.connection).note_good(self.link, self.house.now)

    async def fail(self, code: str = "upstream_refused") -> None:
        """Let a pull through the link fail."""
        await RedisUpstreamHealth(self.house.connection).note_error(self.link, self.house.now, code, "it said no")


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """Yield an installation with a webhook for everything."""
    async with connected("--appendfsync", "no") as connection, installed(connection) as house:
        link = await house.upstreams.link(APP, "quay", ROBOT, house.operation())
        await house.webhooks.add(HOOK, house.operation(), team=TEAM)
        yield Watched(house, link)


async def test_what_is_sent(watched: Watched) -> None:
    """Which link, what the registry said, and when it last worked; nothing of the credential."""
    await watched.good()
    watched.house.now += FAILING_FOR
    await watched.fail()
    (event,) = await watched.look()
    assert (event.team, event.app, event.at) == (TEAM, APP, watched.house.now)
    assert event.data == {
        "app": APP,
        "upstream": {"id": watched.link.id, "name": "quay", "provider": "quay", "url": "https://quay.io"},
        "message": "it said no",
        "last_good_at": (watched.house.now - FAILING_FOR).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "failed_at": watched.house.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


async def test_once_until_it_works_again(watched: Watched) -> None:
    """However long it fails; what fails anew is another event."""
    await watched.fail()
    (first,) = await watched.look()
    await watched.fail()
    # After days the outbox itself does not recognise the event any more.
    await watched.house.connection.redis.delete(webhook_event_seen(first.id))
    assert await watched.look(60 * MINUTE) == []
    assert await watched.look(timedelta(days=39)) == []
    await watched.good()
    assert await watched.look(MINUTE) == []
    watched.house.now += FAILING_FOR
    await watched.fail()
    (second,) = await watched.look()
    assert second.id != first.id
    assert await watched.look(MINUTE) == []


async def test_a_registry_that_still_gives_something_is_not_reported(watched: Watched) -> None:
    """One repository may be refused while others are pulled; and what is down says nothing of the credential."""
    for _ in range(5):
        await watched.good()
        watched.house.now += MINUTE
        await watched.fail()
        assert await watched.look() == []
    for code in ("upstream_unavailable", "upstream_limited", "token"):
        await watched.fail(code)
        assert await watched.look(FAILING_FOR + HEALTH_EVERY) == []


async def test_another_credential_is_judged_anew(watched: Watched) -> None:
    """What the old one failed with is forgotten; the new one may fail as well."""
    await watched.fail()
    (first,) = await watched.look()
    change = LinkChange(secret=Secret("another key"))
    watched.link = await watched.house.upstreams.set(watched.link.id, None, change, watched.house.operation())
    assert await watched.look(MINUTE) == []
    await watched.fail()
    (second,) = await watched.look()
    assert second.id != first.id


async def test_without_room_it_is_reported_later(watched: Watched) -> None:
    """As soon as Redis has room again."""
    await watched.fail()
    watched.room = False
    assert await watched.look() == []
    watched.room = True
    assert len(await watched.look(MINUTE)) == 1


async def test_nobody_who_did_not_choose_it_is_asked_for(watched: Watched) -> None:
    """It is reported when somebody does."""
    (webhook, _), *_ = (await watched.house.webhooks.list(OPERATOR)).items
    await watched.house.webhooks.remove(webhook.id, watched.house.operation())
    other = WebhookTerms.parse("https://hooks.example.com/in", ["image.pushed"])
    await watched.house.webhooks.add(other, watched.house.operation(), team=TEAM)
    await watched.fail()
    assert await watched.look() == []
    await watched.house.webhooks.add(HOOK, watched.house.operation(), team=TEAM)
    assert len(await watched.look(MINUTE)) == 1
