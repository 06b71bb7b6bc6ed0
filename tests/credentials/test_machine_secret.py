"""Machine secrets: their form, their checksum, and how a license's is derived."""

import hashlib
import hmac
import string
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.credentials.machine_secret import (
    ID_ALPHABET,
    LICENSE_TOKEN_LENGTH,
    MachineSecret,
    derive_license_token,
    is_id,
    new_id,
)
from authsvc.license_file import registry_token
from authsvc.redaction import Secret
from tests.support.builders import LICENSE_ID, TOKEN_KEY, license_token

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET = license_token()
TEXT = SECRET.text.reveal()
IDS = st.text(ID_ALPHABET, min_size=16, max_size=16)
KINDS = st.sampled_from(["lic", "pat", "sa", "ref", "link"])


def base62(text: str) -> int:
    """Read a number that is written in base 62."""
    number = 0
    for digit in text:
        number = number * 62 + BASE62.index(digit)
    return number


@given(KINDS, IDS, st.binary(min_size=32, max_size=32))
def test_what_is_built_is_read(kind: str, secret_id: str, entropy: bytes) -> None:
    """Kind, id and every bit of the entropy stand in the text; the CRC-32 of the rest ends it."""
    secret = MachineSecret.build(kind, secret_id, entropy)
    text = secret.text.reveal()
    prefix, read_kind, read_id, rest = text.split("_")

    assert secret == MachineSecret.parse(text)
    assert ("asv", kind, secret_id) == (prefix, read_kind, read_id)
    assert int.from_bytes(entropy, "big") == base62(rest[:43])
    assert zlib.crc32(text[:-6].encode()) == base62(rest[43:])
    assert len(rest) == 49


def test_the_form_never_changes() -> None:
    """A token that was handed out years ago is derived again letter by letter: this text is fixed for ever."""
    expected = "asv_lic_c000000000000001_sQGVXvXaxEfj06UYW7HHl0tPjyzY0fhRGvSAINoiimd12cTlf"

    assert expected == TEXT


@given(st.binary(min_size=32, max_size=32), IDS, st.integers(1, 10**6))
def test_derivation(key: bytes, license_id: str, generation: int) -> None:
    """A license's token is HMAC-SHA256 of its id and generation under the installation's key."""
    message = b"authsvc license registry token\0" + license_id.encode() + b"\0" + str(generation).encode()
    expected = MachineSecret.build("lic", license_id, hmac.new(key, message, hashlib.sha256).digest())

    assert expected == derive_license_token(key, license_id, generation)


def test_the_length_of_a_license_token() -> None:
    """The length of a license file is known before its token is derived."""
    assert len(derive_license_token(bytes(32), "0" * 16, 1).text.reveal()) == LICENSE_TOKEN_LENGTH


def test_every_derivation_differs() -> None:
    """Another key, id or generation is another token; an id's end never runs into the generation."""
    derived = {
        derive_license_token(key, license_id, generation).text
        for key in (TOKEN_KEY, TOKEN_KEY[::-1])
        for license_id in (LICENSE_ID, "c000000000000002", "c00000000000001", "c0000000000000011")
        for generation in (1, 2, 11, 12)
    }

    assert len(derived) == 32


@given(st.integers(0, len(TEXT) - 1), st.sampled_from(BASE62 + "_-. "))
def test_one_wrong_letter(place: int, letter: str) -> None:
    """No text with one letter changed is well-formed, but the one in which nothing changed."""
    edited = TEXT[:place] + letter + TEXT[place + 1 :]

    assert (edited == TEXT) == (MachineSecret.parse(edited) is not None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "asv_",
        TEXT[:-1],
        TEXT + "A",
        TEXT + "\n",
        " " + TEXT,
        TEXT.lower(),
        TEXT.upper(),
        TEXT.replace("_lic_", "_LIC_"),
        TEXT.replace("_lic_", "_l_"),
        TEXT.replace("_lic_", "_licen_"),
        TEXT.replace("asv_", "Asv_"),
        TEXT[4:],
        TEXT.replace("c000", "i000"),
        TEXT.replace("0", "\u0660", 1),
        "asv_lic_" + "A" * 10_000,
        "asv_" * 100_000,
    ],
    ids=range(17),
)
def test_junk(text: str) -> None:
    """Anything of another form is no machine secret."""
    assert MachineSecret.parse(text) is None


@given(st.text(max_size=80) | st.text(BASE62 + "_", min_size=70, max_size=75).map("asv_".__add__))
def test_parsing_is_total(text: str) -> None:
    """Whatever is given parses to itself or to nothing."""
    secret = MachineSecret.parse(text)

    assert secret is None or secret.text == Secret(text)


def test_the_digest() -> None:
    """The store keeps the SHA-256 of the whole secret, and it opens for that secret alone."""
    digest = hashlib.sha256(TEXT.encode()).hexdigest()

    assert digest == SECRET.sha256()
    assert [True, False, False] == [
        SECRET.has_digest(digest),
        SECRET.has_digest(digest.upper()),
        license_token(generation=2).has_digest(digest),
    ]


@pytest.mark.parametrize("length", [0, 31, 33])
def test_too_little_entropy(length: int) -> None:
    """A secret of less than 256 bits is never made."""
    with pytest.raises(ValueError, match="made of 32 bytes"):
        MachineSecret.build("lic", LICENSE_ID, bytes(length))


def test_ids() -> None:
    """Ids hold 80 bits in an alphabet that people can read aloud."""
    assert ["0" * 16, "z" * 16] == [new_id(bytes(10)), new_id(b"\xff" * 10)]
    assert set("ilou") & set(ID_ALPHABET) == set()
    with pytest.raises(ValueError, match="made of 10 bytes"):
        new_id(bytes(9))


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_keep_every_bit(left: bytes, right: bytes) -> None:
    """Two ids are the same iff their entropy is."""
    assert (left == right) == (new_id(left) == new_id(right))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LICENSE_ID, True),
        (ID_ALPHABET[-16:], True),
        ("", False),
        (LICENSE_ID[1:], False),
        (f"{LICENSE_ID}0", False),
        (f"{LICENSE_ID}\n", False),
        (f"{LICENSE_ID[1:]}:", False),
        (f"{LICENSE_ID[1:]}*", False),
        (LICENSE_ID.upper(), False),
    ],
)
def test_what_may_stand_in_a_key(text: str, expected: bool) -> None:
    """Only an id does: 16 letters of its alphabet, and nothing that could name another key."""
    assert expected == is_id(text)


def test_no_print() -> None:
    """A secret in a log or a traceback does not show."""
    assert TEXT[-40:] not in repr(SECRET)
    assert registry_token(TEXT) is None
