"""ES256 over raw bytes (RFC 7518 §3.4): a signature is ``r || s``, 64 bytes."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

COORDINATE_BYTES = 32
"""Length of a P-256 coordinate, and of ``r`` and ``s``."""

_ECDSA = ec.ECDSA(hashes.SHA256())


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Return the 64-byte ES256 signature of ``data``: ``r || s``."""
    r, s = decode_dss_signature(key.sign(data, _ECDSA))
    return r.to_bytes(COORDINATE_BYTES, "big") + s.to_bytes(COORDINATE_BYTES, "big")


def verify(key: ec.EllipticCurvePublicKey, data: bytes, signature: bytes) -> bool:
    """Whether ``key`` made the 64-byte ES256 ``signature`` of ``data``."""
    if len(signature) != 2 * COORDINATE_BYTES:
        return False
    r, s = (int.from_bytes(half, "big") for half in (signature[:COORDINATE_BYTES], signature[COORDINATE_BYTES:]))
    try:
        key.verify(encode_dss_signature(r, s), data, _ECDSA)
    except InvalidSignature:
        return False
    return True
