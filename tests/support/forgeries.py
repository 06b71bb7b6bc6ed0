"""Tokens that authsvc never made, or not like this: what a registry must refuse, and a few that it may not.

Each forgery starts from a token that opens everything, and changes one thing.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authsvc.issuance import ISSUER
from authsvc.signing.jws import Leaf
from authsvc.signing.license_keys import jwk
from authsvc.signing.root import create_root, issue_leaf
from tests.support.builders import SERVICE, Root
from tests.support.es256 import sign
from tests.support.registry_rules import libtrust_id, thumbprint

ALL = [{"type": "repository", "name": "acme/x", "actions": ["pull", "push", "delete", "*"]}]


@frozen
class Forgery:
    """A token and where it is accepted.

    Attributes:
        name: what was changed.
        token: the text.
        accepted_by: the major versions that take it; most are taken by none.
    """

    name: str
    token: str
    accepted_by: tuple[int, ...] = ()


def encode(data: bytes | dict[str, Any]) -> str:
    """Return unpadded base64url of bytes, or of an object's JSON."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def make_token(header: Any, claims: Any, mark: Callable[[bytes], bytes]) -> str:
    """Return a JWS of whatever header and claims."""
    text = f"{encode(header)}.{encode(claims)}"
    return f"{text}.{encode(mark(text.encode()))}"


def signed_by(leaf: Leaf, claims: Any, *others: x509.Certificate, **changes: Any) -> str:
    """Return a token of ``leaf`` with whatever claims and header, and further certificates in ``x5c``."""
    header = {"typ": "JWT", "alg": "ES256", "x5c": chain_of(leaf.certificate, *others), **changes}
    return make_token(header, claims, lambda data: sign(leaf.key, data))


def make_claims(now: datetime, **changes: Any) -> dict[str, Any]:
    """Return the claims of a token that opens everything, with something else in them."""
    at = int(now.timestamp())
    claims = {"iss": ISSUER, "sub": "member:x", "aud": SERVICE, "iat": at, "nbf": at - 60, "exp": at + 300, "jti": "t"}
    return {name: value for name, value in {**claims, "access": ALL, **changes}.items() if value is not ...}


def chain_of(*certificates: x509.Certificate) -> list[str]:
    """Return an ``x5c`` header."""
    return [base64.b64encode(c.public_bytes(Encoding.DER)).decode() for c in certificates]


def forge(root: Root, now: datetime, outside: str = "https://127.0.0.1:9") -> Iterator[Forgery]:
    """Yield forgeries against ``root``; those that name an address name ``outside``."""
    yield from _without_our_key(root, now, outside)
    yield from _with_our_leaf(root, now)
    yield from _damaged(root, now)


