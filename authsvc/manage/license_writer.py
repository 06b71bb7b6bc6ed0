"""Code shared by all changes of licenses: the audit entry, the draft of a new one, and the content of the file."""

from datetime import datetime

from authsvc import license_file
from authsvc.credentials.machine_secret import ID_LENGTH, LICENSE_TOKEN_LENGTH
from authsvc.errors import InputRefused
from authsvc.license_file import LicenseDocument, LicenseFileError
from authsvc.manage.operation import Operation
from authsvc.manage.stores import Stores
from authsvc.tenancy.customers import SelectedCustomer
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.records import App, License, TokenDigest
from authsvc.tenancy.terms import LicenseTerms
from authsvc.tenancy.versioned import Versioned

NO_ID = "0" * ID_LENGTH
"""Placeholder for the id of a license that is not created yet."""

NO_TOKEN = "0" * LICENSE_TOKEN_LENGTH
"""Placeholder for its registry token, with the same length."""


async def replace_license(
    stores: Stores,
    old: Versioned[License],
    new: License,
    operation: Operation,
    event: str = "license.changed",
    *,
    choice: SelectedCustomer | None = None,
    facts: dict[str, object] | None = None,
) -> License:
    """Store a changed license, with its new customer if it has one, and return it.

    Raises:
        Conflict: it was changed concurrently.
        StoreUnavailable: the store does not answer.
    """
    if new != old.record:
        state = new.state(operation.now)
        named = {"license": new.id, "app": new.app, "team": new.team, "state": state}
        entry = operation.entry_of_change(event, old.record, new, **named, **(facts or {}))
        await stores.licenses.replace(old, new, entry, choice)
    return new


def document_of(license_: License, token: str) -> LicenseDocument:
    """Return the content of the file of a license.

    Raises:
        InputRefused: the file would be too long.
    """
    document = LicenseDocument(
        id=license_.id,
        app=license_.app,
        customer=license_.customer,
        type=str(license_.type),
        issued_at=render_instant(license_.issued_at),
        expires_at=render_instant(license_.expires_at),
        registry=license_.registry,
        registry_token=token,
        not_before=render_instant(license_.not_before) if license_.not_before else None,
        repositories=license_.repositories,
        fields=dict(license_.fields),
        contact=license_.contact,
    )
    try:
        license_file.check_length(document)
    except LicenseFileError as error:
        raise InputRefused(str(error), code="license_too_long", field=None) from error
    return document


def draft(
    app: App, terms: LicenseTerms, license_id: str, now: datetime, registry: str, reference: str | None = None
) -> License:
    """Return the license that is to be made, without the digest of its registry token.

    Args:
        app: of the license.
        terms: that it grants.
        license_id: its id.
        now: the current time.
        registry: host and port that the customer logs in to.
        reference: the vendor's own key for it.

    Raises:
        InputRefused: it would have ended already.
    """
    if terms.expires_at <= now:
        raise InputRefused(
            f"the license would have ended at {render_instant(terms.expires_at)}, before now",
            code="date_not_in_future",
            field="expires",
        )
    return License(
        id=license_id,
        app=app.slug,
        team=app.team,
        customer=terms.customer,
        type=terms.type,
        issued_at=now.replace(microsecond=0),
        expires_at=terms.expires_at,
        registry=registry,
        tokens=(TokenDigest(1, ""),),  # replaced when the id is real
        not_before=terms.not_before,
        repositories=terms.repositories,
        fields=dict(terms.fields),
        contact=terms.contact,
        reference=reference,
    )
