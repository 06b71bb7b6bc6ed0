"""What the management API answers and parses of webhooks."""

from typing import Annotated

from attrs import frozen
from msgspec import UNSET, Meta, UnsetType

from authsvc.redaction import Secret
from authsvc.web.api.schemas import Instant, Slug, Span
from authsvc.webhooks.delivery import MAX_LISTED, Delivery, DeliveryCounts, DeliveryState
from authsvc.webhooks.event import EventType
from authsvc.webhooks.terms import MAX_URL
from authsvc.webhooks.webhook import Webhook


@frozen
class WebhookView:
    """An address that events are sent to; its signing secret is never shown.

    Attributes:
        id: never changes.
        team: slug of the vendor.
        app: slug of the only app whose events are sent; null for all of the team.
        url: of the receiver.
        types: of the events that are sent; null for all, also those of later versions.
        created_at: when it was added.
        created_by: id of the member who added it; null for the operator.
        changed_at: when it was last changed.
        disabled_at: since when nothing is sent, or null.
        disabled_reason: why, or null.
        waiting: events that wait to be sent, or sent again.
        delivered: events that the receiver has accepted.
        failed: events that are not tried again.
        dropped: events that were not taken because too many waited.
        failing_since: when the first attempt failed after the last one that worked, or null.
        old_secret_until: until when requests are signed with the secret before the last rotation besides, or null.
    """

    id: str
    team: str
    app: str | None
    url: str
    types: tuple[EventType, ...] | None
    created_at: Instant
    created_by: str | None
    changed_at: Instant
    disabled_at: Instant | None
    disabled_reason: str | None
    waiting: int
    delivered: int
    failed: int
    dropped: int
    failing_since: Instant | None
    old_secret_until: Instant | None


@frozen
class NewWebhook:
    """An address that events are to be sent to.

    Attributes:
        url: of the receiver, with https.
        app: slug of the only app whose events are sent; all of the team if left out.
        types: of the events that are sent; all if left out.
    """

    url: Annotated[str, Meta(min_length=1, max_length=MAX_URL)]
    app: Slug | None = None
    types: tuple[EventType, ...] | None = None


@frozen
class WebhookUpdate:
    """What is to be changed of a webhook; what is left out stays (as in RFC 7396).

    Attributes:
        url: of the receiver from now on. What waits is sent there.
        types: of the events that are sent from now on; null for all, also those of later versions.
    """

    url: Annotated[str, Meta(min_length=1, max_length=MAX_URL)] | None = None
    types: tuple[EventType, ...] | UnsetType | None = UNSET


@frozen
class SecretRotation:
    """How a signing secret is replaced.

    Attributes:
        overlap: how long requests are signed with the old one besides, such as `24h`, `30m` or `7d`; `0` ends it at
            once.
    """

    overlap: Span = "24h"


@frozen
class WebhookSecret:
    """A webhook's new signing secret, which is shown only this once.

    Attributes:
        id: of the webhook.
        url: of the receiver.
        secret: what the receiver checks signatures with.
    """

    id: str
    url: str
    secret: Secret


@frozen
class DeliveryQuery:
    """How many deliveries.

    Attributes:
        limit: most items, the newest.
    """

    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = MAX_LISTED


@frozen
class DeliveryView:
    """An event on its way to a webhook.

    Attributes:
        id: of the event, as the header `webhook-id` has it.
        type: of the event.
        at: when what it reports happened.
        state: `waiting`, `delivered`, or `failed`, which is not tried again.
        attempts: how often it was sent.
        attempted_at: when it was last sent, or null.
        next_at: when it is sent next, or null.
        status: HTTP status of the last answer, or null.
        reason: why the last attempt failed, or null.
    """

    id: str
    type: EventType
    at: Instant
    state: DeliveryState
    attempts: int
    attempted_at: Instant | None
    next_at: Instant | None
    status: int | None
    reason: str | None


@frozen
class WebhookTest:
    """What came of a test call.

    Attributes:
        ok: whether the receiver accepted it.
        status: HTTP status of the answer; null if there was none.
        reason: why it failed, or null.
        milliseconds: how long it took.
    """

    ok: bool
    status: int | None
    reason: str | None
    milliseconds: int


def webhook_view(webhook: Webhook, counts: DeliveryCounts) -> WebhookView:
    """Return a webhook with what its deliveries add up to."""
    return WebhookView(
        id=webhook.id,
        team=webhook.team,
        app=webhook.app,
        url=webhook.url,
        types=webhook.types,
        created_at=webhook.created_at,
        created_by=webhook.created_by,
        changed_at=webhook.changed_at,
        disabled_at=webhook.disabled_at,
        disabled_reason=webhook.disabled_reason,
        waiting=counts.waiting,
        delivered=counts.delivered,
        failed=counts.failed,
        dropped=counts.dropped,
        failing_since=counts.failing_since,
        old_secret_until=webhook.old_secret_until,
    )


def delivery_view(delivery: Delivery) -> DeliveryView:
    """Return a delivery."""
    return DeliveryView(
        id=delivery.event,
        type=delivery.type,
        at=delivery.at,
        state=delivery.state,
        attempts=delivery.attempts,
        attempted_at=delivery.attempted_at,
        next_at=delivery.next_at,
        status=delivery.status,
        reason=delivery.reason,
    )
