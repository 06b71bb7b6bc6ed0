"""Outgoing webhooks: adds, lists, tests, changes, rotates, disables, enables and removes them."""

from collections.abc import Sequence
from datetime import timedelta

from attrs import evolve, frozen

from authsvc.credentials.machine_secret import ID_BYTES, new_id
from authsvc.errors import Conflict, InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.confirmation import EndedAccess, mark_of, require
from authsvc.manage.idempotency import repeatable, shows_secret
from authsvc.manage.lookup import find_app, find_team, find_webhook, no_app
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.secret_sealer import SecretSealer
from authsvc.manage.stores import Stores
from authsvc.manage.webhook_checks import WebhookChecks
from authsvc.redaction import Secret
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size
from authsvc.tenancy.records import App
from authsvc.tenancy.versioned import Versioned
from authsvc.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryCounts
from authsvc.webhooks.event import EventType, WebhookEvent, event_id
from authsvc.webhooks.signature import SECRET_BYTES, new_secret
from authsvc.webhooks.terms import WebhookChange, WebhookTerms
from authsvc.webhooks.webhook import Webhook, next_secret_context, secret_context, signing_secrets, with_new_secret

BY_HAND = "it was disabled by hand"
"""The reason that is shown for a webhook that a user disabled."""


@frozen(eq=False, repr=False)
class Webhooks:
    """The webhooks of teams. A webhook is named by its id.

    Every method raises StoreUnavailable when the store does not answer, and Conflict when what it changes was changed
    concurrently. Methods that seal a secret also raise the errors of the sealer.
    """

    stores: Stores
    sealer: SecretSealer
    checks: WebhookChecks

    async def _first(self, webhook_id: str, operation: Operation) -> Webhook:
        return (await find_webhook(self.stores, operation.actor, webhook_id)).record

    async def _removed(self, _webhook_id: str, _operation: Operation) -> None:
        """Return the result for a repeated removal: there is nothing to read again."""

    @permitted(Permission.WEBHOOK_ADD)
    @shows_secret
    async def add(
        self, terms: WebhookTerms, operation: Operation, *, team: str | None = None, app: str | None = None
    ) -> tuple[Webhook, Secret]:
        """Return a new webhook and its signing secret, which is shown only this once.

        Args:
            terms: of the webhook.
            operation: the circumstances.
            team: slug; None for the team of the actor, or of ``app``.
            app: slug of the only app whose events are sent; None for all of the team.

        Raises:
            InputRefused: the team is not determined, or the address is not allowed for receivers.
            NotFound: there is no such team or app.
            Conflict: the app is archived, or the team has as many webhooks as it may have.
        """
        owner, found = await self._owner(operation.actor, team, app)
        await self.checks.vet_host(terms.origin, owner)
        secret = new_secret(operation.entropy(SECRET_BYTES))
        webhook = Webhook(
            id=new_id(operation.entropy(ID_BYTES)),
            team=owner,
            app=None if found is None else found.record.slug,
            origin=terms.origin,
            path=terms.path,
            types=terms.types,
            sealed_secret="",
            secret_version=1,
            created_at=operation.now,
            created_by=operation.actor.member_id,
            changed_at=operation.now,
        )
        sealed = await self.sealer.seal(secret.reveal().encode("ascii"), secret_context(webhook))
        webhook = evolve(webhook, sealed_secret=sealed)
        entry = operation.entry(
            "webhook.added",
            **_facts(webhook),
            origin=webhook.origin.text,
            types=None if webhook.types is None else [one.value for one in webhook.types],
        )
        await self.stores.webhooks.add(webhook, found, entry)
        return webhook, secret

    @permitted(Permission.WEBHOOK_LIST)
    async def list(
        self, actor: Actor, *, team: str | None = None, after: str | None = None, limit: int = MAX_PAGE
    ) -> Page[tuple[Webhook, DeliveryCounts]]:
        """Return one page of the webhooks of a team, or of all teams that the actor sees, oldest first.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such team for the actor.
        """
        owner = actor.team if team is None else (await find_team(self.stores, actor, team)).slug
        page = await self.stores.webhooks.page(owner, after, page_size(limit))
        counts = await self.stores.deliveries.counts([webhook.id for webhook in page.items])
        return Page(tuple(zip(page.items, counts, strict=True)), page.next, page.unreadable)

    @permitted(Permission.WEBHOOK_SHOW)
    async def show(self, actor: Actor, webhook: str) -> tuple[Webhook, DeliveryCounts]:
        """Return one webhook and the totals of its deliveries; its secret is never shown again.

        Raises:
            NotFound: there is no such webhook for the actor.
        """
        found = (await find_webhook(self.stores, actor, webhook)).record
        return found, (await self.stores.deliveries.counts([found.id]))[0]

    @permitted(Permission.WEBHOOK_DELIVERIES)
    async def deliveries(self, actor: Actor, webhook: str, limit: int = MAX_PAGE) -> Sequence[Delivery]:
        """Return the newest deliveries to a webhook, newest first; older ones are not stored.

        Raises:
            InputRefused: ``limit`` is out of range.
            NotFound: there is no such webhook for the actor.
        """
        found = (await find_webhook(self.stores, actor, webhook)).record
        return await self.stores.deliveries.newest(found.id, page_size(limit))

    @permitted(Permission.WEBHOOK_TEST)
    async def test(self, webhook: str, operation: Operation) -> DeliveryAttempt:
        """Send an event of the type ``webhook.test`` now, once, and return the result.

        It also works for a disabled webhook, does not change the webhook, and writes no audit entry.

        Raises:
            NotFound: there is no such webhook.
            Conflict: its secret cannot be unsealed.
            Overloaded: too many events are being sent; this one was not.
        """
        found = (await find_webhook(self.stores, operation.actor, webhook)).record
        sealed = signing_secrets(found, operation.now)
        opened = [await self.sealer.unseal(one.sealed, one.context) for one in sealed]
        event = WebhookEvent(
            event_id(EventType.TEST, found.id, operation.entropy(ID_BYTES).hex()),
            EventType.TEST,
            operation.now,
            found.team,
            found.app,
            {"team": found.team, "app": found.app, "webhook": found.id},
        )
        return await self.checks.send(found, [Secret(one.decode("ascii")) for one in opened], event)

    @permitted(Permission.WEBHOOK_SET)
    @repeatable(_first)
    async def set(self, webhook: str, change: WebhookChange, operation: Operation) -> Webhook:
        """Change the URL or the types of events of a webhook, and return it. Waiting events are sent to the new URL.

        Raises:
            InputRefused: the address is not allowed for receivers.
            NotFound: there is no such webhook.
        """
        stored = await self._found(webhook, operation)
        old = stored.record
        new = change.of(old)
        if new == old:
            return old
        if new.origin != old.origin:
            await self.checks.vet_host(new.origin, old.team)
        new = evolve(new, changed_at=operation.now)
        return await self._replace(stored, new, "webhook.changed", operation)

    @permitted(Permission.WEBHOOK_ROTATE)
    @shows_secret
    async def rotate(
        self, webhook: str, overlap: timedelta, operation: Operation, confirmed: str | None = None
    ) -> tuple[Webhook, Secret]:
        """Return the webhook with a new signing secret, which is shown only this once.

        For ``overlap`` each request also has a signature with the old secret, so that the receiver has time to switch.

        Raises:
            NotFound: there is no such webhook.
            ConfirmationNeeded: a secret that an earlier rotation gave more time would end now; without ``overlap`` no
                confirmation is needed, since every old one shall end.
        """
        stored = await self._found(webhook, operation)
        old = stored.record
        if overlap:
            require(_ended_by_rotation(old, operation), confirmed)
        secret = new_secret(operation.entropy(SECRET_BYTES))
        sealed = await self.sealer.seal(secret.reveal().encode("ascii"), next_secret_context(old))
        new = with_new_secret(old, sealed, operation.now + overlap, operation.now)
        return await self._replace(stored, new, "webhook.rotated", operation), secret

    @permitted(Permission.WEBHOOK_DISABLE)
    @repeatable(_first)
    async def disable(self, webhook: str, operation: Operation) -> Webhook:
        """Disable a webhook and return it: nothing is sent to it from now on, not even waiting events.

        Raises:
            NotFound: there is no such webhook.
        """
        stored = await self._found(webhook, operation)
        old = stored.record
        if old.disabled_at is not None:
            return old
        new = evolve(old, disabled_at=operation.now, disabled_reason=BY_HAND, changed_at=operation.now)
        return await self._replace(stored, new, "webhook.disabled", operation)

    @permitted(Permission.WEBHOOK_ENABLE)
    @repeatable(_first)
    async def enable(self, webhook: str, operation: Operation) -> Webhook:
        """Enable a webhook and return it: events are sent to it again from now on.

        Raises:
            NotFound: there is no such webhook.
        """
        stored = await self._found(webhook, operation)
        old = stored.record
        if old.disabled_at is None:
            return old
        new = evolve(old, disabled_at=None, disabled_reason=None, changed_at=operation.now)
        return await self._replace(stored, new, "webhook.enabled", operation)

    @permitted(Permission.WEBHOOK_REMOVE)
    @repeatable(_removed)
    async def remove(self, webhook: str, operation: Operation) -> None:
        """Remove a webhook, its secret and its waiting events.

        Raises:
            NotFound: there is no such webhook.
        """
        stored = await self._found(webhook, operation)
        entry = operation.entry("webhook.removed", **_facts(stored.record), origin=stored.record.origin.text)
        await self.stores.webhooks.remove(stored, entry)

    async def _owner(self, actor: Actor, team: str | None, app: str | None) -> tuple[str, Versioned[App] | None]:
        """Return the team that a new webhook belongs to, and the app that it is limited to."""
        owner = actor.team if team is None else (await find_team(self.stores, actor, team)).slug
        if app is None:
            if owner is None:
                raise InputRefused(
                    "say whose events are sent: name a team or an app", code="value_missing", field="team"
                )
            return owner, None
        found = await find_app(self.stores, actor, app)
        if owner not in {None, found.record.team}:
            raise no_app(app)
        if found.record.archived_at is not None:
            raise Conflict(f"the app {app!r} is archived; nothing happens there", code="app_archived", field="app")
        return found.record.team, found

    async def _replace(self, old: Versioned[Webhook], new: Webhook, event: str, operation: Operation) -> Webhook:
        entry = operation.entry_of_change(event, old.record, new, **_facts(new))
        await self.stores.webhooks.replace(old, new, entry)
        return new

    async def _found(self, webhook: str, operation: Operation) -> Versioned[Webhook]:
        stored = await find_webhook(self.stores, operation.actor, webhook)
        operation.require_match(stored.record)
        return stored


def _facts(webhook: Webhook) -> dict[str, object]:
    """Return the facts about a webhook for the audit, without its path, which may contain a token of the receiver."""
    return {"webhook": webhook.id, "team": webhook.team, "app": webhook.app}


def _ended_by_rotation(webhook: Webhook, operation: Operation) -> EndedAccess | None:
    """Return which secret another rotation ends early; None if there is none."""
    until = webhook.old_secret_until
    if until is None or until <= operation.now:
        return None
    sentence = (
        f"the secret of the webhook {webhook.id} has been rotated already: the one before, which was to sign until "
        f"{render_instant(until)}, ends now, and a receiver that knows only that one refuses every event"
    )
    return EndedAccess(sentence, mark_of(webhook.id, webhook.secret_version))
