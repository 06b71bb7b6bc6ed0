"""Licenses in the management API: requests, answers and handlers of ``/licenses``."""

import enum
import json

from attrs import field, frozen
from msgspec import UNSET, UnsetType

from authsvc.manage.use_cases import UseCases
from authsvc.tenancy.dates import parse_span
from authsvc.tenancy.license_update import LicenseUpdate
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App, License, LicenseType, live_tokens
from authsvc.tenancy.terms import LicenseTerms
from authsvc.web.api.endpoint import (
    AnyCall,
    Call,
    FileAnswer,
    ListAnswer,
    NoBody,
    NoQuery,
    ObjectAnswer,
    created,
    found,
)
from authsvc.web.api.parameters import ConfirmQuery, PageQuery, TokenRotation, TokenView, token_views
from authsvc.web.api.schemas import Email, Instant, Line, Slug, Span, When

FieldValue = str | int | float | bool | None


class LicenseState(enum.StrEnum):
    """The current state of a license."""

    ACTIVE = "active"
    PENDING = "pending"
    EXPIRED = "expired"
    REVOKED = "revoked"
    ARCHIVED = "archived"


@frozen
class LicenseView:
    """A customer's right to pull an app's images until it ends.

    Attributes:
        id: never changes, and is never reused.
        app: slug of the app.
        team: slug of the vendor.
        customer: name, as in the license file.
        customer_id: id of the customer; null while a license of an older version is not indexed yet.
        type: for reports only; it does not affect access.
        state: the current state; a `pending` license has not begun yet.
        issued_at: when it was created.
        not_before: when it begins, or null.
        expires_at: the first instant at which it is no longer valid.
        registry: host and port that the customer logs in to.
        repositories: patterns relative to the app; null is the whole app, an empty list nothing.
        fields: custom fields for the vendor's own software.
        contact: whom the customer asks, or null.
        reference: the vendor's own key for the license, or null.
        revoked_at: since when it is refused, or null.
        archived_at: since when it is refused and hidden from lists, or null.
        app_archived_at: since when its app is archived, or null.
        tokens: the registry tokens that log in now, newest first.
    """

    id: str
    app: str
    team: str
    customer: str
    customer_id: str | None
    type: LicenseType
    state: LicenseState
    issued_at: Instant
    not_before: Instant | None
    expires_at: Instant
    registry: str
    repositories: tuple[str, ...] | None
    fields: dict[str, FieldValue]
    contact: str | None
    reference: str | None
    revoked_at: Instant | None
    archived_at: Instant | None
    app_archived_at: Instant | None
    tokens: tuple[TokenView, ...]


@frozen
class NewLicense:
    """A license to be created.

    Attributes:
        app: slug of the app.
        customer: name of the customer, who is created if unknown.
        expires: `2027-01-31` (00:00 UTC at its start), `2027-01-31T12:00:00Z`, or `365d` from now.
        type: for reports only.
        not_before: when it begins, in the forms of `expires`; at once if left out.
        repositories: patterns relative to the app, such as `worker` or `api/*`; the whole app if left out.
        fields: custom fields for the vendor's own software.
        contact: whom the customer asks; shown in every refusal.
        reference: the vendor's own key for the license, such as an order number; unique in the app.
        customer_reference: the vendor's own key for the customer, which is looked up before the name.
        customer_email: set if the customer has no address yet.
    """

    app: Slug
    customer: Line
    expires: When
    type: LicenseType = LicenseType.PAID
    not_before: When | None = None
    repositories: tuple[Line, ...] | None = None
    fields: dict[str, FieldValue] = field(factory=dict)
    contact: Line | None = None
    reference: Line | None = None
    customer_reference: Line | None = None
    customer_email: Email | None = None


@frozen
class LicenseChange:
    """Changes to a license; what is left out stays (as in RFC 7396).

    Attributes:
        customer: name of the new holder, who is created if unknown.
        customer_reference: the vendor's own key for the new holder.
        contact: the new contact; null removes it.
        repositories: the new patterns; null is the whole app.
        fields: custom fields with their new values; null removes a field.
    """

    customer: Line | UnsetType = UNSET
    customer_reference: Line | UnsetType = UNSET
    contact: Line | UnsetType | None = UNSET
    repositories: tuple[Line, ...] | UnsetType | None = UNSET
    fields: dict[str, FieldValue] | UnsetType = UNSET


@frozen
class NewEnd:
    """A new end of a license.

    Attributes:
        expires: `2027-01-31` (00:00 UTC at its start), `2027-01-31T12:00:00Z`, or `365d` from now; in the future.
    """

    expires: When


@frozen
class LicenseListQuery(PageQuery):
    """Selects licenses.

    Attributes:
        app: slug of the app.
        customer: words of the customer's name, or their beginnings, in any order; case and accents are ignored.
        reference: the license's reference, or its beginning; case and accents are ignored.
        state: only licenses in this state; all but archived ones if left out.
        ends_within: a span such as `30d`: only licenses that end within it, and without `state` only active and pending
            ones.
    """

    app: Slug | None = None
    customer: Line | None = None
    reference: Line | None = None
    state: LicenseState | None = None
    ends_within: Span | None = None


@frozen
class LicenseQuery:
    """Selects one of several licenses with the same reference.

    Attributes:
        app: slug of the app; needed when licenses of several apps have the reference.
    """

    app: Slug | None = None


@frozen
class RotationQuery(ConfirmQuery):
    """Selects one of several licenses with the same reference, and confirms.

    Attributes:
        app: slug of the app; needed when licenses of several apps have the reference.
    """

    app: Slug | None = None


