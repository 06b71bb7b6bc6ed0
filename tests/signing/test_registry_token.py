"""Registry tokens as authsvc itself verifies them, against the forgeries that the real registry refuses."""

import inspect
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import TokenRefused
from authsvc.issuance import ISSUER
from authsvc.signing import registry_token
from authsvc.signing.jws import Leaf
from authsvc.signing.root import create_root
from tests.support.builders import NOW, SERVICE, Root
from tests.support.forgeries import ALL, Forgery, forge, make_claims, signed_by

ROOT, OLD = Root.make(serial=7), Root.make(serial=8)
OVER = Root(OLD.key, create_root(OLD.key, serial=8, now=NOW - timedelta(days=20 * 365 + 1)))
"""A root whose certificate has ended."""
STRICTER = {"a list of audiences", "crit"}
"""What one version of the registry takes and we do not."""


def accepts(
    token: str, now: datetime = NOW, module: Any = registry_token, roots: tuple[Root, ...] = (ROOT, OLD)
) -> bool:
    """Whether ``token`` opens the repository."""
    try:
        said = module.verify(token, [root.certificate for root in roots], issuer=ISSUER, service=SERVICE, now=now)
    except TokenRefused:
        return False
    return bool(said.allows("acme/x", "pull"))


def leaf_with(
    *, ca: bool = False, usage: bool = True, key: Any = None, root: Root = ROOT, extensions: bool = True
) -> Leaf:
    """Return a leaf under our root that differs from what we issue."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(root.certificate.subject)
        .issuer_name(root.certificate.subject)
        .public_key(key.public_key())
        .serial_number(9)
        .not_valid_before(NOW - timedelta(minutes=10))
        .not_valid_after(NOW + timedelta(days=1))
    )
    if extensions:
        flags = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
             "crl_sign", "encipher_only", "decipher_only"), False
        )  # fmt: skip
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        builder = builder.add_extension(x509.KeyUsage(digital_signature=usage, **flags), critical=True)
    return Leaf(key, builder.sign(root.key, hashes.SHA256()))


def own_forgeries() -> list[Forgery]:
    """Return what the registry would take or has no rule for, and we refuse."""
    claims, leaf = make_claims(NOW), ROOT.leaf()
    return [
        Forgery("a leaf that is a CA", signed_by(leaf_with(ca=True), claims)),
        Forgery("a leaf that may not sign", signed_by(leaf_with(usage=False), claims)),
        Forgery("a leaf without extensions", signed_by(leaf_with(extensions=False), claims)),
        Forgery("a chain", signed_by(leaf, claims, ROOT.certificate)),
        Forgery("a jwk beside", signed_by(leaf, claims, jwk={"kty": "EC"})),
        Forgery("the root itself", signed_by(Leaf(ROOT.key, ROOT.certificate), claims)),
        Forgery("only a star", signed_by(leaf, make_claims(NOW, access=[{**ALL[0], "actions": ["*"]}]))),
        Forgery("a class", signed_by(leaf, make_claims(NOW, access=[{**ALL[0], "class": "plugin"}]))),
        Forgery("another repository", signed_by(leaf, make_claims(NOW, access=[{**ALL[0], "name": "acme/x2"}]))),
        Forgery("another type", signed_by(leaf, make_claims(NOW, access=[{**ALL[0], "type": "registry"}]))),
        Forgery("actions of numbers", signed_by(leaf, make_claims(NOW, access=[{**ALL[0], "actions": [1]}]))),
        Forgery("too long", signed_by(leaf, make_claims(NOW, access=ALL * 300))),
    ]


def test_every_forgery() -> None:
    """What a registry must refuse is refused, and what every version takes is taken; a few are stricter."""
    forgeries = [*forge(ROOT, NOW), *own_forgeries()]
    wrong = [
        forgery.name
        for forgery in forgeries
        if accepts(forgery.token) != (bool(forgery.accepted_by) and forgery.name not in STRICTER)
    ]

    assert [] == wrong
    assert STRICTER < {forgery.name for forgery in forgeries}


def test_any_replica_and_every_root_of_a_change() -> None:
    """Leaves of others count, below the old root too while it is trusted, and not a moment longer."""
    for root in (ROOT, OLD):
        for serial in (1, 2):
            assert accepts(root.leaf(serial=serial).sign(make_claims(NOW)))
    token = OLD.leaf().sign(make_claims(NOW))

    assert not accepts(token, roots=(ROOT,))
    assert not accepts(token, roots=())


@pytest.mark.parametrize(("after", "accepted"), [(0, True), (359, True), (361, False), (-119, True), (-121, False)])
def test_the_leeway(after: int, accepted: bool) -> None:
    """A token counts from a minute before ``nbf`` to a minute after ``exp``: 300 s of life, made with nbf 60 s ago."""
    leaf = ROOT.leaf(NOW - timedelta(minutes=5))

    assert accepted == accepts(leaf.sign(make_claims(NOW)), NOW + timedelta(seconds=after))


def test_a_root_that_has_ended() -> None:
    """A leaf whose dates are longer than its root's ends with the root."""
    assert not accepts(signed_by(leaf_with(root=OVER), make_claims(NOW)), roots=(OVER,))


