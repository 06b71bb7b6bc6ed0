"""The JWTs that the server signs: compact JWS with ES256 and the leaf certificate in ``x5c``.

ES256 with ``x5c`` is the only form that registry 2.8, 3.0 and 3.1 all accept (design #1). The header is the same for
every token of a certificate, so it is encoded once.
"""

import base64
from datetime import datetime
from typing import Any, Protocol

from attrs import Factory, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from jwt import PyJWS
from msgspec.json import encode

from authsvc.errors import SignerUnavailable
from authsvc.signing.compact_jws import ALGORITHM, encoded_header, sign

JWS = PyJWS(algorithms=[ALGORITHM])
"""Verifies the JWTs. A separate instance that supports one algorithm only; keys are passed as objects, so that no
request has to parse them."""


class Signer(Protocol):
    """Turns claims into a signed token."""

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the compact JWS of ``claims``."""
        ...


@frozen
class Leaf:
    """A signing key with its certificate.

    Attributes:
        key: the private key; never leaves the process that made it.
        certificate: issued by the token root.
        not_after: the end of the certificate, aware UTC.

    Raises:
        ValueError: the certificate is for another key, so that no verifier would accept what this leaf signs.
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
            SignerUnavailable: the certificate would end before the token, so that the registry would refuse the token.
        """
        if claims["exp"] >= self._ends:
            raise SignerUnavailable(
                "the signing certificate is about to end and was not renewed; try again in a minute",
                detail=f"leaf ends {self.not_after.isoformat()}, token would end at {claims['exp']}",
            )
        return sign(self._header, encode(claims), self.key)


def _header(certificate: x509.Certificate) -> bytes:
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    return encoded_header(typ="JWT", x5c=[der])
