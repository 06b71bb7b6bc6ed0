"""The keys of license files: their names and their published form.

License keys are apart from the token root: a license must verify for years, offline, with no certificate.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.signing.es256 import COORDINATE_BYTES, sign, verify

__all__ = ["jwk", "jwk_set", "key_document", "key_id", "sign", "verify"]


def jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return the public key as a JWK (RFC 7517) named by its RFC 7638 thumbprint."""
    members = _required_members(key)
    return {**members, "alg": "ES256", "use": "sig", "kid": key_id(key)}


def jwk_set(keys: Iterable[ec.EllipticCurvePublicKey]) -> dict[str, Any]:
    """Return the JWK set of ``keys``."""
    return {"keys": [jwk(key) for key in keys]}


def key_document(registry: str, keys: list[dict[str, str]]) -> dict[str, Any]:
    """Return what license holders check their files with: a JWK set that names the registry its keys sign for.

    Args:
        registry: ``host[:port]``, as it stands in the license files.
        keys: JWKs, the one in use first, then retired ones.
    """
    return {"registry": registry, "keys": keys}


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the RFC 7638 SHA-256 thumbprint of ``key``, base64url without padding."""
    canonical = json.dumps(_required_members(key), separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(canonical.encode("ascii")).digest())


def _required_members(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    numbers = key.public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": _base64url(numbers.x.to_bytes(COORDINATE_BYTES, "big")),
        "y": _base64url(numbers.y.to_bytes(COORDINATE_BYTES, "big")),
    }


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