def of_another_version() -> bytes:
    """Return a certificate of a version that there is not."""
    der, third = ROOT.certificate.public_bytes(Encoding.DER), bytes.fromhex("a003020102")
    assert der.count(third) == 1
    return der.replace(third, bytes.fromhex("a003020105"))


def with_an_odd_name() -> bytes:
    """Return a certificate for a name of a kind that the library does not know: X.400."""
    key, name = ec.generate_private_key(ec.SECP256R1()), ROOT.certificate.subject
    builder = x509.CertificateBuilder(name, name, key.public_key(), 9, NOW, NOW + timedelta(days=1))
    odd = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, bytes.fromhex("3003a30130"))
    return builder.add_extension(odd, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("made", [of_another_version, with_an_odd_name])
def test_a_certificate_that_the_library_cannot_read(made: Callable[[], bytes]) -> None:
    """It is refused as any other: everybody can send one."""
    header = {"alg": "ES256", "typ": "JWT", "x5c": [b64encode(made()).decode()]}

    assert not accepts(f"{urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip('=')}.e30.AAAA")


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_garbage_is_refused(garbage: bytes) -> None:
    """Whatever comes, the answer is a refusal and no other error."""
    assert not accepts(garbage.decode("latin-1"))


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_flipped_byte_is_refused(place: int, flip: int) -> None:
    """A good token with one character changed is refused, unless it still means the same bytes."""
    good = TOKEN
    at = place % len(good)
    changed = good[:at] + chr(ord(good[at]) ^ flip) + good[at + 1 :]

    # The last character of the signature has bits that decode to nothing.
    assert not accepts(changed) or (at == len(good) - 1)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "name", "actions", "class"]), inner)))  # fmt: skip  # noqa: E501
def test_malformed_access_is_never_a_grant(access: Any) -> None:
    """A signed ``access`` of any shape gives nothing or is refused; nothing else happens."""
    assert not accepts(signed_by(LEAF, make_claims(NOW, access=access)))


LEAF = ROOT.leaf()
TOKEN = LEAF.sign(make_claims(NOW))


# --- each rule is needed -----------------------------------------------------------------------------------------


def without(text: str, replacement: str) -> ModuleType:
    """Return the module with one place changed."""
    source = inspect.getsource(registry_token)
    assert source.count(text) == 1
    broken = ModuleType("broken")
    exec(compile(source.replace(text, replacement), "broken", "exec"), broken.__dict__)  # noqa: S102  our own source
    return broken


MUTANTS = [
    ("if root is None:", "if root is None and not (root := roots[0]):", "another CA, its own key"),
    ("constraints.ca or", "", "a leaf that is a CA"),
    ("or not usage.digital_signature", "", "a leaf that may not sign"),
    ("for one in (leaf, root)", "for one in (root,)", "a leaf expired"),
    ("for one in (leaf, root)", "for one in (leaf,)", "a root that is over"),
    ("<= now <=", "<= now or ", "a leaf expired"),
    ("one.not_valid_before_utc <= now", "now", "a leaf not yet valid"),
    ('or "jwk" in header', "", "a jwk beside"),
    ("(text,) = ", "(text, *_) = ", "a chain"),
    ('if claims.get("iss") != issuer:', 'if claims.get("iss", "").casefold() != issuer.casefold():',
     "issuer in capitals"),
    ('if claims.get("aud") != service:', 'if service not in claims.get("aud", ""):', "a list of audiences"),
    ('if at > _seconds(claims, "exp") + LEEWAY:', "if False:", "exp too late"),
    ('if at > _seconds(claims, "exp") + LEEWAY:', 'if at > claims["exp"] + LEEWAY:', "exp is a float"),
    ('if "nbf" in claims and', "if False and", "nbf too early"),
    ("entry.name == repository", "entry.name.startswith(repository)", "another repository"),
    ('entry.type == "repository"', "True", "another type"),
    ("and entry.resource_class is None", "", "a class"),
    ("if len(token) > MAX_TOKEN:", "if False:", "too long"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "replacement", "name"), MUTANTS, ids=[f"{m[2]}, {m[1]}" for m in MUTANTS])
def test_each_rule_is_needed(text: str, replacement: str, name: str) -> None:
    """Without the rule, a token that is refused would be accepted."""
    over = Forgery("a root that is over", signed_by(leaf_with(root=OVER), make_claims(NOW)))
    token = next(one.token for one in (*forge(ROOT, NOW), *own_forgeries(), over) if one.name == name)
    roots = (OVER,) if name == over.name else (ROOT, OLD)

    assert not accepts(token, roots=roots)
    assert accepts(token, module=without(text, replacement), roots=roots)
