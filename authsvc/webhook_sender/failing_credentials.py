"""Finds links to external registries whose credential fails: each is reported once until it works again."""

from collections.abc import AsyncIterator
from datetime import datetime

from attrs import frozen

from authsvc.store.upstreams import RedisUpstreams
from authsvc.store.webhook_outbox import WebhookOutbox
from authsvc.store.webhook_watches import RedisWebhookWatches
from authsvc.store.webhooks import RedisWebhooks
from authsvc.tenancy.pages import MAX_PAGE
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import UpstreamLink
from authsvc.webhook_sender.ending_licenses import wants
from authsvc.webhooks.event import EventType
from authsvc.webhooks.watched_events import credential_failing, is_failing


@frozen(eq=False, repr=False)
class FailingCredentials:
    """A watcher. A failure of Redis is raised as StoreUnavailable, and the next check finds the same links again.

    Attributes:
        watches: stores what was reported.
        webhooks: lists the teams that want these events.
        upstreams: reads the state of the links of these teams.
        outbox: receives the events.
    """

    watches: RedisWebhookWatches
    webhooks: RedisWebhooks
    upstreams: RedisUpstreams
    outbox: WebhookOutbox

    async def look(self, now: datetime) -> None:
        """Report credentials that have begun to fail since the last check."""
        if not self.outbox.has_room():
            return
        for team in await self.webhooks.teams():
            if any(wants(one, EventType.CREDENTIAL_FAILING) for one in await self.webhooks.of_team(team)):
                await self._look(team, now)

    async def _look(self, team: str, now: datetime) -> None:
        known = await self.watches.reported(team)
        found = {
            link.id: credential_failing(link, health, now)
            async for link, health in self._links(team)
            if is_failing(health, now)
        }
        fresh = {link: event for link, event in found.items() if known.get(link) != event.id}
        ended = known.keys() - found.keys()
        if not fresh and not ended:
            return
        await self.outbox.add(list(fresh.values()))
        if fresh and not self.outbox.has_room():
            return
        await self.watches.save_reported(team, {link: event.id for link, event in fresh.items()}, ended)

    async def _links(self, team: str) -> AsyncIterator[tuple[UpstreamLink, UpstreamHealth]]:
        after = None
        while True:
            page = await self.upstreams.page(team, after, MAX_PAGE)
            for one in zip(page.items, await self.upstreams.health(page.items), strict=True):
                yield one
            after = page.next
            if after is None:
                return
