"""License files and the vendor's keys, as a customer gets them, without a server."""

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.license_file import LicenseDocument, write
from authsvc.signing import license_keys

VENDOR, FORGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
KID = license_keys.key_id(VENDOR.public_key())

FACTS: dict[str, Any] = {
    "id": "c000000000000001",
    "app": "myapp",
    "customer": "Globex",
    "type": "paid",
    "issued_at": "2026-08-01T12:00:00Z",
    "expires_at": "2099-01-31T00:00:00Z",
    "registry": "registry.vendor.test",
    "registry_token": "asv_lic_c000000000000001_" + "A" * 49,
    "fields": {"seats": 25},
    "contact": "sales@vendor.test",
}


def make_file(*, key: ec.EllipticCurvePrivateKey = VENDOR, kid: str = KID, **changes: Any) -> str:
    """Return a signed license file that says :data:`FACTS` but for ``changes``."""
    return write(LicenseDocument(**FACTS | changes), lambda payload: license_keys.sign_license(key, kid, payload))


def put_file(path: Path, **changes: Any) -> Path:
    """Write such a file and return where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(make_file(**changes))
    return path


def put_keys(
    path: Path, *keys: ec.EllipticCurvePrivateKey, registry: str | None = FACTS["registry"], kid: str | None = None
) -> Path:
    """Write the public keys as the vendor publishes them, by default the one of :func:`make_file`.

    Args:
        path: of the file.
        keys: whose public halves it holds.
        registry: that they sign for; None as files of earlier versions.
        kid: what the file calls each key; None for its thumbprint.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    body = license_keys.jwk_set(key.public_key() for key in keys or (VENDOR,))
    for entry in body["keys"] if kid else ():
        entry["kid"] = kid
    path.write_text(json.dumps(body if registry is None else {"registry": registry, **body}))
    return path
