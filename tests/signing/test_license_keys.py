"""The keys of license files, against the RFCs' examples and another library."""

import base64
import hashlib
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from authsvc import license_file
from authsvc.installer import es256
from authsvc.license_file import key_document
from authsvc.signing.license_keys import jwk, jwk_set, key_id, sign_license
from tests.support.vectors import load

VECTORS = load("keys.json")
KEY = ec.generate_private_key(ec.SECP256R1())
KID = key_id(KEY.public_key())
POINT = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
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


@given(st.dictionaries(st.text(max_size=8), st.text() | st.integers() | st.none(), max_size=6))
def test_the_signature_of_a_license(license_: dict[str, Any]) -> None:
    """It is a compact JWS whose header names algorithm, key and type; the tools and PyJWT read the same payload."""
    payload = json.dumps(license_).encode()
    signature = sign_license(KEY, KID, payload)
    head, body, mark = (unpadded(part) for part in signature.split("."))

    assert f'{{"alg":"ES256","kid":"{KID}","typ":"authsvc-license+jwt"}}'.encode() == head
    assert payload == body == jwt.PyJWS().decode(signature, KEY.public_key(), algorithms=["ES256"])
    assert es256.verify(POINT, signature.rpartition(".")[0].encode(), mark)
    assert license_file.signature_length(payload) == len(signature)


def test_the_set() -> None:
    """The published set is read by PyJWT, finds a key by its name, and holds no private part."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    published = key_document("registry.test", jwk_set([KEY.public_key(), other])["keys"])

    assert "registry.test" == published["registry"]

    assert other == jwt.PyJWKSet.from_dict(published)[key_id(other)].key
    assert '"d"' not in json.dumps(published)
