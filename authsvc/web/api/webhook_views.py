"""The answers and requests of webhooks in the management API."""

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
    """An address to which events are sent; its signing secret is never shown.

    Attributes:
        id: never changes.
        team: slug of the vendor.
        app: slug of the app whose events are sent; null for the whole team.
        url: address of the receiver.
        types: of the events that are sent; null for all, including those of later versions.
        created_at: when it was added.
        created_by: id of the member who added it; null for the operator.
        changed_at: when it was last changed.
        disabled_at: since when nothing is sent, or null.
        disabled_reason: why, or null.
        waiting: number of events that wait to be sent or sent again.
        delivered: number of events that the receiver accepted.
        failed: number of events that could not be delivered and are not sent again.
        dropped: number of events that were discarded because too many were waiting.
        failing_since: when the first attempt after the last success failed, or null.
        old_secret_until: until when requests are also signed with the previous secret, or null.
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
    """An address to which events are to be sent.

    Attributes:
        url: https address of the receiver.
        app: slug of the app whose events are sent; the whole team if left out.
        types: of the events that are sent; all if left out.
    """

    url: Annotated[str, Meta(min_length=1, max_length=MAX_URL)]
    app: Slug | None = None
    types: tuple[EventType, ...] | None = None


@frozen
class WebhookUpdate:
    """Changes to a webhook; what is left out stays (as in RFC 7396).

    Attributes:
        url: new address of the receiver; waiting events are sent there too.
        types: of the events that are sent from now on; null for all, including those of later versions.
    """

    url: Annotated[str, Meta(min_length=1, max_length=MAX_URL)] | None = None
    types: tuple[EventType, ...] | UnsetType | None = UNSET


@frozen
class SecretRotation:
    """How a signing secret is replaced.

    Attributes:
        overlap: how long requests are also signed with the old secret, such as `24h`, `30m` or `7d`; `0` ends it at
            once.
    """

    overlap: Span = "24h"


@frozen
class WebhookSecret:
    """A webhook's new signing secret; it is shown only this once.

    Attributes:
        id: id of the webhook.
        url: address of the receiver.
        secret: the key with which the receiver checks signatures.
    """

    id: str
    url: str
    secret: Secret


@frozen
class DeliveryQuery:
    """Selects deliveries.

    Attributes:
        limit: largest number of deliveries, the newest.
    """

    limit: Annotated[int, Meta(ge=1, le=MAX_LISTED)] = MAX_LISTED


@frozen
class DeliveryView:
    """The delivery of an event to a webhook.

    Attributes:
        id: id of the event, as in the header `webhook-id`.
        type: the event's type.
        at: when the reported event happened.
        state: `waiting`, `delivered` or `failed` (not sent again).
        attempts: number of attempts.
        attempted_at: time of the last attempt, or null.
        next_at: time of the next attempt, or null.
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
    """The result of a test call.

    Attributes:
        ok: whether the receiver accepted it.
        status: HTTP status of the response; null if there was none.
        reason: why it failed, or null.
        milliseconds: how long it took.
    """

    ok: bool
    status: int | None
    reason: str | None
    milliseconds: int


def webhook_view(webhook: Webhook, counts: DeliveryCounts) -> WebhookView:
    """Return a webhook with the totals of its deliveries."""
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
