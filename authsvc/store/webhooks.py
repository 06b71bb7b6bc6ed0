"""Webhooks in Redis: by id, and by team in the order in which they were added."""

from collections.abc import AsyncIterator

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.indexes import entries_of
from authsvc.store.lists import STEP, List, Range
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.store.teams import team_list
from authsvc.store.webhook_deliveries import delivery_keys
from authsvc.store.webhook_keys import WEBHOOKS_DUE
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App
from authsvc.tenancy.versioned import Versioned
from authsvc.webhooks.webhook import MAX_WEBHOOKS_OF_TEAM, Webhook


@frozen(eq=False, repr=False)
class RedisWebhooks:
    """The webhooks of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, webhook_id: str) -> Versioned[Webhook] | None:
        """Return the webhook with this id."""
        return await self.records.get(keys.webhook(webhook_id), Webhook)

    async def of_team(self, team: str) -> list[Webhook]:
        """Return the webhooks of a team, including disabled ones, in the order in which they were added.

        Those that a newer authsvc wrote are left out.
        """
        connection = self.records.connection
        ids = await connection.read(lambda: connection.redis.zrange(keys.team_webhooks(team), 0, -1))
        raws = await connection.get_all(*(keys.webhook(one.decode()) for one in ids)) if ids else []
        found = (self.records.readable(raw, Webhook) for raw in raws if raw is not None)
        return [webhook for webhook in found if webhook is not None]

    async def teams(self) -> list[str]:
        """Return the teams that have webhooks, by slug."""
        redis = self.records.connection.redis
        found = await self.records.connection.read(lambda: redis.zrange(keys.WEBHOOKS, 0, -1))
        return sorted({one.decode().partition("/")[0] for one in found})

    async def page(self, team: str | None, after: str | None, limit: int) -> Page[Webhook]:
        """Return one page of the webhooks of a team, oldest first, or of all teams, team by team.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """

        async def ranges(first: str) -> AsyncIterator[Range]:
            if team is not None:
                yield _range(team)
                return
            teams, slugs = await team_list(self.records).range_of(""), [first] if first else []
            while True:
                for slug in slugs:
                    yield _range(slug)
                slugs = await teams.entries(self.records, slugs[-1] if slugs else "", STEP)
                if not slugs:
                    return

        return await List(self.records, Webhook, keys.webhook).page(f"webhooks {team}", ranges, after, limit)

    async def add(self, webhook: Webhook, app: Versioned[App] | None, entry: Entry) -> None:
        """Store a new webhook; ``app`` is the one that it is for, if any.

        Raises:
            Conflict: the app was changed meanwhile, or the team has as many webhooks as it may have.
        """
        change = self.records.change(entry, webhook.id)
        if app is not None:
            change.expect(keys.app(app.record.slug), app.version, CHANGED_MEANWHILE)
        change.expect_fewer(
            keys.team_webhooks(webhook.team),
            MAX_WEBHOOKS_OF_TEAM,
            0,
            f"the team {webhook.team!r} has {MAX_WEBHOOKS_OF_TEAM} webhooks, which is the limit",
            "webhooks_too_many",
        )
        change.put(keys.webhook(webhook.id), self.records.codec.encode(webhook))
        at = webhook.created_at.timestamp()
        change.add_to_order(keys.team_webhooks(webhook.team), at, webhook.id)
        change.add_to_order(keys.WEBHOOKS, at, _place(webhook))
        change.index(entries_of(webhook))
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[Webhook], new: Webhook, entry: Entry) -> None:
        """Store a changed webhook.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        await self.records.replace(keys.webhook, new.id, old, new, entry)

    async def remove(self, old: Versioned[Webhook], entry: Entry) -> None:
        """Remove a webhook, with its secret and everything that is known of its deliveries.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        webhook = old.record
        change = self.records.change(entry, webhook.id)
        change.expect(keys.webhook(webhook.id), old.version, CHANGED_MEANWHILE)
        change.remove(keys.webhook(webhook.id))
        change.remove_from_order(keys.team_webhooks(webhook.team), webhook.id)
        change.remove_from_order(keys.WEBHOOKS, _place(webhook))
        for name in delivery_keys(webhook.id):
            change.remove(name)
        change.remove_from_order(WEBHOOKS_DUE, _place(webhook))
        change.index(frozenset(), entries_of(webhook))
        await change.apply(self.records.connection)


def _place(webhook: Webhook) -> str:
    return f"{webhook.team}/{webhook.id}"


def _range(team: str) -> Range:
    return Range(team, keys.index("webhooks", team))
