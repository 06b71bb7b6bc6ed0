"""Makes compact JWS with ES256 (RFC 7515 §7.1, RFC 7518 §3.4); PyJWT verifies them.

PyJWT encodes the header again for every token, which takes as long as the signature, and importing it takes a fifth of
the time that a command may take (docs/decisions/0032-compact-jws.md).
"""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec.json import encode

ALGORITHM = "ES256"

COORDINATE_BYTES = 32
"""Length in bytes of a coordinate of a P-256 key, and of each half of a signature (RFC 7518 §3.4 and §6.2.1)."""

_ECDSA = ec.ECDSA(SHA256())


def encoded_header(**members: Any) -> bytes:
    """Return the first part of a compact JWS: the header with these members and with ``alg``."""
    return base64url(encode({"alg": ALGORITHM, **members}))


def sign(header: bytes, payload: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    """Return the compact JWS of ``payload``.

    Args:
        header: as :func:`encoded_header` returns it.
        payload: any bytes.
        key: P-256.
    """
    signed = header + b"." + base64url(payload)
    r, s = decode_dss_signature(key.sign(signed, _ECDSA))
    return (signed + b"." + base64url(coordinate(r) + coordinate(s))).decode("ascii")


def coordinate(value: int) -> bytes:
    """Return a coordinate, or half of a signature, as bytes of fixed length."""
    return value.to_bytes(COORDINATE_BYTES, "big")


def base64url(value: bytes) -> bytes:
    """Return base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=")
