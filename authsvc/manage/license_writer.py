"""What every change of a license has in common: its audit entry, and what its file says."""

from authsvc import license_file
from authsvc.credentials.machine_secret import ID_LENGTH, LICENSE_TOKEN_LENGTH
from authsvc.errors import InputRefused
from authsvc.license_file import LicenseDocument, LicenseFileError
from authsvc.manage.operation import Operation
from authsvc.manage.stores import Stores
from authsvc.tenancy.customers import SelectedCustomer
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.records import License
from authsvc.tenancy.versioned import Versioned

NO_ID = "0" * ID_LENGTH
"""Stands for the id of a license that is only thought of."""

NO_TOKEN = "0" * LICENSE_TOKEN_LENGTH
"""Stands for its registry token, with the same length."""


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
    """Store a changed license, with the customer that it is made out to from now on, and return it.

    Raises:
        Conflict: it was changed at the same moment.
        StoreUnavailable: the store does not answer.
    """
    if new != old.record:
        state = new.state(operation.now)
        named = {"license": new.id, "app": new.app, "team": new.team, "state": state}
        entry = operation.entry_of_change(event, old.record, new, **named, **(facts or {}))
        await stores.licenses.replace(old, new, entry, choice)
    return new


def document_of(license_: License, token: str) -> LicenseDocument:
    """Return what the file of a license says.

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
        fields=license_.fields,
        contact=license_.contact,
    )
    try:
        license_file.check_length(document)
    except LicenseFileError as error:
        raise InputRefused(str(error), code="license_too_long", field=None) from error
    return document
