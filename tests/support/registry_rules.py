"""What a registry checks in a token, written again from distribution's source (registry/auth/token).

There is no 3.x binary to test against, so our tokens are held against these rules; against 2.8 the rules and the real
registry are held against each other (tests/registry). Sections in messages are those of the protocol notes: A2 is
finding and trusting the key, A3 the claims, A4 the access that a request needs.

Nothing here uses authsvc: a mistake in its own code must not be repeated in its judge.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LEEWAY = 60
"""Seconds by which exp and nbf may be wrong, on every version."""

Major = Literal[2, 3]


class Refused(Exception):
    """The registry would answer 401; the text begins with the section of the rule."""


@frozen
class Registry:
    """A registry's configuration, as far as tokens go.

    Attributes:
        major: 2 for 2.8, 3 for 3.x.
        bundle: the certificates of ``rootcertbundle``.
        issuer: as configured.
        service: as configured.
        algorithms: ``signingalgorithms``; 2.8 knows no such key and takes ES* and RS*.
    """

    major: Major
    bundle: tuple[x509.Certificate, ...]
    issuer: str
    service: str
    algorithms: tuple[str, ...] = ("ES256",)

    def check(self, token: str, now: datetime) -> dict[tuple[str, str], set[str]]:
        """Return the actions that ``token`` gives, by resource type and name.

        Raises:
            Refused: it gives none at all, not even on ``/v2/``.
        """
        parts = token.split(".")
        if len(parts) != 3:
            raise Refused("A2: a token has three parts")
        header, claims = (_object(_decode(part), "A2") for part in parts[:2])
        if self.major == 3 and header.get("alg") not in self.algorithms:
            raise Refused("A2: the algorithm is not among signingalgorithms")
        if self.major == 3 and "crit" in header:
            raise Refused("A2: a critical header that nobody knows")
        key = self._key(header, now)
        if header.get("alg") != "ES256" or not isinstance(key, ec.EllipticCurvePublicKey):
            raise Refused("A2: the algorithm is not that of the key")
        _check_signature(key, f"{parts[0]}.{parts[1]}".encode(), _decode(parts[2]))
        self._check_claims(claims, now)
        return _access(claims.get("access"))

    def allows(self, token: str, now: datetime, name: str, *actions: str) -> bool:
        """Whether ``token`` opens a request that needs ``actions`` on the repository ``name`` (A4)."""
        given = self.check(token, now).get(("repository", name), set())
        return "*" in given or given >= set(actions)

    def _key(self, header: dict[str, Any], now: datetime) -> object:
        if header.get("x5c") is not None:  # present: it must verify, and nothing else is tried
            return _verify_chain(header["x5c"], self.bundle, now).public_key()
        if header.get("jwk") is not None:
            name = header["jwk"].get("kid") if isinstance(header["jwk"], dict) else None
        else:
            name = header.get("kid")
        trusted = {self._key_name(certificate): certificate.public_key() for certificate in self.bundle}
        if not isinstance(name, str) or name not in trusted:
            raise Refused("A2: the key is not trusted")
        return trusted[name]

    def _key_name(self, certificate: x509.Certificate) -> str:
        return (libtrust_id if self.major == 2 else thumbprint)(certificate)

    def _check_claims(self, claims: dict[str, Any], now: datetime) -> None:
        _check_types(claims)
        audience = claims.get("aud")
        if self.major == 3 and isinstance(audience, list):
            audiences = audience
        elif isinstance(audience, str):
            audiences = [audience]
        else:
            raise Refused("A3: aud is no string")
        if claims.get("iss") != self.issuer:
            raise Refused("A3: another issuer")
        if self.service not in audiences:
            raise Refused("A3: another audience")
        seconds = int(now.timestamp())
        if seconds > claims.get("exp", 0) + LEEWAY:
            raise Refused("A3: expired")
        if seconds < claims.get("nbf", 0) - LEEWAY:
            raise Refused("A3: not yet valid")


def _check_types(claims: dict[str, Any]) -> None:
    for name in ("iss", "sub", "jti"):
        if not isinstance(claims.get(name, ""), str):
            raise Refused(f"A3: {name} is no string")
    for name in ("exp", "nbf", "iat"):
        if type(claims.get(name, 0)) is not int:
            raise Refused(f"A3: {name} is no integer")


def libtrust_id(certificate: x509.Certificate) -> str:
    """Return the name that 2.8 gives to a key of its bundle (libtrust/util.go)."""
    der = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode()
    return ":".join(text[at : at + 4] for at in range(0, len(text), 4))


def thumbprint(certificate: x509.Certificate) -> str:
    """Return the name that 3.1 gives to a P-256 key of its bundle: RFC 7638."""
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    x, y = (_encode(n.to_bytes(32, "big")) for n in (key.public_numbers().x, key.public_numbers().y))
    text = f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'
    return _encode(hashlib.sha256(text.encode()).digest())


def _verify_chain(x5c: object, bundle: Sequence[x509.Certificate], now: datetime) -> x509.Certificate:
    """Build a chain as Go's crypto/x509 does: dates of each, CA and path length of every issuer, signatures."""
    if not isinstance(x5c, list) or not x5c or not all(isinstance(text, str) for text in x5c):
        raise Refused("A2: x5c is no list of texts")
    try:
        leaf, *others = (x509.load_der_x509_certificate(base64.b64decode(text, validate=True)) for text in x5c)
    except (binascii.Error, ValueError) as error:
        raise Refused("A2: x5c holds no certificates") from error
    chain, at = [leaf], leaf
    while at not in bundle:
        issuer = next((c for c in (*bundle, *others) if c not in chain and _issued(at, c, len(chain) - 1)), None)
        if issuer is None:
            raise Refused("A2: x5c does not chain to the bundle")
        chain.append(issuer)
        at = issuer
    if not all(c.not_valid_before_utc <= now <= c.not_valid_after_utc for c in chain):
        raise Refused("A2: a certificate is expired or not yet valid")
    return leaf


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, below: int) -> bool:
    """Whether ``issuer`` may vouch, with ``below`` other authorities between it and the leaf, and did."""
    try:
        limits = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return limits.ca and (limits.path_length is None or below <= limits.path_length)


