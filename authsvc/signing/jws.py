"""The JWTs that the server signs: compact JWS with ES256 and the leaf certificate in ``x5c``.

ES256 with ``x5c`` is the only form that registry 2.8, 3.0 and 3.1 all accept (design #1). The header is the same for
every token of a certificate, so it is encoded once; PyJWT would do so for each (docs/performance.md).
"""

import base64
from datetime import datetime
from typing import Any, Protocol

from attrs import Factory, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from jwt import PyJWS
from msgspec.json import encode

from authsvc.errors import SignerUnavailable

ALGORITHM = "ES256"

JWS = PyJWS(algorithms=[ALGORITHM])
"""Verifies them. Our own instance, which knows one algorithm; keys are passed as objects, so that none is parsed for a
request."""

_ECDSA = ec.ECDSA(SHA256())
_COORDINATE = 32
"""Bytes of each of the two numbers of an ES256 signature (RFC 7518 §3.4)."""


class Signer(Protocol):
    """Turns claims into a signed token."""

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the compact JWS of ``claims``."""
        ...


@frozen
class Leaf:
    """A signing key with the certificate that vouches for it.

    Attributes:
        key: the private key; never leaves the process that made it.
        certificate: issued by the token root.
        not_after: the end of the certificate, aware UTC.

    Raises:
        ValueError: the certificate is for another key, so that nobody would accept what this leaf signs.
    """

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate
    not_after: datetime = field(
        init=False, default=Factory(lambda leaf: leaf.certificate.not_valid_after_utc, takes_self=True)
    )
    _header: bytes = field(
        init=False, repr=False, default=Factory(lambda leaf: _header(leaf.certificate), takes_self=True)
    )
    _ends: int = field(
        init=False, repr=False, default=Factory(lambda leaf: int(leaf.not_after.timestamp()), takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        if self.certificate.public_key() != self.key.public_key():
            raise ValueError("the certificate is for another key")

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the compact JWS of ``claims``, which must hold an integer ``exp``.

        Raises:
            SignerUnavailable: the certificate would end before the token, and the registry would refuse it then.
        """
        if claims["exp"] >= self._ends:
            raise SignerUnavailable(
                "the signing certificate is about to end and was not renewed; try again in a minute",
                detail=f"leaf ends {self.not_after.isoformat()}, token would end at {claims['exp']}",
            )
        signed = self._header + _base64url(encode(claims))
        r, s = decode_dss_signature(self.key.sign(signed, _ECDSA))
        signature = r.to_bytes(_COORDINATE, "big") + s.to_bytes(_COORDINATE, "big")
        return (signed + b"." + _base64url(signature)).decode("ascii")


def _header(certificate: x509.Certificate) -> bytes:
    """Return the first part of the compact form, with the dot behind it (RFC 7515 §7.1)."""
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    return _base64url(encode({"alg": ALGORITHM, "typ": "JWT", "x5c": [der]})) + b"."


def _base64url(data: bytes) -> bytes:
    """Return ``data`` in base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")