def license_view(license_: License, app: App, call: AnyCall) -> LicenseView:
    """Return a license of ``app`` as the API shows it, without its registry token."""
    return LicenseView(
        id=license_.id,
        app=license_.app,
        team=license_.team,
        customer=license_.customer,
        customer_id=license_.customer_id,
        type=license_.type,
        state=LicenseState(license_.state_in(app, call.now)),
        issued_at=license_.issued_at,
        not_before=license_.not_before,
        expires_at=license_.expires_at,
        registry=license_.registry,
        repositories=license_.repositories,
        fields=dict(license_.fields),
        contact=license_.contact,
        reference=license_.reference,
        revoked_at=license_.revoked_at,
        archived_at=license_.archived_at,
        app_archived_at=app.archived_at,
        tokens=token_views(live_tokens(license_.tokens, call.now)),
    )


async def license_page(use_cases: UseCases, call: AnyCall, page: Page[License]) -> ListAnswer:
    """Return a page of licenses; each of their apps is read once."""
    apps = {slug: await use_cases.teams.app(call.actor, slug) for slug in dict.fromkeys(one.app for one in page.items)}
    return ListAnswer(tuple(license_view(one, apps[one.app], call) for one in page.items), page.next)


async def _shown(use_cases: UseCases, call: AnyCall, license_: License) -> ObjectAnswer:
    app = await use_cases.teams.app(call.actor, license_.app)
    return found(license_, license_view(license_, app, call))


async def list_licenses(use_cases: UseCases, call: Call[LicenseListQuery, NoBody]) -> ListAnswer:
    """Return a page of licenses."""
    query = call.query
    page = await use_cases.licenses.list(
        call.actor,
        call.now,
        app=query.app,
        customer=query.customer,
        reference=query.reference,
        state=query.state,
        ends_within=query.ends_within,
        after=query.after,
        limit=query.limit,
    )
    return await license_page(use_cases, call, page)


async def create_license(use_cases: UseCases, call: Call[NoQuery, NewLicense]) -> ObjectAnswer:
    """Create a license."""
    wanted = call.body
    terms = LicenseTerms.parse(
        customer=wanted.customer,
        expires=wanted.expires,
        type_=wanted.type,
        not_before=wanted.not_before,
        repositories=wanted.repositories,
        fields=wanted.fields,
        contact=wanted.contact,
        customer_reference=wanted.customer_reference,
        customer_email=wanted.customer_email,
        now=call.now,
    )
    license_, _ = await use_cases.licenses.create(wanted.app, terms, call.operation, wanted.reference)
    app = await use_cases.teams.app(call.actor, license_.app)
    return created(license_, license_view(license_, app, call), "licenses", license_.id)


async def show_license(use_cases: UseCases, call: Call[LicenseQuery, NoBody]) -> ObjectAnswer:
    """Return one license."""
    license_ = await use_cases.licenses.show(call.actor, call.path["license"], call.query.app)
    return await _shown(use_cases, call, license_)


async def change_license(use_cases: UseCases, call: Call[LicenseQuery, LicenseChange]) -> ObjectAnswer:
    """Change a license."""
    wanted = call.body
    changes = LicenseUpdate.parse(
        customer=None if wanted.customer is UNSET else wanted.customer,
        customer_reference=None if wanted.customer_reference is UNSET else wanted.customer_reference,
        contact=None if wanted.contact is UNSET else wanted.contact or "",
        repositories=None if wanted.repositories is UNSET else wanted.repositories,
        whole_app=wanted.repositories is None,
        fields={} if wanted.fields is UNSET else wanted.fields,
    )
    license_, _ = await use_cases.licenses.set(call.path["license"], changes, call.operation, call.query.app)
    return await _shown(use_cases, call, license_)


async def extend_license(use_cases: UseCases, call: Call[LicenseQuery, NewEnd]) -> ObjectAnswer:
    """Set a new end of a license."""
    named = call.path["license"]
    license_, _ = await use_cases.licenses.extend(named, call.body.expires, call.operation, call.query.app)
    return await _shown(use_cases, call, license_)


async def rotate_license(use_cases: UseCases, call: Call[RotationQuery, TokenRotation]) -> ObjectAnswer:
    """Give a license a new registry token."""
    query, overlap = call.query, parse_span(call.body.overlap, "overlap")
    license_, _ = await use_cases.licenses.rotate(
        call.path["license"], overlap, call.operation, query.confirm, query.app
    )
    return await _shown(use_cases, call, license_)


async def revoke_license(use_cases: UseCases, call: Call[LicenseQuery, NoBody]) -> ObjectAnswer:
    """Refuse a license from now on."""
    license_ = await use_cases.licenses.revoke(call.path["license"], call.operation, call.query.app)
    return await _shown(use_cases, call, license_)


async def archive_license(use_cases: UseCases, call: Call[LicenseQuery, NoBody]) -> ObjectAnswer:
    """Refuse a license and hide it from lists."""
    license_ = await use_cases.licenses.archive(call.path["license"], call.operation, call.query.app)
    return await _shown(use_cases, call, license_)


async def reinstate_license(use_cases: UseCases, call: Call[LicenseQuery, NoBody]) -> ObjectAnswer:
    """Undo the revocation or archiving of a license."""
    license_ = await use_cases.licenses.reinstate(call.path["license"], call.operation, call.query.app)
    return await _shown(use_cases, call, license_)


async def download_license(use_cases: UseCases, call: Call[LicenseQuery, NoBody]) -> FileAnswer:
    """Return the file of a license."""
    text = await use_cases.licenses.download(call.actor, call.path["license"], call.query.app)
    content = json.loads(text)["license"]
    return FileAnswer(text, f"{content['app']}-{content['id']}.license.json", "application/json")