def _without_our_key(root: Root, now: datetime, outside: str) -> Iterator[Forgery]:
    """Yield what somebody makes who has seen tokens and the root certificate, and has keys of his own."""
    leaf, claims = root.leaf(now), make_claims(now)
    mine = ec.generate_private_key(ec.SECP256R1())
    ours = chain_of(leaf.certificate)

    def by_me(data: bytes) -> bytes:
        return sign(mine, data)

    for alg in ("none", "None", "NONE", ""):
        for kind, header in (("bare", {}), ("x5c", {"x5c": ours})):
            yield Forgery(
                f"alg {alg!r}, {kind}", make_token({"typ": "JWT", "alg": alg, **header}, claims, lambda _: b"")
            )
    for what, secret in _public_bytes(root, leaf.certificate):
        for alg, digest in (("HS256", hashlib.sha256), ("HS512", hashlib.sha512)):

            def mac(data: bytes, secret: bytes = secret, digest: Any = digest) -> bytes:
                return hmac.new(secret, data, digest).digest()

            yield Forgery(f"{alg} keyed with {what}", make_token({"alg": alg, "x5c": ours}, claims, mac))
            named = {"alg": alg, "kid": libtrust_id(root.certificate)}
            yield Forgery(f"{alg} keyed with {what}, kid", make_token(named, claims, mac))
    other = Root.make(now)
    foreign = other.leaf(now)
    twin = Root(mine, create_root(mine, serial=root.certificate.serial_number, now=now))
    beside = issue_leaf(root.certificate, mine, mine.public_key(), serial=5, now=now)
    headers: dict[str, dict[str, Any]] = {
        "no key at all": {},
        "x5c of ours": {"x5c": ours},
        "x5c of the root": {"x5c": chain_of(root.certificate)},
        "x5c of another CA": {"x5c": chain_of(foreign.certificate)},
        "x5c of another CA with its root": {"x5c": chain_of(foreign.certificate, other.certificate)},
        "x5c of mine, then ours": {"x5c": chain_of(foreign.certificate, root.certificate)},
        "x5c of a self-made twin": {"x5c": chain_of(twin.leaf(now).certificate, twin.certificate)},
        "x5c that names our root": {"x5c": chain_of(beside)},
        "x5c that names our root, with it": {"x5c": chain_of(beside, root.certificate)},
        "x5c empty": {"x5c": []},
        "x5c of junk": {"x5c": ["AAAA"]},
        "x5c of no list": {"x5c": ours[0]},
        "x5c of numbers": {"x5c": [1]},
        "jwk of mine": {"jwk": jwk(mine.public_key())},
        "jwk of mine under the root's name": {"jwk": {**jwk(mine.public_key()), "kid": libtrust_id(root.certificate)}},
        "jwk of mine under the root's thumbprint": {
            "jwk": {**jwk(mine.public_key()), "kid": thumbprint(root.certificate)}
        },
        "jwk of mine with our x5c in it": {"jwk": {**jwk(mine.public_key()), "x5c": ours}},
        "jku": {"jku": f"{outside}/keys.json", "kid": "mine"},
        "x5u": {"x5u": f"{outside}/chain.pem"},
        "jku beside our x5c": {"jku": f"{outside}/keys.json", "x5c": ours},
        "kid of the root": {"kid": libtrust_id(root.certificate)},
        "kid of the root's thumbprint": {"kid": thumbprint(root.certificate)},
        "kid of a path": {"kid": "../../../../dev/null"},
        "kid with a NUL": {"kid": libtrust_id(root.certificate) + "\0"},
        "kid endless": {"kid": "A" * 100_000},
        "kid of a number": {"kid": 1},
        "kid empty": {"kid": ""},
        "b64 off": {"b64": False, "crit": ["b64"], "x5c": ours},
    }
    for name, header in headers.items():
        yield Forgery(f"signed by me, {name}", make_token({"typ": "JWT", "alg": "ES256", **header}, claims, by_me))
    yield Forgery("another CA, its own key", signed_by(foreign, claims))
    sub = issue_leaf(leaf.certificate, leaf.key, mine.public_key(), serial=6, now=now)
    for what, chain in (("alone", [sub]), ("with the leaf", [sub, leaf.certificate])):
        yield Forgery(
            f"a leaf below a leaf, {what}", make_token({"alg": "ES256", "x5c": chain_of(*chain)}, claims, by_me)
        )


def _public_bytes(root: Root, leaf: x509.Certificate) -> Iterator[tuple[str, bytes]]:
    """Yield what is public and could be taken for a secret."""
    for what, certificate in (("root", root.certificate), ("leaf", leaf)):
        public = certificate.public_key()
        yield f"the {what}'s PEM", certificate.public_bytes(Encoding.PEM)
        yield f"the {what}'s DER", certificate.public_bytes(Encoding.DER)
        yield f"the {what}'s SPKI PEM", public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        yield f"the {what}'s SPKI DER", public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    yield "nothing", b""


