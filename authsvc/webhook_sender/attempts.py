"""Attempts to deliver: sends the event that is due for one webhook, and stores the result."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from attrs import evolve, field, frozen

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict, Overloaded, SignerUnavailable, StoreUnavailable
from authsvc.redaction import Secret
from authsvc.store.webhook_deliveries import DueWebhook, RedisWebhookDeliveries, StoredDelivery
from authsvc.store.webhooks import RedisWebhooks
from authsvc.tenancy.subjects import SYSTEM
from authsvc.tenancy.versioned import Versioned
from authsvc.webhook_sender.client import DeliveryReply, WebhookClient
from authsvc.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryState
from authsvc.webhooks.schedule import GIVE_UP_AFTER, MAX_ATTEMPTS, is_given_up, next_attempt
from authsvc.webhooks.webhook import SealedSigningSecret, Webhook, signing_secrets

TAKEN_BACK = timedelta(seconds=12)
"""When a delivery whose sender ended during an attempt is retried: longer than any request takes."""

FRESH = 3.0
"""Seconds within which a sender must send after Redis has let it begin: less than its lease. One that was suspended in
between sends nothing."""

CLOSED = timedelta(seconds=30)
"""How long nothing is sent to a webhook whose secret cannot be unsealed."""

STORED_AGAIN, STORE_PAUSE = 4, 1.0
"""How often storing the result of an attempt is tried while Redis does not answer, and the seconds in between."""

DELIVERED, RETRIED, FAILED = "delivered", "retried", "failed"

GONE = "the receiver answered 410, which means that it wants no more events"

NEVER_WORKED = f"every attempt has failed for {GIVE_UP_AFTER.days} days"

SECRET_LOST = "the signing secret cannot be opened with the keys of this installation; add the webhook again"  # noqa: S105

INTERRUPTED = "the server was stopped during the last attempt"


@frozen(eq=False, repr=False)
class DeliveryAttempts:
    """Makes attempts. A failure of Redis is raised as StoreUnavailable, and the delivery is retried later.

    Attributes:
        webhooks: reads their records.
        deliveries: lists those that are due.
        client: sends events.
        unseal: unseals a signing secret.
        holder: random name of the sender.
        clock: the current time.
        monotonic: seconds of a clock that never goes back.
        chance: random, from 0 to 1.
        new_id: makes the id of an audit entry.
        counted: is called with the result of each attempt.
    """

    webhooks: RedisWebhooks
    deliveries: RedisWebhookDeliveries
    client: WebhookClient
    unseal: Callable[[SealedSigningSecret], Awaitable[Secret]] = field(repr=False)
    holder: str
    clock: Callable[[], datetime] = field(repr=False)
    monotonic: Callable[[], float] = field(repr=False)
    chance: Callable[[], float] = field(repr=False)
    new_id: Callable[[], str] = field(repr=False)
    counted: Callable[[str], None] = field(default=lambda _: None, repr=False)

    async def make(self, place: DueWebhook) -> bool:
        """Attempt the delivery that has been due the longest; return False when none may begin now."""
        now = self.clock()
        found = await self.webhooks.get(place.webhook)
        if found is None or found.record.team != place.team:
            await self.deliveries.forget(place)
            return True
        webhook = found.record
        if webhook.disabled_at is not None:
            await self.deliveries.give_up(place, "the webhook was disabled", now)
            return True
        due = await self.deliveries.next_due(place.webhook, now)
        if due is None:
            await self.deliveries.pause(place, now)
        elif due.delivery.attempts >= MAX_ATTEMPTS:
            failed = evolve(due.delivery, state=DeliveryState.FAILED, next_at=None, reason=INTERRUPTED)
            await self._end(place, due, failed)
        else:
            return await self._try(place, found, due)
        return True

    async def _try(self, place: DueWebhook, found: Versioned[Webhook], due: StoredDelivery) -> bool:
        try:
            secrets = await self._secrets(found.record)
        except (Overloaded, SignerUnavailable):
            await self.deliveries.pause(place, self.clock() + CLOSED)
            return True
        asked, now = self.monotonic(), self.clock()
        begun = await self.deliveries.begin(self.holder, place, due, now, now + TAKEN_BACK)
        if begun is None or self.monotonic() - asked > FRESH:
            return False
        reply = await self._reply(found.record, begun, secrets)
        since = await self._end(place, begun, self._ended(begun.delivery, reply))
        if reply.gone:
            await self._disable(found, GONE)
        elif since is not None and is_given_up(max(since, found.record.changed_at), self.clock()):
            await self._disable(found, NEVER_WORKED)
        return True

    async def _secrets(self, webhook: Webhook) -> Sequence[Secret]:
        """Return the secrets that sign now; none when the current one cannot be unsealed."""
        present, *old = signing_secrets(webhook, self.clock())
        try:
            secrets = [await self.unseal(present)]
        except Conflict:
            return ()
        with suppress(Conflict):  # a secret that is about to end anyway must not prevent the delivery
            secrets += [await self.unseal(one) for one in old]
        return secrets

    async def _reply(self, webhook: Webhook, begun: StoredDelivery, secrets: Sequence[Secret]) -> DeliveryReply:
        if not secrets:
            return DeliveryReply(DeliveryAttempt(self.clock(), None, SECRET_LOST, 0))
        try:
            return await self.client.send(webhook, begun.delivery.event, begun.body, secrets)
        except Overloaded as error:
            return DeliveryReply(DeliveryAttempt(self.clock(), None, str(error), 0))

    def _ended(self, begun: Delivery, reply: DeliveryReply) -> Delivery:
        """Return a delivery as it is after an attempt."""
        attempt = reply.attempt
        tried = evolve(begun, attempted_at=attempt.at, status=attempt.status, reason=attempt.reason, next_at=None)
        if attempt.ok:
            return evolve(tried, state=DeliveryState.DELIVERED)
        again = None if reply.gone else next_attempt(begun.attempts, attempt.at, self.chance(), reply.retry_after)
        return evolve(tried, state=DeliveryState.FAILED if again is None else DeliveryState.WAITING, next_at=again)

    async def _end(self, place: DueWebhook, begun: StoredDelivery, ended: Delivery) -> datetime | None:
        """Store the result of an attempt, with several tries: a delivery without a stored result is sent again."""
        outcomes = {DeliveryState.DELIVERED: DELIVERED, DeliveryState.FAILED: FAILED, DeliveryState.WAITING: RETRIED}
        self.counted(outcomes[ended.state])
        for _ in range(STORED_AGAIN):
            try:
                return await self.deliveries.end(place, begun, ended, self.clock())
            except StoreUnavailable:
                await asyncio.sleep(STORE_PAUSE)
        return await self.deliveries.end(place, begun, ended, self.clock())

    async def _disable(self, found: Versioned[Webhook], why: str) -> None:
        webhook, now = found.record, self.clock()
        facts = {"team": webhook.team, "webhook": webhook.id, "reason": why}
        entry = Entry(self.new_id(), now, "webhook.disabled", SYSTEM, facts)
        try:
            await self.webhooks.replace(found, evolve(webhook, disabled_at=now, disabled_reason=why), entry)
        except Conflict:
            return  # it was changed or removed concurrently: the next attempt reads it again
        await self.deliveries.give_up(DueWebhook(webhook.team, webhook.id), why, now)
