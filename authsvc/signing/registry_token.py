"""Verifies registry tokens by the rules of the registry (distribution ``registry/auth/token/token.go``), and stricter.

A token of any replica is valid: it has its leaf certificate in ``x5c``, and the leaf must be issued by one of our
roots. The registry also accepts a chain, a ``kid`` or a ``jwk``; our tokens never have them, so they are refused here.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from math import inf
from typing import Any

import jwt
from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.errors import TokenRefused
from authsvc.signing.compact_jws import ALGORITHM
from authsvc.signing.jws import JWS
from authsvc.signing.root import issuer_of
from authsvc.spec.claims import Access

LEEWAY = 60
"""Seconds by which ``exp`` and ``nbf`` may be wrong, as in the registry."""

MAX_TOKEN = 16 * 1024
"""Most characters of a token; nginx refuses longer headers."""

_UNREADABLE = (
    *(ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.UnsupportedGeneralNameType),
    *(x509.ExtensionNotFound, x509.DuplicateExtension),
)
"""Errors that the library raises for untrusted certificates."""


@frozen
class RegistryToken:
    """The content of a verified token.

    Attributes:
        subject: ``license:<id>``, ``member:<id>`` …; several licenses are joined by commas.
        access: what it grants.
        token_id: its ``jti``, for the log.
        begins: timestamp before which the verification would fail.
        ends: timestamp after which it would fail.
    """

    subject: str
    access: tuple[Access, ...]
    token_id: str | None = None
    begins: float = -inf
    ends: float = inf

    def allows(self, repository: str, action: str) -> bool:
        """Whether the token grants ``action`` on exactly that repository."""
        return any(
            entry.type == "repository"
            and entry.resource_class is None
            and entry.name == repository
            and action in entry.actions
            for entry in self.access
        )


def verify(token: str, roots: Sequence[x509.Certificate], *, issuer: str, service: str, now: datetime) -> RegistryToken:
    """Verify ``token`` and return its content.

    Args:
        token: a compact JWS.
        roots: certificates of the token roots that are trusted now: the one in use, and others during a change.
        issuer: the only accepted ``iss``.
        service: the only accepted ``aud``.
        now: the request's one reading of the clock.

    Raises:
        TokenRefused: a rule is broken; ``detail`` says which one, for the log.
    """
    if len(token) > MAX_TOKEN:
        raise _refused("too long")
    key, begins, ends = _key(_x5c(token), roots, now)
    try:
        payload = JWS.decode(token, key, algorithms=[ALGORITHM])
        claims = json.loads(payload)
    except (jwt.PyJWTError, ValueError, RecursionError, TypeError) as error:
        raise _refused(f"signature: {type(error).__name__}") from error
    if not isinstance(claims, dict):
        raise _refused("claims are not an object")
    _check_claims(claims, issuer, service, now)
    subject, token_id = claims.get("sub", ""), claims.get("jti")
    if not isinstance(subject, str) or not isinstance(token_id, str | None):
        raise _refused("sub or jti is not a text")
    begins, ends = max(begins, claims.get("nbf", 0) - LEEWAY), min(ends, claims["exp"] + LEEWAY)
    return RegistryToken(subject, _access(claims.get("access")), token_id, begins, ends)


def _x5c(token: str) -> bytes:
    """Return the certificate in the header, in DER."""
    try:
        header = JWS.get_unverified_header(token)
        x5c = header["x5c"]
        (text,) = x5c if isinstance(x5c, list) else []
        if header.get("alg") != ALGORITHM or "crit" in header or "jwk" in header:
            raise _refused("header")
        return base64.b64decode(text, validate=True)
    except (jwt.PyJWTError, binascii.Error, KeyError, ValueError, TypeError, RecursionError) as error:
        raise _refused(f"header: {type(error).__name__}") from error


def _key(
    der: bytes, roots: Sequence[x509.Certificate], now: datetime
) -> tuple[ec.EllipticCurvePublicKey, float, float]:
    """Return the key of a leaf certificate that is valid now, and its period of validity."""
    try:
        leaf = x509.load_der_x509_certificate(der)
        root = issuer_of(leaf, roots)
        constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        key = leaf.public_key()
    except _UNREADABLE as error:
        raise _refused(f"certificate: {type(error).__name__}") from error
    if root is None:
        raise _refused("the certificate is not from one of our roots")
    if constraints.ca or not usage.digital_signature:
        raise _refused("the certificate is not that of a leaf")
    if not all(one.not_valid_before_utc <= now <= one.not_valid_after_utc for one in (leaf, root)):
        raise _refused("the certificate is not valid now")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _refused("the certificate is not for a P-256 key")
    begins = max(leaf.not_valid_before_utc, root.not_valid_before_utc)
    ends = min(leaf.not_valid_after_utc, root.not_valid_after_utc)
    return key, begins.timestamp(), ends.timestamp()


def _check_claims(claims: dict[str, Any], issuer: str, service: str, now: datetime) -> None:
    at = now.timestamp()
    if claims.get("iss") != issuer:
        raise _refused("another issuer")
    if claims.get("aud") != service:  # must be a string: a list of audiences is refused
        raise _refused("for another service")
    if at > _seconds(claims, "exp") + LEEWAY:
        raise _refused("expired")
    if "nbf" in claims and at < _seconds(claims, "nbf") - LEEWAY:
        raise _refused("not yet valid")


def _seconds(claims: dict[str, Any], name: str) -> int:
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _refused(f"{name} is not an integer")
    return value


def _access(value: Any) -> tuple[Access, ...]:
    """Return the ``access`` claim. Anything malformed refuses the token; we never grant ``*``."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _refused("access is malformed")
    return tuple(_entry(entry) for entry in value)


def _entry(value: Any) -> Access:
    match value:
        case {"type": str(kind), "name": str(name), "actions": list(actions)} if all(
            isinstance(action, str) for action in actions
        ):
            resource_class = value.get("class")
            return Access(kind, name, tuple(actions), None if resource_class is None else str(resource_class))
        case _:
            raise _refused("access is malformed")


def _refused(why: str) -> TokenRefused:
    return TokenRefused("the token is not valid; sign in again", detail=why)
