"""Leaf and keyring: what they sign, and what they refuse to."""

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import SignerUnavailable
from authsvc.signing.jws import JWS
from authsvc.signing.keyring import Keyring
from tests.support.builders import NOW, Root

ROOT = Root.make()
LEAF = ROOT.leaf(life=timedelta(hours=1))
END = int((NOW + timedelta(hours=1)).timestamp())
KEYS = st.text(min_size=1, max_size=8).filter(
    lambda name: name not in {"exp", "iss", "sub", "aud", "iat", "nbf", "jti"}
)


def header_of(token: str) -> dict[str, Any]:
    """Return the protected header."""
    return dict(jwt.get_unverified_header(token))


@given(st.dictionaries(KEYS, st.text() | st.integers() | st.booleans() | st.none(), max_size=6))
def test_another_library_verifies(claims: dict[str, Any]) -> None:
    """Whatever is signed comes out of PyJWT under the leaf's public key."""
    claims = {**claims, "exp": END - 1}
    options: Any = {"verify_exp": False}

    assert claims == jwt.decode(LEAF.sign(claims), LEAF.key.public_key(), algorithms=["ES256"], options=options)


def test_the_header() -> None:
    """ES256 and the leaf alone in ``x5c``, padded base64 of DER; no kid, jwk or crit to argue about."""
    token = LEAF.sign({"exp": END - 1})
    header = header_of(token)
    (certificate,) = header.pop("x5c")

    assert f'{{"alg":"ES256","typ":"JWT","x5c":["{certificate}"]}}'.encode() == base64.urlsafe_b64decode(
        token.partition(".")[0] + "=="
    )
    assert {"typ": "JWT", "alg": "ES256"} == header
    assert LEAF.certificate == x509.load_der_x509_certificate(base64.b64decode(certificate, validate=True))


def test_there_is_one_algorithm() -> None:
    """What signs knows ES256 alone: no header or argument can choose another one."""
    assert ["ES256"] == JWS.get_algorithms()
    with pytest.raises(NotImplementedError):
        JWS.encode(b"{}", LEAF.key, "ES256", {"alg": "none"})


def test_the_form() -> None:
    """Three parts of base64url without padding; a signature of 64 bytes."""
    token = LEAF.sign({"exp": END - 1})
    parts = [
        base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True) for part in token.split(".")
    ]

    assert "=" not in token
    assert {"exp": END - 1} == json.loads(parts[1])
    assert [3, 64] == [len(parts), len(parts[2])]


def test_a_token_that_ends_before_its_leaf() -> None:
    """A leaf signs what ends a second before it."""
    assert LEAF.sign({"exp": END - 1})


@pytest.mark.parametrize("late", [0, 1, 3600])
def test_no_token_outlives_its_leaf(late: int) -> None:
    """What ends with the leaf or after it is not signed: the registry would refuse it with the certificate."""
    with pytest.raises(SignerUnavailable, match="about to end and was not renewed; try again") as refused:
        LEAF.sign({"exp": END + late})

    assert str(END + late) in str(refused.value.detail)


def test_no_key_in_print() -> None:
    """A leaf in a log or a traceback shows no private key."""
    assert "PrivateKey" not in repr(LEAF)


def test_a_keyring_starts_empty() -> None:
    """Without a leaf nothing is signed, and the process is not ready."""
    keyring = Keyring()

    assert (None, False) == (keyring.not_after, keyring.ready(NOW))
    with pytest.raises(SignerUnavailable, match="no signing certificate yet"):
        keyring.sign({"exp": END - 1})


def test_the_newest_leaf_signs() -> None:
    """A renewal is one swap: before it the old certificate stands in tokens, after it the new one."""
    keyring, leaves = Keyring(), [LEAF, ROOT.leaf(life=timedelta(hours=2), serial=12)]
    chains, ends = [], []
    for leaf in leaves:
        keyring.install(leaf)
        chains.append(header_of(keyring.sign({"exp": END - 1}))["x5c"])
        ends.append(keyring.not_after)

    assert [header_of(leaf.sign({"exp": END - 1}))["x5c"] for leaf in leaves] == chains
    assert [leaf.not_after for leaf in leaves] == ends
    assert chains[0] != chains[1]


def test_ready_until_the_end() -> None:
    """A keyring is ready as long as its leaf lives, to the second."""
    keyring = Keyring()
    keyring.install(LEAF)
    ages = (timedelta(0), timedelta(minutes=59, seconds=59), timedelta(hours=1))

    assert [True, True, False] == [keyring.ready(NOW + age) for age in ages]
