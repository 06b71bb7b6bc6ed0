"""The license-signing keys: their names, their published form (JWK sets), and the signatures of license files.

License keys are separate from the token root: a license must be verifiable for years, offline and without certificates.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from authsvc import license_file
from authsvc.signing.compact_jws import ALGORITHM, base64url, coordinate, encoded_header, sign


def sign_license(key: ec.EllipticCurvePrivateKey, kid: str, payload: bytes) -> str:
    """Return the signature of a license file, a compact JWS (RFC 7515).

    Args:
        key: the license-signing key, P-256.
        kid: the name of its public half, :func:`key_id`.
        payload: the ``license`` object as JSON (:func:`authsvc.license_file.payload`).
    """
    return sign(encoded_header(kid=kid, typ=license_file.TYPE), payload, key)


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
    return _text(digest)


def _required_members(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    point = key.public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": _text(coordinate(point.x)), "y": _text(coordinate(point.y))}


def _text(value: bytes) -> str:
    return base64url(value).decode("ascii")
