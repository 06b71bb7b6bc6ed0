"""Distributes events to the webhooks of a team that want them, and completes events from notes of the activity."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from authsvc.logs import Logger
from authsvc.store import keys
from authsvc.store.activity_layout import long_digest, long_subject
from authsvc.store.records import Records
from authsvc.store.webhook_deliveries import NewDelivery, RedisWebhookDeliveries
from authsvc.store.webhook_outbox import WebhookOutbox, read_event
from authsvc.store.webhooks import RedisWebhooks
from authsvc.tenancy.records import License
from authsvc.webhooks.delivery import Delivery, DeliveryState
from authsvc.webhooks.event import EventType, WebhookEvent, event_id
from authsvc.webhooks.event_data import image_data, license_data
from authsvc.webhooks.webhook import Webhook

TEAMS = 50
"""Teams that are served at one time."""

EVENTS = 20
"""Events of one team that are distributed at one time, so that a team with many does not delay the others."""


@frozen(eq=False, repr=False)
class EventFanout:
    """Distributes events. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        outbox: has the events.
        webhooks: reads the webhooks that want them.
        deliveries: receives one delivery for each webhook.
        records: reads licenses.
        holder: random name of the sender.
        clock: the current time.
        logger: for unreadable events.
        dropped: is called with the number of events that were dropped.
    """

    outbox: WebhookOutbox
    webhooks: RedisWebhooks
    deliveries: RedisWebhookDeliveries
    records: Records
    holder: str
    clock: Callable[[], datetime] = field(repr=False)
    logger: Logger = field(repr=False)
    dropped: Callable[[int], None] = field(default=lambda _: None, repr=False)

    async def share_out(self) -> bool:
        """Distribute some events of each of some teams; return whether there were any."""
        teams = await self.outbox.teams(TEAMS)
        for team in teams:
            await self._share_out(team)
        for team, count in (await self.outbox.take_drops()).items():
            webhooks = await self.webhooks.of_team(team)
            await self.deliveries.count_drops([one.id for one in webhooks], count)
            self._report_drops(team, count)
        return bool(teams)

    async def _share_out(self, team: str) -> None:
        raws = await self.outbox.waiting(team, EVENTS)
        webhooks = await self.webhooks.of_team(team)
        for raw in raws:
            event = await self._read(raw)
            made = [] if event is None else _deliveries(event, webhooks)
            dropped = await self.deliveries.share_out(self.holder, team, raw, made, self.clock())
            if dropped is None:
                return
            if dropped:
                self._report_drops(team, dropped)

    def _report_drops(self, team: str, count: int) -> None:
        self.logger.warning("webhooks.dropped", team=team, count=count)
        self.dropped(count)

    async def _read(self, raw: bytes) -> WebhookEvent | None:
        """Return a waiting event; None when this version cannot read it."""
        try:
            facts = json.loads(raw)
            return await self._noted(facts) if "note" in facts else read_event(facts)
        except (ValueError, KeyError, TypeError) as error:
            self.logger.error("webhooks.unreadable", detail=repr(error)[:200])
            return None

    async def _noted(self, note: Mapping[str, Any]) -> WebhookEvent:
        """Return the event for a note of the activity's script."""
        kind, team, app = EventType(note["note"]), str(note["team"]), str(note["app"])
        at = datetime.fromtimestamp(note["at"], UTC)
        image = image_data(note["repository"], note.get("tag"), long_digest(note.get("digest")))
        if kind is EventType.PUSHED:
            by = note.get("by")
            data = {"app": app, "image": image, "by": None if by is None else long_subject(by)}
            return WebhookEvent(event_id(kind, note["event"]), kind, at, team, app, data)
        license_id = str(note["license"])
        facts: dict[str, object] = {"license": await self._license(license_id), "image": image}
        facts["network"] = note.get("network")
        # The first pull with a license is one event, regardless of which pull was recorded first.
        parts = (license_id,) if kind is EventType.FIRST_PULL else (license_id, note["event"])
        return WebhookEvent(event_id(kind, *parts), kind, at, team, app, facts)

    async def _license(self, license_id: str) -> Mapping[str, object]:
        found = await self.records.get(keys.license_(license_id), License)
        return {"id": license_id} if found is None else license_data(found.record)


def _deliveries(event: WebhookEvent, webhooks: Sequence[Webhook]) -> list[NewDelivery]:
    waiting = Delivery(event.id, event.type, event.at, DeliveryState.WAITING)
    body = event.body()
    return [NewDelivery(one.id, waiting, body) for one in webhooks if one.wants(event)]
