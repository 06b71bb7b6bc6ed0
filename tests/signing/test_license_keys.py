"""The keys of license files, against the RFCs' examples and another library."""

import base64
import hashlib
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from authsvc.signing.license_keys import jwk, jwk_set, key_document, key_id, sign, verify
from tests.support.vectors import load

VECTORS = load("keys.json")
KEY = ec.generate_private_key(ec.SECP256R1())
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def unpadded(text: str) -> bytes:
    """Decode base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def load_key(members: dict[str, str]) -> ec.EllipticCurvePublicKey:
    """Return the public key of a JWK, read by another library."""
    key = ECAlgorithm.from_jwk(members)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def thumbprint(members: dict[str, Any]) -> str:
    """Define the RFC 7638 thumbprint for any key type: required members, sorted, hashed."""
    required = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}[members["kty"]]
    text = "{" + ",".join(f'"{name}":"{members[name]}"' for name in required) + "}"
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def test_the_definition_is_that_of_the_rfc() -> None:
    """The definition that ours is compared with gives the RFC's own example."""
    assert VECTORS["rfc7638"]["thumbprint"] == thumbprint(VECTORS["rfc7638"]["jwk"])


def test_a_published_thumbprint() -> None:
    """The P-256 key of RFC 9449 has the thumbprint that stands there."""
    vector = VECTORS["rfc9449"]

    assert vector["thumbprint"] == key_id(load_key(vector["jwk"]))


def test_a_published_signature() -> None:
    """The ES256 example of RFC 7515 verifies, and not for another text or the other way round."""
    vector = VECTORS["rfc7515"]
    key, data, mark = load_key(vector["jwk"]), vector["signing_input"].encode(), unpadded(vector["signature"])
    attempts = [(data, mark), (data + b"x", mark), (data, mark[::-1])]

    assert [True, False, False] == [verify(key, *attempt) for attempt in attempts]


@given(st.integers(1, ORDER - 1))
def test_names_of_keys(secret: int) -> None:
    """Every key's JWK is read back as that key, and its name is its thumbprint."""
    key = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    members = jwk(key)

    assert key == load_key(members)
    assert [thumbprint(members)] * 2 == [members["kid"], key_id(key)]
    assert ["EC", "P-256", "ES256", "sig"] == [members[name] for name in ("kty", "crv", "alg", "use")]
    assert [32, 32] == [len(unpadded(members[name])) for name in ("x", "y")]


def test_a_short_coordinate() -> None:
    """A coordinate that begins with a zero byte is written with it (RFC 7518 §6.2.1.2)."""
    keys = (ec.derive_private_key(secret, ec.SECP256R1()).public_key() for secret in range(1, 2000))
    short = next(key for key in keys if key.public_numbers().x < 1 << 248)

    assert unpadded(jwk(short)["x"])[:1] == b"\0"
    assert thumbprint(jwk(short)) == key_id(short)


@given(st.binary(max_size=200))
def test_signatures_cross(data: bytes) -> None:
    """PyJWT verifies what we sign, and we verify what PyJWT signs."""
    theirs, public = ECAlgorithm(ECAlgorithm.SHA256, ec.SECP256R1), KEY.public_key()

    assert theirs.verify(data, public, sign(KEY, data))
    assert verify(public, data, theirs.sign(data, KEY))


MARK = sign(KEY, b"x")


@pytest.mark.parametrize(
    "mark",
    [b"", b"\0" * 64, b"\xff" * 64, b"\0" * 63, b"\0" * 65, MARK + b"\0", MARK[:63], ORDER.to_bytes(32, "big") * 2,
     b"\0" * 32 + MARK[32:], MARK[:32] + b"\0" * 32],
    ids=range(10),
)  # fmt: skip
def test_forged_signatures(mark: bytes) -> None:
    """Zeros (CVE-2022-21449), the group's order and wrong lengths are no signature, and no error."""
    assert not verify(KEY.public_key(), b"x", mark)


def test_the_set() -> None:
    """The published set is read by PyJWT, finds a key by its name, and holds no private part."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    published = key_document("registry.test", jwk_set([KEY.public_key(), other])["keys"])

    assert "registry.test" == published["registry"]

    assert other == jwt.PyJWKSet.from_dict(published)[key_id(other)].key
    assert '"d"' not in json.dumps(published)
