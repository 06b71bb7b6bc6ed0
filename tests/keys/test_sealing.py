"""Sealed secrets open only under their key and for what they were sealed for."""

import string
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import Conflict, InputRefused
from authsvc.keys.seal_context import MAX_SECRET, MAX_VERSION, SealContext
from authsvc.keys.sealing import seal, sealing_key_id, unseal

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
NONCE = b"n" * 12
BASE64URL = string.ascii_letters + string.digits + "-_"
CONTEXT = SealContext("upstream_credential", "acme", "link1", 3)


@given(secret=st.binary(max_size=300), nonce=st.binary(min_size=12, max_size=12))
def test_what_is_sealed_opens(secret: bytes, nonce: bytes) -> None:
    """The same secret comes back, also under a key that was retired since."""
    assert unseal([OTHER, KEY], seal(KEY, secret, CONTEXT, nonce), CONTEXT) == secret


@pytest.mark.parametrize("changed", [{"kind": "ecr_token"}, {"team": "globex"}, {"id": "link2"}, {"version": 4}])
def test_another_context_does_not_open(changed: dict[str, Any]) -> None:
    """A sealed secret that is moved to another record, team or version is refused."""
    sealed = seal(KEY, b"secret", CONTEXT, NONCE)

    with pytest.raises(Conflict, match="sealed for something else"):
        unseal([KEY], sealed, evolve(CONTEXT, **changed))


def test_fields_do_not_run_together() -> None:
    """Two contexts whose fields are the same text when joined are still different."""
    sealed = seal(KEY, b"secret", SealContext("k", "ab", "c", 1), NONCE)

    with pytest.raises(Conflict):
        unseal([KEY], sealed, SealContext("k", "a", "bc", 1))


def test_another_key_does_not_open() -> None:
    """A secret of a key that is gone is refused, and the sentence names the key."""
    with pytest.raises(Conflict, match=sealing_key_id(KEY)):
        unseal([OTHER], seal(KEY, b"secret", CONTEXT, NONCE), CONTEXT)


def test_the_name_of_a_key_is_bound_too() -> None:
    """A sealed secret that names another known key is not opened under it."""
    sealed = seal(KEY, b"secret", CONTEXT, NONCE).replace(sealing_key_id(KEY), sealing_key_id(OTHER))

    with pytest.raises(Conflict):
        unseal([KEY, OTHER], sealed, CONTEXT)


@pytest.mark.parametrize("secret", [b"a secret text", b"a secret text.", b"a secret text.."])
def test_every_character_counts(secret: bytes) -> None:
    """A changed character is noticed, wherever it is: also in the last one, of which base64 may not need every bit."""
    sealed = seal(KEY, secret, CONTEXT, NONCE)
    for position in range(len("sealed1.0123456789abcdef."), len(sealed)):
        for other in set(BASE64URL) - {sealed[position]}:
            with pytest.raises(Conflict):
                unseal([KEY], sealed[:position] + other + sealed[position + 1 :], CONTEXT)


@given(st.text(max_size=200))
def test_junk_is_refused(text: str) -> None:
    """Whatever is no sealed secret is refused as such."""
    with pytest.raises(Conflict):
        unseal([KEY], text, CONTEXT)


def test_bounds() -> None:
    """The longest secret is sealed and a longer one refused; so are contexts that no record has."""
    assert unseal([KEY], seal(KEY, b"s" * MAX_SECRET, CONTEXT, NONCE), CONTEXT) == b"s" * MAX_SECRET
    with pytest.raises(InputRefused):
        seal(KEY, b"s" * (MAX_SECRET + 1), CONTEXT, NONCE)
    for kind, team, name, version in (("K", "t", "i", 1), ("k", "", "i", 1), ("k", "t", "i\n", 1), ("k", "t", "i", -1)):
        with pytest.raises(InputRefused):
            SealContext(kind, team, name, version)
    with pytest.raises(InputRefused):
        SealContext("k", "t", "i", MAX_VERSION + 1)
