"""The license-signing keys: their names, their published form (JWK sets), and the signatures of license files.

License keys are apart from the token root: a license must verify for years, offline, with no certificate.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from authsvc import license_file
from authsvc.signing.jws import ALGORITHM, JWS


def sign_license(key: ec.EllipticCurvePrivateKey, kid: str, payload: bytes) -> str:
    """Return the signature of a license file, a compact JWS (RFC 7515).

    Args:
        key: the license-signing key, P-256.
        kid: the name of its public half, :func:`key_id`.
        payload: the ``license`` object as JSON (:func:`authsvc.license_file.payload`).
    """
    return JWS.encode(payload, key, ALGORITHM, {"typ": license_file.TYPE, "kid": kid})


def jwk(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    """Return the public key as a JWK (RFC 7517) named by its RFC 7638 thumbprint."""
    members = _required_members(key)
    return {**members, "alg": ALGORITHM, "use": "sig", "kid": key_id(key)}


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
    digest = hashlib.sha256(canonical.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _required_members(key: ec.EllipticCurvePublicKey) -> dict[str, str]:
    members = ECAlgorithm.to_jwk(key, as_dict=True)
    return {name: members[name] for name in ("crv", "kty", "x", "y")}
