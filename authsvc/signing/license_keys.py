"""The license-signing keys: their names, their published form (JWK sets), and the signatures of license files.

Without PyJWT, which signs everything else: to import it takes a fifth of the time that a command of the vendor's may.

License keys are apart from the token root: a license must verify for years, offline, with no certificate.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from authsvc import license_file

ALGORITHM = "ES256"

COORDINATE_BYTES = 32
"""Length of a coordinate of a P-256 key, and of each half of a signature (RFC 7518, sections 3.4 and 6.2.1)."""


def sign_license(key: ec.EllipticCurvePrivateKey, kid: str, payload: bytes) -> str:
    """Return the signature of a license file, a compact JWS (RFC 7515).

    Args:
        key: the license-signing key, P-256.
        kid: the name of its public half, :func:`key_id`.
        payload: the ``license`` object as JSON (:func:`authsvc.license_file.payload`).
    """
    header = json.dumps({"alg": ALGORITHM, "kid": kid, "typ": license_file.TYPE}, separators=(",", ":"))
    signed = f"{_base64url(header.encode())}.{_base64url(payload)}"
    r, s = decode_dss_signature(key.sign(signed.encode("ascii"), ec.ECDSA(SHA256())))
    return f"{signed}.{_base64url(_number(r) + _number(s))}"


def jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return the public key as a JWK (RFC 7517) named by its RFC 7638 thumbprint."""
    members = _required_members(key)
    return {**members, "alg": ALGORITHM, "use": "sig", "kid": key_id(key)}


def jwk_set(keys: Iterable[ec.EllipticCurvePublicKey]) -> dict[str, Any]:
    """Return the JWK set of ``keys``."""
    return {"keys": [jwk(key) for key in keys]}


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the RFC 7638 SHA-256 thumbprint of ``key``, base64url without padding."""
    canonical = json.dumps(_required_members(key), separators=(",", ":"), sort_keys=True)
    digest = hashlib.sha256(canonical.encode("ascii")).digest()
    return _base64url(digest)


def _required_members(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    point = key.public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": _base64url(_number(point.x)), "y": _base64url(_number(point.y))}


def _number(value: int) -> bytes:
    return value.to_bytes(COORDINATE_BYTES, "big")


def _base64url(value: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
