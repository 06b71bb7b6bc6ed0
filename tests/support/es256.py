"""Raw ES256 signatures by PyJWT, for what is forged and for what is checked by hand (RFC 7518 §3.4)."""

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

_ES256 = ECAlgorithm(ECAlgorithm.SHA256, ec.SECP256R1)


def sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    """Return the 64-byte signature of ``data``: ``r || s``."""
    return _ES256.sign(data, key)


def verify(key: ec.EllipticCurvePublicKey, data: bytes, signature: bytes) -> bool:
    """Whether ``key`` made the signature of ``data``."""
    return _ES256.verify(data, key, signature)