def _check_signature(key: ec.EllipticCurvePublicKey, data: bytes, mark: bytes) -> None:
    if len(mark) != 64:
        raise Refused("A2: the signature has another length")
    der = encode_dss_signature(int.from_bytes(mark[:32], "big"), int.from_bytes(mark[32:], "big"))
    try:
        key.verify(der, data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Refused("A2: the signature does not hold") from error


def _access(entries: object) -> dict[tuple[str, str], set[str]]:
    """Merge the access claim by resource (accessSet); anything but a list of entries is a malformed token."""
    if entries is None:
        return {}
    if not isinstance(entries, list):
        raise Refused("A3: access is no list")
    given: dict[tuple[str, str], set[str]] = {}
    for entry in entries:
        good = isinstance(entry, dict) and all(
            isinstance(entry.get(name, ""), str) for name in ("type", "name", "class")
        )
        actions = entry.get("actions") or [] if good else None
        if not isinstance(actions, list) or not all(isinstance(action, str) for action in actions):
            raise Refused("A3: an entry of access has another form")
        given.setdefault((entry.get("type", ""), entry.get("name", "")), set()).update(actions)
    return given


def _object(data: bytes, section: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{section}: no JSON") from error
    if not isinstance(value, dict):
        raise Refused(f"{section}: no JSON object")
    return value


def _decode(text: str) -> bytes:
    if set(text) & set("=+/ \r\n\t"):
        raise Refused("A2: no unpadded base64url")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("A2: no base64url") from error


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def real_now(seconds: float = 0) -> datetime:
    """Return the clock's time, so many seconds later."""
    return datetime.now(UTC) + timedelta(seconds=seconds)