def _with_our_leaf(root: Root, now: datetime) -> Iterator[Forgery]:
    """Yield tokens that our own leaf signed, with something in them that our code never writes."""
    leaf = root.leaf(now)
    at = int(now.timestamp())

    def signed(claims: Any, **changes: Any) -> str:
        return signed_by(leaf, claims, **changes)

    yield Forgery("crit", signed(make_claims(now), crit=["x"], x=1), (2,))
    yield Forgery("another issuer", signed(make_claims(now, iss=ISSUER + "x")))
    yield Forgery("issuer in capitals", signed(make_claims(now, iss=ISSUER.upper())))
    yield Forgery("no issuer", signed(make_claims(now, iss=...)))
    yield Forgery("another service", signed(make_claims(now, aud="other.test")))
    yield Forgery("service in capitals", signed(make_claims(now, aud=SERVICE.upper())))
    yield Forgery("no audience", signed(make_claims(now, aud=...)))
    yield Forgery("a list of audiences", signed(make_claims(now, aud=[SERVICE])), (3,))
    yield Forgery("a list of other audiences", signed(make_claims(now, aud=["x", "y"])))
    for name, exp in (("a float", at + 300.5), ("a text", str(at + 300)), ("true", True), ("a list", [at + 300])):
        yield Forgery(f"exp is {name}", signed(make_claims(now, exp=exp)))
    yield Forgery("no exp", signed(make_claims(now, exp=...)))
    yield Forgery("exp in time", signed(make_claims(now, exp=at - 50)), (2, 3))
    yield Forgery("exp too late", signed(make_claims(now, exp=at - 70)))
    yield Forgery("nbf in time", signed(make_claims(now, nbf=at + 50)), (2, 3))
    yield Forgery("nbf too early", signed(make_claims(now, nbf=at + 90)))
    yield Forgery("nbf is a text", signed(make_claims(now, nbf=str(at))))
    yield Forgery("sub is a number", signed(make_claims(now, sub=1)))
    yield Forgery("access is a text", signed(make_claims(now, access="*")))
    yield Forgery("access of texts", signed(make_claims(now, access=["acme/x"])))
    yield Forgery("actions is a text", signed(make_claims(now, access=[{**ALL[0], "actions": "pull"}])))
    yield Forgery("claims are a list", signed(b"[]"))
    yield Forgery("claims are no JSON", signed(b"{"))
    for alg in ("ES384", "ES512", "RS256", "PS256", "EdDSA", "es256", "HS256"):
        yield Forgery(f"our leaf, alg {alg}", signed(make_claims(now), alg=alg))
    expired = root.leaf(now - timedelta(days=2))
    early = root.leaf(now + timedelta(minutes=20))
    for name, other in (("expired", expired), ("not yet valid", early)):
        yield Forgery(f"a leaf {name}", signed_by(other, make_claims(now)))


def _damaged(root: Root, now: datetime) -> Iterator[Forgery]:
    """Yield a good token, damaged."""
    leaf = root.leaf(now)
    good = leaf.sign(make_claims(now))
    head, payload, mark = good.split(".")
    more = encode(make_claims(now, sub="member:owner"))
    raw = base64.urlsafe_b64decode(mark + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    yield Forgery("nothing is changed", good, (2, 3))
    yield Forgery("other claims", f"{head}.{more}.{mark}")
    yield Forgery("no signature", f"{head}.{payload}.")
    yield Forgery("two parts", f"{head}.{payload}")
    yield Forgery("four parts", f"{good}.{mark}")
    yield Forgery("signature of zeros", f"{head}.{payload}.{encode(bytes(64))}")
    yield Forgery("signature in DER", f"{head}.{payload}.{encode(der)}")
    yield Forgery("signature cut", f"{head}.{payload}.{encode(raw[:63])}")
    yield Forgery("signature doubled", f"{head}.{payload}.{encode(raw * 2)}")
    yield Forgery("halves swapped", f"{head}.{payload}.{encode(raw[32:] + raw[:32])}")
    yield Forgery(
        "signature of another token", f"{head}.{payload}.{leaf.sign(make_claims(now, jti='u')).rpartition('.')[2]}"
    )
    yield Forgery("empty", "..")
    yield Forgery("nested deeply", f"{encode(b'[' * 20_000 + b']' * 20_000)}.{payload}.{mark}")
