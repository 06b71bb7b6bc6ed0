"""The keys of license files: their names, their published form, and ES256 over raw bytes (RFC 7518 §3.4).

License keys are apart from the token root: a license must verify for years, offline, with no certificate.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

COORDINATE_BYTES = 32
"""Length of a P-256 coordinate, and of ``r`` and ``s``."""


def jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return the public key as a JWK (RFC 7517) named by its RFC 7638 thumbprint."""
    members = _required_members(key)
    return {**members, "alg": "ES256", "use": "sig", "kid": key_id(key)}


def jwk_set(keys: Iterable[ec.EllipticCurvePublicKey]) -> dict[str, Any]:
    """Return the JWK set of ``keys``."""
    return {"keys": [jwk(key) for key in keys]}


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the RFC 7638 SHA-256 thumbprint of ``key``, base64url without padding."""
    canonical = json.dumps(_required_members(key), separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(canonical.encode("ascii")).digest())


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Return the 64-byte ES256 signature of ``data``: ``r || s``."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")


def verify(key: ec.EllipticCurvePublicKey, data: bytes, signature: bytes) -> bool:
    """Whether ``key`` made the 64-byte ES256 ``signature`` of ``data``."""
    if len(signature) != 2 * COORDINATE_BYTES:
        return False
    r, s = (int.from_bytes(half, "big") for half in (signature[:COORDINATE_BYTES], signature[COORDINATE_BYTES:]))
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


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
