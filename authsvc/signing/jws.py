"""Signing and checking compact JWS with one algorithm: ES256 (RFC 7515, RFC 7518 §3.4).

ES256 with ``x5c`` is the only form that registry 2.8, 3.0 and 3.1 all accept (design #1).
"""

import base64
from datetime import datetime
from typing import Any, Protocol

import jwt
from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc.errors import SignerUnavailable

ALGORITHM = "ES256"


class Signer(Protocol):
    """Whoever can turn claims into a signed token."""

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the compact JWS of ``claims``."""
        ...


@frozen
class Leaf:
    """A signing key with the certificate that vouches for it.

    Attributes:
        key: the private key; never leaves the process that made it.
        certificate: issued by the token root.
    """

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def not_after(self) -> datetime:
        """The end of the certificate, aware UTC."""
        return self.certificate.not_valid_after_utc

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the compact JWS of ``claims``, which must hold an integer ``exp``.

        Raises:
            SignerUnavailable: the certificate would end before the token, and the registry would refuse it then.
        """
        if claims["exp"] >= int(self.not_after.timestamp()):
            raise SignerUnavailable(
                "the signing certificate is about to end and was not renewed; try again in a minute",
                detail=f"leaf ends {self.not_after.isoformat()}, token would end at {claims['exp']}",
            )
        der = self.certificate.public_bytes(Encoding.DER)
        header = {"typ": "JWT", "x5c": [base64.b64encode(der).decode("ascii")]}
        return jwt.encode(claims, self.key, algorithm=ALGORITHM, headers=header)
