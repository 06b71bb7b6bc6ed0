"""Outgoing webhooks in the management API: ``/webhooks``."""

from datetime import UTC, datetime
from http import HTTPStatus

from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_span
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import AnyCall, Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer, created, found
from authsvc.web.api.parameters import CONFIRM_ERRORS, PAGE_ERRORS, ConfirmQuery, PageQuery
from authsvc.web.api.webhook_views import (
    DeliveryQuery,
    DeliveryView,
    NewWebhook,
    SecretRotation,
    WebhookSecret,
    WebhookTest,
    WebhookUpdate,
    WebhookView,
    delivery_view,
    webhook_view,
)
from authsvc.webhooks.delivery import MAX_LISTED, DeliveryState
from authsvc.webhooks.event import EventType
from authsvc.webhooks.terms import WebhookChange, WebhookTerms


async def _shown(use_cases: UseCases, call: AnyCall, webhook_id: str) -> ObjectAnswer:
    webhook, counts = await use_cases.webhooks.show(call.actor, webhook_id)
    return found(webhook, webhook_view(webhook, counts))


async def _list(use_cases: UseCases, call: Call[PageQuery, NoBody]) -> ListAnswer:
    page = await use_cases.webhooks.list(call.actor, after=call.query.after, limit=call.query.limit)
    return ListAnswer(tuple(webhook_view(*one) for one in page.items), page.next)


async def _add(use_cases: UseCases, call: Call[NoQuery, NewWebhook]) -> ObjectAnswer:
    wanted = call.body
    terms = WebhookTerms.parse(wanted.url, wanted.types)
    webhook, secret = await use_cases.webhooks.add(terms, call.operation, app=wanted.app)
    return created(webhook, WebhookSecret(webhook.id, webhook.url, secret), "webhooks", webhook.id)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    return await _shown(use_cases, call, call.path["webhook"])


async def _deliveries(use_cases: UseCases, call: Call[DeliveryQuery, NoBody]) -> ListAnswer:
    deliveries = await use_cases.webhooks.deliveries(call.actor, call.path["webhook"], call.query.limit)
    return ListAnswer(tuple(delivery_view(one) for one in deliveries), None)


async def _test(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    attempt = await use_cases.webhooks.test(call.path["webhook"], call.operation)
    return ObjectAnswer(WebhookTest(attempt.ok, attempt.status, attempt.reason, attempt.milliseconds))


async def _change(use_cases: UseCases, call: Call[NoQuery, WebhookUpdate]) -> ObjectAnswer:
    wanted = call.body
    types = wanted.types if isinstance(wanted.types, tuple) else None
    change = WebhookChange.parse(wanted.url, types, all_types=wanted.types is None)
    webhook = await use_cases.webhooks.set(call.path["webhook"], change, call.operation)
    return await _shown(use_cases, call, webhook.id)


async def _rotate(use_cases: UseCases, call: Call[ConfirmQuery, SecretRotation]) -> ObjectAnswer:
    overlap = parse_span(call.body.overlap, "overlap")
    webhook, secret = await use_cases.webhooks.rotate(call.path["webhook"], overlap, call.operation, call.query.confirm)
    return ObjectAnswer(WebhookSecret(webhook.id, webhook.url, secret))


async def _disable(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    webhook = await use_cases.webhooks.disable(call.path["webhook"], call.operation)
    return await _shown(use_cases, call, webhook.id)


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
    old_secret_until=None,
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

SECRET_EXAMPLE = WebhookSecret(EXAMPLE.id, EXAMPLE.url, Secret("whsec_…"))

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
        answer_example=SECRET_EXAMPLE,
        description="The signing secret is shown only this once. Requests have the form of Standard Webhooks.",
    ),
    Endpoint(
        *("GET", "/webhooks/{webhook}", "getWebhook", "Read a webhook"),
        *(Permission.WEBHOOK_SHOW, _show, WebhookView),
        has_etag=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("PATCH", "/webhooks/{webhook}", "changeWebhook", "Change the address or the events of a webhook"),
        *(Permission.WEBHOOK_SET, _change, WebhookView),
        asks_others=True,
        has_etag=True,
        if_match=True,
        errors=ONE
        | ApiErrors(
            refused=("url_invalid", "upstream_address_refused", "webhook_type_invalid", "value_missing"),
            unavailable=("overloaded",),
        ),
        request_example={"url": "https://hooks.vendor.com/v2"},
        answer_example=EXAMPLE,
        description="Waiting events are sent to the new address. The secret stays.",
    ),
    Endpoint(
        *("POST", "/webhooks/{webhook}/rotate", "rotateWebhook", "Give a webhook a new signing secret"),
        *(Permission.WEBHOOK_ROTATE, _rotate, WebhookSecret),
        if_match=True,
        errors=ONE
        | CONFIRM_ERRORS
        | ApiErrors(
            refused=("span_invalid", "key_service_refused"),
            conflict=("key_service_refused",),
            unavailable=("signer_unavailable", "overloaded"),
        ),
        request_example={"overlap": "24h"},
        answer_example=SECRET_EXAMPLE,
        description=(
            "The secret is shown only this once. For `overlap`, requests are also signed with the old one, as "
            "Standard Webhooks provides."
        ),
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
        description=(
            "It has the type `webhook.test` and is sent once. The status is 200 even if the receiver does not accept "
            "it."
        ),
    ),
    Endpoint(
        *("POST", "/webhooks/{webhook}/disable", "disableWebhook", "Send nothing more to a webhook"),
        *(Permission.WEBHOOK_DISABLE, _disable, WebhookView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
        description="Events that wait for it are not sent.",
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
        description="Its secret is removed, and events that wait for it are not sent.",
    ),
)
