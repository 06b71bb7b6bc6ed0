"""Outgoing webhooks in the management API: ``/webhooks``."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from attrs import frozen
from msgspec import Meta

from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.redaction import Secret
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import AnyCall, Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer, created, found
from authsvc.web.api.parameters import PAGE_ERRORS, PageQuery
from authsvc.web.api.schemas import Instant, Slug
from authsvc.webhooks.delivery import MAX_LISTED, Delivery, DeliveryCounts, DeliveryState
from authsvc.webhooks.event import EventType
from authsvc.webhooks.terms import MAX_URL, WebhookTerms
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
class WebhookSecret:
    """A new webhook's signing secret, which is shown this once.

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


def _view(webhook: Webhook, counts: DeliveryCounts) -> WebhookView:
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
    )


def _delivery(delivery: Delivery) -> DeliveryView:
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


async def _shown(use_cases: UseCases, call: AnyCall, webhook_id: str) -> ObjectAnswer:
    webhook, counts = await use_cases.webhooks.show(call.actor, webhook_id)
    return found(webhook, _view(webhook, counts))


async def _list(use_cases: UseCases, call: Call[PageQuery, NoBody]) -> ListAnswer:
    page = await use_cases.webhooks.list(call.actor, after=call.query.after, limit=call.query.limit)
    return ListAnswer(tuple(_view(*one) for one in page.items), page.next)


async def _add(use_cases: UseCases, call: Call[NoQuery, NewWebhook]) -> ObjectAnswer:
    wanted = call.body
    terms = WebhookTerms.parse(wanted.url, wanted.types)
    webhook, secret = await use_cases.webhooks.add(terms, call.operation, app=wanted.app)
    return created(webhook, WebhookSecret(webhook.id, webhook.url, secret), "webhooks", webhook.id)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    return await _shown(use_cases, call, call.path["webhook"])


async def _deliveries(use_cases: UseCases, call: Call[DeliveryQuery, NoBody]) -> ListAnswer:
    deliveries = await use_cases.webhooks.deliveries(call.actor, call.path["webhook"], call.query.limit)
    return ListAnswer(tuple(_delivery(one) for one in deliveries), None)


async def _test(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    attempt = await use_cases.webhooks.test(call.path["webhook"], call.operation)
    return ObjectAnswer(WebhookTest(attempt.ok, attempt.status, attempt.reason, attempt.milliseconds))


async def _enable(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    webhook = await use_cases.webhooks.enable(call.path["webhook"], call.operation)
    return await _shown(use_cases, call, webhook.id)


async def _remove(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    await use_cases.webhooks.remove(call.path["webhook"], call.operation)
    return ObjectAnswer()


EXAMPLE = WebhookView(
    id="2f8m4x7q9wzk1t3b",
    team="acme",
    app=None,
    url="https://hooks.vendor.com/authsvc",
    types=(EventType.FIRST_PULL, EventType.ENDING),
    created_at=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
    created_by="8w2q6m1ztk4x9b3f",
    changed_at=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
    disabled_at=None,
    disabled_reason=None,
    waiting=0,
    delivered=17,
    failed=0,
    dropped=0,
    failing_since=None,
)

DELIVERY_EXAMPLE = DeliveryView(
    id="evt_5d41402abc4b2a76b9719d911017c592",
    type=EventType.ENDING,
    at=datetime(2026, 11, 27, 17, 5, tzinfo=UTC),
    state=DeliveryState.WAITING,
    attempts=2,
    attempted_at=datetime(2026, 11, 27, 17, 6, 12, tzinfo=UTC),
    next_at=datetime(2026, 11, 27, 17, 11, 3, tzinfo=UTC),
    status=503,
    reason="the receiver answered 503",
)

ONE = ApiErrors(not_found=("webhook_not_found",))
"""Errors of every endpoint that names a webhook."""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/webhooks", "listWebhooks", "List webhooks, oldest first"),
        *(Permission.WEBHOOK_LIST, _list, WebhookView),
        is_list=True,
        errors=PAGE_ERRORS,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/webhooks", "addWebhook", "Send events to an address"),
        *(Permission.WEBHOOK_ADD, _add, WebhookSecret),
        asks_others=True,
        status=HTTPStatus.CREATED,
        has_etag=True,
        errors=ApiErrors(
            refused=(
                *("url_invalid", "upstream_address_refused", "webhook_type_invalid", "value_missing"),
                *("slug_invalid", "slug_reserved", "key_service_refused"),
            ),
            not_found=("app_not_found",),
            conflict=("app_archived", "webhooks_too_many", "key_service_refused"),
            unavailable=("signer_unavailable", "overloaded"),
        ),
        request_example={
            "url": "https://hooks.vendor.com/authsvc",
            "app": "myapp",
            "types": ["license.first_pull", "license.ending"],
        },
        answer_example=WebhookSecret(EXAMPLE.id, EXAMPLE.url, Secret("whsec_…")),
        description="The signing secret is shown this once. Requests have the form of Standard Webhooks.",
    ),
    Endpoint(
        *("GET", "/webhooks/{webhook}", "getWebhook", "Read a webhook"),
        *(Permission.WEBHOOK_SHOW, _show, WebhookView),
        has_etag=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("GET", "/webhooks/{webhook}/deliveries", "listDeliveries", "List the newest events for a webhook"),
        *(Permission.WEBHOOK_DELIVERIES, _deliveries, DeliveryView),
        is_list=True,
        errors=ONE | ApiErrors(refused=("limit_invalid",)),
        answer_example=DELIVERY_EXAMPLE,
        description=f"Newest first. Of those that have ended, the newest {MAX_LISTED} are kept.",
    ),
    Endpoint(
        *("POST", "/webhooks/{webhook}/test", "testWebhook", "Send a test event now"),
        *(Permission.WEBHOOK_TEST, _test, WebhookTest),
        asks_others=True,
        is_repeatable=False,
        errors=ONE | ApiErrors(conflict=("key_service_refused",), unavailable=("signer_unavailable", "overloaded")),
        answer_example=WebhookTest(ok=False, status=404, reason="the receiver answered 404", milliseconds=41),
        description="Once, of the type `webhook.test`. A receiver that does not accept it is answered with 200 here "
        "all the same.",
    ),
    Endpoint(
        *("POST", "/webhooks/{webhook}/enable", "enableWebhook", "Send events again to a webhook that was disabled"),
        *(Permission.WEBHOOK_ENABLE, _enable, WebhookView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("DELETE", "/webhooks/{webhook}", "removeWebhook", "Remove a webhook"),
        *(Permission.WEBHOOK_REMOVE, _remove),
        status=HTTPStatus.NO_CONTENT,
        if_match=True,
        errors=ONE,
        description="Its secret is removed, and what waits for it is not sent.",
    ),
)
