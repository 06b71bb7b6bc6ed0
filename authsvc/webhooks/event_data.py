"""What events say of a license and of an image, in one form for all types."""

from collections.abc import Mapping

from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.records import License


def license_data(license_: License) -> Mapping[str, object]:
    """Return what an event says of a license; what it does not have is null."""
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
    """Return what an event says of an image."""
    return {"repository": repository, "tag": tag, "digest": digest}
