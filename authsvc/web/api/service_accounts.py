"""Service accounts in the management API: ``/service-accounts``."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from attrs import frozen
from msgspec import Meta

from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_span
from authsvc.tenancy.machine_records import ApiAccess, ServiceAccount
from authsvc.tenancy.records import live_tokens
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import AnyCall, Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer, found
from authsvc.web.api.parameters import (
    CONFIRM_ERRORS,
    PAGE_ERRORS,
    ConfirmQuery,
    PageQuery,
    TokenRotation,
    TokenView,
    token_views,
)
from authsvc.web.api.schemas import Instant, When

ServiceAccountName = Annotated[str, Meta(pattern="^[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=60)]
"""The name of a service account."""


@frozen
class ServiceAccountView:
    """An account for a machine.

    Attributes:
        id: never changes.
        name: unique in the team.
        team: slug of the vendor.
        grants: its rights at the registry, each as `APP/PATTERN:ACTION,ACTION`.
        created_at: when it was created.
        creator: id of the member who created it, whose rights limit those of the account; null for the operator.
        expires_at: when it expires, or null.
        api: its access to this API, or null.
        used_at: when it last signed in, or null.
        disabled_at: since when it is disabled, or null.
        revoked_at: since when it is permanently revoked, or null.
        tokens: the valid tokens, newest first.
    """

    id: str
    name: str
    team: str
    grants: tuple[str, ...]
    created_at: Instant
    creator: str | None
    expires_at: Instant | None
    api: ApiAccess | None
    used_at: Instant | None
    disabled_at: Instant | None
    revoked_at: Instant | None
    tokens: tuple[TokenView, ...]


@frozen
class NewServiceAccount:
    """A service account to be created.

    Attributes:
        name: of a-z, 0-9 and `-`; unique in the team.
        grants: its rights at the registry, each as `APP/PATTERN:ACTION,ACTION`, such as `myapp/**:pull,push`.
        api: `read` or `manage` for access to this API too; only the registry if left out.
        expires: `2027-01-31` (00:00 UTC at its start), `2027-01-31T12:00:00Z`, or `90d` from now; never if left out.
    """

    name: ServiceAccountName
    grants: tuple[str, ...] = ()
    api: ApiAccess | None = None
    expires: When | None = None


@frozen
class GrantChange:
    """New grants of a service account.

    Attributes:
        grants: replace all existing ones, each as `APP/PATTERN:ACTION,ACTION`.
    """

    grants: tuple[str, ...]


@frozen
class ServiceAccountSecret:
    """A new token of a service account; it is shown only this once.

    Attributes:
        id: of the account.
        name: of the account.
        token: the secret.
        tokens: the valid tokens, newest first.
    """

    id: str
    name: str
    token: Secret
    tokens: tuple[TokenView, ...]


def _view(account: ServiceAccount, used_at: datetime | None, call: AnyCall) -> ServiceAccountView:
    return ServiceAccountView(
        id=account.id,
        name=account.name,
        team=account.team,
        grants=tuple(grant.render() for grant in account.grants),
        created_at=account.created_at,
        creator=account.creator,
        expires_at=account.expires_at,
        api=account.api,
        used_at=used_at,
        disabled_at=account.disabled_at,
        revoked_at=account.revoked_at,
        tokens=() if account.revoked_at else token_views(live_tokens(account.tokens, call.now)),
    )


def _secret(account: ServiceAccount, secret: Secret, call: AnyCall) -> ServiceAccountSecret:
    return ServiceAccountSecret(account.id, account.name, secret, token_views(live_tokens(account.tokens, call.now)))


async def _shown(use_cases: UseCases, call: AnyCall, account_id: str) -> ObjectAnswer:
    account, used_at = await use_cases.service_accounts.show(call.actor, account_id)
    return found(account, _view(account, used_at, call))


async def _list(use_cases: UseCases, call: Call[PageQuery, NoBody]) -> ListAnswer:
    query = call.query
    page = await use_cases.service_accounts.list(call.actor, call.team, after=query.after, limit=query.limit)
    return ListAnswer(tuple(_view(account, used_at, call) for account, used_at in page.items), page.next)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    return await _shown(use_cases, call, call.path["service_account"])


async def _create(use_cases: UseCases, call: Call[NoQuery, NewServiceAccount]) -> ObjectAnswer:
    wanted = call.body
    account, secret = await use_cases.service_accounts.create(
        wanted.name, call.team, wanted.grants, wanted.api, wanted.expires, call.operation
    )
    return ObjectAnswer(_secret(account, secret, call), location=f"/service-accounts/{account.id}")


async def _set_grants(use_cases: UseCases, call: Call[NoQuery, GrantChange]) -> ObjectAnswer:
    named = call.path["service_account"]
    account = await use_cases.service_accounts.set_grants(named, None, call.body.grants, call.operation)
    return await _shown(use_cases, call, account.id)


async def _rotate(use_cases: UseCases, call: Call[ConfirmQuery, TokenRotation]) -> ObjectAnswer:
    overlap = parse_span(call.body.overlap, "overlap")
    account, secret = await use_cases.service_accounts.rotate(
        call.path["service_account"], None, overlap, call.operation, call.query.confirm
    )
    return ObjectAnswer(_secret(account, secret, call))


async def _disable(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    account = await use_cases.service_accounts.disable(call.path["service_account"], None, call.operation)
    return await _shown(use_cases, call, account.id)


async def _enable(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    account = await use_cases.service_accounts.enable(call.path["service_account"], None, call.operation)
    return await _shown(use_cases, call, account.id)


async def _revoke(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    account = await use_cases.service_accounts.revoke(call.path["service_account"], None, call.operation)
    return await _shown(use_cases, call, account.id)


EXAMPLE = ServiceAccountView(
    id="6k1x8q3mzt5w9b2f",
    name="ci-build",
    team="acme",
    grants=("myapp/**:pull,push",),
    created_at=datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
    creator="8w2q6m1ztk4x9b3f",
    expires_at=None,
    api=ApiAccess.READ,
    used_at=datetime(2026, 11, 27, 8, 0, tzinfo=UTC),
    disabled_at=None,
    revoked_at=None,
    tokens=(TokenView(1, None),),
)

SECRET_EXAMPLE = ServiceAccountSecret(
    EXAMPLE.id, EXAMPLE.name, Secret("asv_sa_6k1x8q3mzt5w9b2f_…"), (TokenView(1, None),)
)

ONE = ApiErrors(not_found=("service_account_not_found",))
"""Errors of every endpoint that names a service account."""

GRANTS = ApiErrors(
    refused=(
        *("grant_invalid", "grants_count_invalid", "grant_exceeds_creator", "pattern_invalid"),
        *("slug_invalid", "slug_reserved"),
    ),
    not_found=("app_not_found",),
)
"""Errors of grants."""

REVOKED = ApiErrors(conflict=("service_account_revoked",))

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/service-accounts", "listServiceAccounts", "List service accounts that are not revoked, by name"),
        *(Permission.SERVICE_ACCOUNT_LIST, _list, ServiceAccountView),
        is_list=True,
        errors=PAGE_ERRORS,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/service-accounts", "createServiceAccount", "Create a service account"),
        *(Permission.SERVICE_ACCOUNT_CREATE, _create, ServiceAccountSecret),
        status=HTTPStatus.CREATED,
        errors=GRANTS
        | ApiErrors(refused=("name_invalid", "date_invalid", "date_not_in_future"), conflict=("name_taken",)),
        request_example={"name": "ci-build", "grants": ["myapp/**:pull,push"], "api": "read"},
        answer_example=SECRET_EXAMPLE,
        description="The token is shown only this once. It has no more rights than the member who created the account.",
    ),
    Endpoint(
        *("GET", "/service-accounts/{service_account}", "getServiceAccount", "Read a service account"),
        *(Permission.SERVICE_ACCOUNT_SHOW, _show, ServiceAccountView),
        has_etag=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *(
            "PATCH",
            "/service-accounts/{service_account}",
            "changeServiceAccount",
            "Give a service account other grants",
        ),
        *(Permission.SERVICE_ACCOUNT_SET_GRANTS, _set_grants, ServiceAccountView),
        has_etag=True,
        if_match=True,
        errors=ONE | GRANTS | REVOKED | ApiErrors(not_found=("member_not_found",)),
        request_example={"grants": ["myapp/**:pull"]},
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *(
            "POST",
            "/service-accounts/{service_account}/rotate",
            "rotateServiceAccount",
            "Give a service account a new token",
        ),
        *(Permission.SERVICE_ACCOUNT_ROTATE, _rotate, ServiceAccountSecret),
        if_match=True,
        errors=ONE
        | REVOKED
        | CONFIRM_ERRORS
        | ApiErrors(refused=("span_invalid",), conflict=("service_account_ended",)),
        request_example={"overlap": "24h"},
        answer_example=SECRET_EXAMPLE,
        description="The token is shown only this once; the old one continues to work for `overlap`.",
    ),
    Endpoint(
        *("POST", "/service-accounts/{service_account}/disable", "disableServiceAccount", "Disable a service account"),
        *(Permission.SERVICE_ACCOUNT_DISABLE, _disable, ServiceAccountView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/service-accounts/{service_account}/enable", "enableServiceAccount", "Enable a service account"),
        *(Permission.SERVICE_ACCOUNT_ENABLE, _enable, ServiceAccountView),
        has_etag=True,
        if_match=True,
        errors=ONE | REVOKED,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *(
            "POST",
            "/service-accounts/{service_account}/revoke",
            "revokeServiceAccount",
            "Revoke a service account for good",
        ),
        *(Permission.SERVICE_ACCOUNT_REVOKE, _revoke, ServiceAccountView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
        description="It cannot be undone, and the name is not reused.",
    ),
)
