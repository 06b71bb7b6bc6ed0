"""The data of events about licenses and images, in the same form for all types."""

from collections.abc import Mapping

from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.records import License


def license_data(license_: License) -> Mapping[str, object]:
    """Return the data of an event about a license; missing values are null."""
    return {
        "id": license_.id,
        "app": license_.app,
        "customer": license_.customer,
        "customer_id": license_.customer_id,
        "reference": license_.reference,
        "type": license_.type.value,
        "expires_at": render_instant(license_.expires_at),
    }


def image_data(repository: str, tag: str | None, digest: str | None) -> Mapping[str, object]:
    """Return the data of an event about an image."""
    return {"repository": repository, "tag": tag, "digest": digest}
