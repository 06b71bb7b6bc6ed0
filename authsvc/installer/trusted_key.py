"""One public key of a vendor: its thumbprint, its JWK, and what it has signed."""

from __future__ import annotations

import base64

from authsvc.installer import es256


class TrustedKey:
    """One public key.

    Attributes:
        kid: its RFC 7638 thumbprint.
        point: 04 || x || y.
        registries: those whose license files it signs; empty while no key file of it names one.
        paths: the files that hold it.
    """

    def __init__(self, kid: str, point: bytes) -> None:
        """Take a key that no file has bound yet."""
        self.kid = kid
        self.point = point
        self.registries: set[str] = set()
        self.paths: list[str] = []

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Whether this key made the 64-byte ES256 ``signature`` of ``data``."""
        return es256.verify(self.point, data, signature)

    def jwk(self) -> dict[str, str]:
        """Return the key as a JWK (RFC 7517)."""
        x, y = _coordinates(self.point)
        return {"crv": "P-256", "kty": "EC", "x": x, "y": y, "alg": "ES256", "use": "sig", "kid": self.kid}


def thumbprint(point: bytes) -> str:
    """Return the RFC 7638 SHA-256 thumbprint of the key at ``point``: the ``kid`` that authsvc gives it."""
    x, y = _coordinates(point)
    canonical = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'
    return _base64url(es256.digest(canonical.encode("ascii")))


def _coordinates(point: bytes) -> tuple[str, str]:
    """Return x and y of a point as a JWK has them."""
    return _base64url(point[1 : 1 + es256.COORDINATE_BYTES]), _base64url(point[1 + es256.COORDINATE_BYTES :])


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
