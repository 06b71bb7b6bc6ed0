"""Finds licenses that end soon: each is reported 30, 7 and 1 days before its end, and again if it gets a new end.

For each app and number of days there is a position in the index of ends. A check reads from there to the licenses that
end in exactly that many days, so it reads only those that are due, however many licenses there are.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import define, field

from authsvc.store.apps import RedisApps
from authsvc.store.lists import STEP
from authsvc.store.webhook_deliveries import MAX_WAITING, RedisWebhookDeliveries
from authsvc.store.webhook_outbox import WebhookOutbox
from authsvc.store.webhook_watches import RedisWebhookWatches, position_at
from authsvc.store.webhooks import RedisWebhooks
from authsvc.tenancy.records import App
from authsvc.webhooks.event import EventType, WebhookEvent
from authsvc.webhooks.watched_events import ENDING_DAYS, license_ending
from authsvc.webhooks.webhook import Webhook

LOOK_EVERY = timedelta(minutes=10)
"""Time between two checks."""

LATEST = timedelta(days=3)
"""Licenses that have been due for longer than this, because no check ran, are not reported any more."""

MAX_QUEUED = 100
"""A check stops while more than this many events of a team wait to be distributed, or more than half of the limit wait
for its webhooks, so that no event is dropped when many licenses end at once."""


@define(eq=False, repr=False)
class EndingLicenses:
    """A watcher. A failure of Redis is raised as StoreUnavailable, and the next check continues from the same place.

    Attributes:
        watches: stores the positions of the checks.
        webhooks: lists the teams that want these events.
        apps: lists the apps of these teams.
        outbox: receives the events.
        deliveries: counts those that wait for a webhook.
    """

    watches: RedisWebhookWatches
    webhooks: RedisWebhooks
    apps: RedisApps
    outbox: WebhookOutbox
    deliveries: RedisWebhookDeliveries
    _next: datetime | None = field(default=None, init=False)

    async def look(self, now: datetime) -> None:
        """Report licenses that are due, if enough time has passed since the last complete check."""
        if self._next is not None and now < self._next:
            return
        # Until the indexes are settled, licenses of an older version are missing in them, and would be skipped.
        if not self.outbox.has_room() or not await self.watches.records.are_settled():
            return
        ended = True
        for team in await self.webhooks.teams():
            wanted = [one for one in await self.webhooks.of_team(team) if wants(one, EventType.ENDING)]
            ended &= not wanted or await self._look(team, wanted, now)
        self._next = now + LOOK_EVERY if ended else None

    async def _look(self, team: str, webhooks: Sequence[Webhook], now: datetime) -> bool:
        """Check the apps of a team; return whether all licenses that are due were reported."""
        chosen = {webhook.app for webhook in webhooks}
        apps = [app for app in await self.apps.of_team(team) if app.slug in chosen or None in chosen]
        for app in apps:
            for days in ENDING_DAYS:
                if not await self._report(app, days, webhooks, now):
                    return False
        return True

    async def _report(self, app: App, days: int, webhooks: Sequence[Webhook], now: datetime) -> bool:
        until = now + timedelta(days=days)
        position = await self.watches.position(app.slug, days)
        if position is None:  # licenses that were due before a webhook wanted the event are not reported
            await self.watches.save_position(app.slug, days, position_at(until))
            return True
        after = max(position, position_at(until - LATEST))
        while True:
            licenses, last = await self.watches.ending(app.slug, after, until, STEP)
            found = [license_ending(one, app, days, now) for one in licenses]
            events = [event for event in found if event is not None]
            if events and not await self._add(app.team, webhooks, events):
                return False
            after = position_at(until) if last is None else last
            await self.watches.save_position(app.slug, days, after)
            if last is None:
                return True

    async def _add(self, team: str, webhooks: Sequence[Webhook], events: Sequence[WebhookEvent]) -> bool:
        """Put events into the outbox; return whether there was room for them."""
        counts = await self.deliveries.counts([webhook.id for webhook in webhooks])
        # A receiver that is down must not prevent the others from getting the event.
        if await self.outbox.count([team]) > MAX_QUEUED or min(one.waiting for one in counts) > MAX_WAITING // 2:
            return False
        await self.outbox.add(events)
        return self.outbox.has_room()


def wants(webhook: Webhook, kind: EventType) -> bool:
    """Whether events of a type may be sent to a webhook."""
    return webhook.disabled_at is None and (webhook.types is None or kind in webhook.types)
