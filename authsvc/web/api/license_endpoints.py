"""The endpoints of licenses in the management API: ``/licenses``."""

from datetime import UTC, datetime
from http import HTTPStatus

from authsvc.manage.permissions import Permission
from authsvc.tenancy.records import LicenseType
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Endpoint
from authsvc.web.api.licenses import (
    LicenseState,
    LicenseView,
    archive_license,
    change_license,
    create_license,
    download_license,
    extend_license,
    list_licenses,
    reinstate_license,
    revoke_license,
    rotate_license,
    show_license,
)
from authsvc.web.api.parameters import (
    CONFIRM_ERRORS,
    PAGE_ERRORS,
    TokenView,
)

EXAMPLE = LicenseView(
    id="5f3k9q2mzt7w8x1a",
    app="myapp",
    team="acme",
    customer="Acme Corp",
    customer_id="7h2m4k9q1wz8x3tb",
    type=LicenseType.PAID,
    state=LicenseState.ACTIVE,
    issued_at=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
    not_before=None,
    expires_at=datetime(2027, 11, 27, tzinfo=UTC),
    registry="registry.vendor.com",
    repositories=("worker", "api/*"),
    fields={"seats": 25},
    contact="sales@vendor.com",
    reference="order-1001",
    revoked_at=None,
    archived_at=None,
    app_archived_at=None,
    tokens=(TokenView(1, None),),
)

ONE = ApiErrors(
    not_found=("license_not_found", "app_not_found"),
    conflict=("license_ambiguous",),
    refused=("slug_invalid", "slug_reserved"),
)
"""Errors of every endpoint that names a license."""

SIGNED = ApiErrors(
    conflict=("license_token_key_changed",), unavailable=("signer_unavailable",), refused=("key_service_refused",)
)
"""Errors of every endpoint that creates a license file."""

TERMS = ApiErrors(
    refused=(
        *("length_invalid", "text_not_printable", "pattern_invalid", "patterns_too_many"),
        *("field_invalid", "fields_too_many", "license_too_long"),
    ),
    conflict=("customer_not_found", "reference_conflict", "customer_changed", "name_taken", "reference_taken"),
)
"""Errors of a license's attributes."""

PERIOD = ApiErrors(refused=("date_invalid", "date_not_in_future", "period_invalid"))
"""Errors of when a license begins and ends."""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/licenses", "listLicenses", "List licenses, oldest first"),
        *(Permission.LICENSE_LIST, list_licenses, LicenseView),
        is_list=True,
        errors=PAGE_ERRORS
        | ApiErrors(
            not_found=("app_not_found",),
            refused=(
                *("slug_invalid", "slug_reserved", "span_invalid", "search_empty"),
                *("length_invalid", "text_not_printable"),
            ),
        ),
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/licenses", "createLicense", "Create a license"),
        *(Permission.LICENSE_CREATE, create_license, LicenseView),
        status=HTTPStatus.CREATED,
        has_etag=True,
        errors=TERMS
        | SIGNED
        | PERIOD
        | ApiErrors(
            refused=("slug_invalid", "slug_reserved", "email_invalid"),
            not_found=("app_not_found",),
            conflict=("app_archived",),
        ),
        request_example={
            "app": "myapp",
            "customer": "Acme Corp",
            "expires": "2027-11-27",
            "repositories": ["worker", "api/*"],
            "fields": {"seats": 25},
            "contact": "sales@vendor.com",
            "reference": "order-1001",
        },
        answer_example=EXAMPLE,
        description=(
            "The answer does not contain the registry token; the license file does: `GET /licenses/{license}/file`."
        ),
    ),
    Endpoint(
        *("GET", "/licenses/{license}", "getLicense", "Read a license"),
        *(Permission.LICENSE_SHOW, show_license, LicenseView),
        has_etag=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("PATCH", "/licenses/{license}", "changeLicense", "Change a license"),
        *(Permission.LICENSE_SET, change_license, LicenseView),
        has_etag=True,
        if_match=True,
        errors=ONE | TERMS | SIGNED,
        request_example={"contact": "support@vendor.com", "fields": {"seats": 50}},
        answer_example=EXAMPLE,
        description=(
            "The registry token stays the same. A license file that the customer already has does not change; the "
            "next download has the changes."
        ),
    ),
    Endpoint(
        *("POST", "/licenses/{license}/extend", "extendLicense", "Give a license another end"),
        *(Permission.LICENSE_EXTEND, extend_license, LicenseView),
        has_etag=True,
        if_match=True,
        errors=ONE | SIGNED | PERIOD,
        request_example={"expires": "2028-11-27"},
        answer_example=EXAMPLE,
        description="The end may be later or earlier. The registry token stays the same.",
    ),
    Endpoint(
        *("POST", "/licenses/{license}/revoke", "revokeLicense", "Revoke a license"),
        *(Permission.LICENSE_REVOKE, revoke_license, LicenseView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
        description="It is refused from now on. Revoking it again keeps the first time.",
    ),
    Endpoint(
        *("POST", "/licenses/{license}/archive", "archiveLicense", "Archive a license"),
        *(Permission.LICENSE_ARCHIVE, archive_license, LicenseView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
        description="It is refused from now on and hidden from lists.",
    ),
    Endpoint(
        *("POST", "/licenses/{license}/reinstate", "reinstateLicense", "Reinstate a license"),
        *(Permission.LICENSE_REINSTATE, reinstate_license, LicenseView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
        description="Undoes revoking and archiving.",
    ),
    Endpoint(
        *("POST", "/licenses/{license}/rotate", "rotateLicense", "Rotate the registry token of a license"),
        *(Permission.LICENSE_ROTATE, rotate_license, LicenseView),
        has_etag=True,
        if_match=True,
        errors=ONE | SIGNED | CONFIRM_ERRORS | ApiErrors(refused=("span_invalid",)),
        request_example={"overlap": "24h"},
        answer_example=EXAMPLE,
        description="The customer needs the new file; the old token continues to work for `overlap`.",
    ),
    Endpoint(
        *("GET", "/licenses/{license}/file", "downloadLicense", "Download the file of a license"),
        *(Permission.LICENSE_DOWNLOAD, download_license),
        media_type="application/json",
        errors=ONE | SIGNED,
        description=(
            "The file contains the registry token: anyone who has the file can pull. It can be downloaded again."
        ),
    ),
)
