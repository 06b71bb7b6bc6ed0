"""The license file: what is written verifies, and nothing else does."""

import base64
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from authsvc.license_file import (
    MAX_BYTES,
    LicenseDocument,
    LicenseFileError,
    length_bound,
    payload,
    registry_token,
    verify,
    write,
)
from authsvc.signing import license_keys
from tests.support import es256

KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
KID = license_keys.key_id(KEY.public_key())
TOKEN = "asv_lic_c000000000000001_" + "A" * 49

FACTS: dict[str, Any] = {
    "id": "c000000000000001",
    "app": "acme",
    "customer": "Globex & Söhne",
    "type": "paid",
    "issued_at": "2026-08-01T12:00:00Z",
    "expires_at": "2027-01-31T00:00:00Z",
    "registry": "registry.vendor.test",
    "registry_token": TOKEN,
    "not_before": None,
    "repositories": ("worker", "api/*"),
    "fields": {"seats": 25, "plan": "gold", "ratio": 0.5, "beta": True, "none": None},
    "contact": "sales@acme.test",
}


def knows_key(kid: str, data: bytes, signature: bytes) -> bool:
    """Verify as a license holder does who has the vendor's public key."""
    return kid == KID and es256.verify(KEY.public_key(), data, signature)


def make_file(**changes: Any) -> str:
    """Return a signed file."""
    return write(LicenseDocument(**FACTS | changes), lambda signed: license_keys.sign_license(KEY, KID, signed))


def refusal(text: str, check: Callable[[str, bytes, bytes], bool] = knows_key) -> LicenseFileError:
    """Return the error with which ``text`` is refused."""
    with pytest.raises(LicenseFileError) as refused:
        verify(text, check)
    return refused.value


FILE = make_file()
SIGNED = verify(FILE, knows_key)
BODY = json.loads(FILE)

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "customer": st.text(min_size=1, max_size=60),
        "type": st.sampled_from(["trial", "paid", "dev"]),
        "not_before": st.none() | st.just("2026-01-01T00:00:00Z"),
        "repositories": st.none() | st.lists(st.text("ab*/", min_size=1, max_size=10), max_size=8).map(tuple),
        "fields": st.dictionaries(st.text("abc_.-", min_size=1, max_size=10), SCALARS, max_size=8),
        "contact": st.none() | st.text(min_size=1, max_size=60),
    }
)


@given(DOCUMENTS)
def test_what_is_written_verifies(changes: dict[str, Any]) -> None:
    """Every document comes back as it went in, in an ASCII file that ends in a line break."""
    document = LicenseDocument(**FACTS | changes)
    text = make_file(**changes)

    assert document.to_json() == verify(text, knows_key)
    assert text.isascii()
    assert text.endswith("}\n")
    assert text.startswith('{\n  "kind": "License",\n  "version": 1,\n  "license": {\n    "id": ')
    assert len(text) <= MAX_BYTES
    assert TOKEN == registry_token(text)


def test_another_library_agrees() -> None:
    """The signature is a JWS that PyJWT accepts, and its payload is the readable object."""
    header = jwt.get_unverified_header(BODY["signature"])
    payload = jwt.decode(BODY["signature"], KEY.public_key(), algorithms=["ES256"])

    assert {"alg": "ES256", "kid": KID, "typ": "authsvc-license+jwt"} == header
    assert BODY["license"] == payload
    assert ["kind", "version", "license", "signature"] == list(BODY)


def test_the_form_is_the_contract() -> None:
    """Names and order of the readable object are what the contract shows."""
    expected = ["id", "app", "customer", "type", "issued_at", "not_before", "expires_at", "registry", "registry_token",
                "repositories", "fields", "contact"]  # fmt: skip

    assert expected == list(BODY["license"])
    assert ("License", 1) == (BODY["kind"], BODY["version"])


def wrappings(text: str) -> Iterator[str]:
    """Yield ``text`` as editors, mail programs and shells leave it."""
    for form in (
        text,
        text.replace("\n", "\r\n"),
        text.replace("\n", " "),
        text.replace("\n", ""),
        json.dumps(json.loads(text)),
    ):
        yield from (form, "\ufeff" + form, form + "\r\n\r\n", "\n  " + form, form.rstrip())


@pytest.mark.parametrize("wrapped", list(wrappings(FILE)))
def test_wrappings(wrapped: str) -> None:
    """A byte-order mark, CRLF, joined lines and blanks around change nothing."""
    assert SIGNED == verify(wrapped, knows_key)
    assert TOKEN == registry_token(wrapped)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have(number: str) -> None:
    """They are refused, since no reader would take the JSON that ``show --json`` makes of them."""
    with pytest.raises(LicenseFileError, match="it is not JSON"):
        verify(FILE.replace('"seats": 25', f'"seats": {number}'), knows_key)


def longest_file() -> str:
    """Return the longest file that is written, of many lines."""
    patterns = tuple(f"component-{number:03}/x" for number in range(80))
    text = make_file(repositories=patterns)
    # A character of the contact counts twice: in the object and, as base64, in the signature.
    for length in range((MAX_BYTES - len(text)) // 3, MAX_BYTES):
        try:
            text = make_file(repositories=patterns, contact="x" * length)
        except LicenseFileError:
            break
    return text


@given(DOCUMENTS)
def test_no_file_is_longer_than_was_counted(changes: dict[str, Any]) -> None:
    """So a file that is short enough by the count needs no other check."""
    assert len(make_file(**changes)) <= length_bound(payload(LicenseDocument(**FACTS | changes)))


def test_usual_documents_are_short_enough_by_the_count() -> None:
    """Otherwise it would save nothing."""
    assert length_bound(payload(LicenseDocument(**FACTS))) < MAX_BYTES


def test_eight_kilobytes() -> None:
    """The longest file that is written is read in every wrapping; one that would be longer is not written."""
    text = longest_file()

    assert MAX_BYTES - 3 <= len(text) <= MAX_BYTES
    for form in (text, text.replace("\n", "\r\n"), "\ufeff" + text.replace("\n", "\r\n")):
        assert verify(text, knows_key) == verify(form, knows_key)
        assert TOKEN == registry_token(form)
    with pytest.raises(LicenseFileError, match=r"^the license file would have 9\d{3} bytes and may have 8192; shorten"):
        make_file(contact="x" * 3400)


@pytest.mark.parametrize("name", list(FACTS))
@pytest.mark.parametrize("edit", ["changed", "removed"])
def test_an_edited_field_is_named(name: str, edit: str) -> None:
    """Whoever edits a readable field learns which one, be it the end date or the token."""
    body = json.loads(FILE)
    if edit == "changed":
        body["license"][name] = "2099-01-01T00:00:00Z"
    else:
        del body["license"][name]
    error = refusal(json.dumps(body))

    assert (name, f"the field {name!r} was edited; ask the vendor for the file again") == (error.field, str(error))


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        ({"seats": 25.0}, "fields"),
        ({"seats": "25"}, "fields"),
        ({"seats": True}, "fields"),
        ({"beta": 1}, "fields"),
        ({"none": False}, "fields"),
        ({"extra": 1}, "fields"),
    ],
)
def test_equal_in_python_is_not_equal(edit: dict[str, Any], field: str) -> None:
    """25 and 25.0, 1 and true are different texts, whatever Python says."""
    body = json.loads(FILE)
    body["license"]["fields"] |= edit

    assert field == refusal(json.dumps(body)).field


def test_an_added_field_is_named() -> None:
    """A field that was never signed is an edit, inside the license and beside it."""
    inside, beside = json.loads(FILE), json.loads(FILE)
    inside["license"]["seats"] = 1
    beside["seats"] = 1

    assert ["seats", "seats"] == [refusal(json.dumps(body)).field for body in (inside, beside)]


def jws(payload: dict[str, Any] | str, key: ec.EllipticCurvePrivateKey = KEY, **header: Any) -> str:
    """Return a JWS over ``payload`` with whatever header."""
    parts = [json.dumps({"alg": "ES256", "kid": KID, "typ": "authsvc-license+jwt"} | header),
             payload if isinstance(payload, str) else json.dumps(payload)]  # fmt: skip
    signing_input = ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
    mark = base64.urlsafe_b64encode(es256.sign(key, signing_input.encode())).rstrip(b"=").decode()
    return f"{signing_input}.{mark}"


LICENSE = BODY["license"]


@pytest.mark.parametrize(
    ("signature", "sentence"),
    [
        ("", "damaged"), ("..", "damaged"), ("a.b", "damaged"), (BODY["signature"] + ".x", "damaged"),
        (BODY["signature"] + "=", "damaged"), ("é.é.é", "damaged"), (jws("[]"), "damaged"), (jws("{"), "damaged"),
        (jws('{"id":1,"id":1}'), "damaged"),
        (jws(LICENSE, alg="none"), "another kind"), (jws(LICENSE, alg="HS256"), "another kind"),
        (jws(LICENSE, typ="JWT"), "another kind"), (jws(LICENSE, crit=["b64"], b64=False), "another kind"),
        (jws(LICENSE, key=OTHER), "no known key"), (jws(LICENSE, kid="x"), "no known key"),
        (jws(LICENSE, kid=None), "no known key"), (BODY["signature"].rpartition(".")[0] + ".", "no known key"),
        (BODY["signature"].rpartition(".")[0] + "." + "A" * 86, "no known key"),
    ],
)  # fmt: skip
def test_bad_signatures(signature: str, sentence: str) -> None:
    """Damaged, of another kind, or by another key: each says so, about the signature."""
    error = refusal(json.dumps(BODY | {"signature": signature}))

    assert sentence in str(error)
    assert error.field == "signature"


def test_another_licenses_signature() -> None:
    """A signature of the same vendor for another license does not fit."""
    other = json.loads(make_file(id="c000000000000002"))

    assert refusal(json.dumps(BODY | {"signature": other["signature"]})).field == "id"


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"License"', "{}", "\ufeff", "x" * (MAX_BYTES + 1), "[" * 8000, '{"a":' * 1500, "1" * 5000,
     json.dumps(BODY | {"kind": "license"}), json.dumps(BODY | {"version": 2}), json.dumps(BODY | {"version": True}),
     json.dumps(BODY | {"version": 1.0}), json.dumps(BODY | {"license": []}), json.dumps(BODY | {"signature": None}),
     FILE.replace('"kind"', '"kind": "License", "kind"'), FILE.replace('"app"', '"app": "evil", "app"'),
     '{"kind": "License", "version": 1, "license": {"\ud800": 1}, "signature": "\ud800"}'],
    ids=range(20),
)  # fmt: skip
def test_no_license_files(text: str) -> None:
    """Whatever else is given is refused with a sentence."""
    assert str(refusal(text))


def test_every_depth_of_nesting() -> None:
    """However deep a forged field is nested, the file is refused and nothing breaks."""
    body = json.dumps(BODY | {"license": BODY["license"] | {"fields": "NESTED"}})
    sentences = {
        str(refusal(body.replace('"NESTED"', "[" * depth + "]" * depth))).partition(";")[0]
        for depth in range(1, 1100)
    }  # fmt: skip

    assert sentences <= {"the field 'fields' was edited", "this is not a license file: it is not JSON"}


def mutations(draw: random.Random) -> Iterator[str]:
    """Yield edits of the file: of letters, of lines, of JSON values, and of the signature."""
    lines = FILE.splitlines(keepends=True)
    alphabet = '{}[]":,0123456789abcdefABCDEF \n\\-_.~\u00e9\u0000'
    while True:
        text = list(FILE)
        at, other = draw.randrange(len(text)), draw.randrange(len(text))
        kind = draw.randrange(8)
        if kind == 0:
            text[at] = draw.choice(alphabet)
        elif kind == 1:
            del text[at : at + draw.randint(1, 4)]
        elif kind == 2:
            text.insert(at, draw.choice(alphabet))
        elif kind == 3:
            text[at], text[other] = text[other], text[at]
        elif kind == 4:
            text[at] = text[at].swapcase()
        elif kind == 5:
            line = draw.randrange(len(lines))
            changed = [*lines[:line], *([lines[line]] * draw.choice([0, 2])), *lines[line + 1 :]]
            text = list("".join(changed))
        elif kind == 6:
            body = json.loads(FILE)
            place = draw.choice([body, body["license"], body["license"]["fields"]])
            name = draw.choice(list(place))
            place[draw.choice([name, name + "x"])] = draw.choice([place[name], None, 1, 1.0, True, "", [], {}, TOKEN])
            text = list(json.dumps(body, indent=draw.choice([None, 0, 4])))
        else:
            body = json.loads(FILE)
            mark = list(body["signature"])
            mark[draw.randrange(len(mark))] = draw.choice("ABCxyz019-_=.")
            body["signature"] = "".join(mark)
            text = list(json.dumps(body))
        yield "".join(text)


@pytest.mark.parametrize("seed", range(4))
def test_an_accepted_mutation_says_the_same(seed: int) -> None:
    """Of thousands of edits, those that are accepted say letter by letter what was signed; most are refused."""
    draw = random.Random(seed)
    accepted = 0
    for text, _ in zip(mutations(draw), range(1000), strict=False):
        try:
            said = verify(text, knows_key)
        except LicenseFileError:
            continue
        accepted += 1
        assert json.dumps(SIGNED) == json.dumps(said)
        assert json.dumps(SIGNED, sort_keys=True) == json.dumps(
            json.loads(text.lstrip("\ufeff"))["license"], sort_keys=True
        )

    assert 0 < accepted < 500


def test_the_other_signature_of_the_same_maker() -> None:
    """ECDSA has two signatures for one text (s and n-s); the second one is accepted and says the same."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    head, _, mark = BODY["signature"].rpartition(".")
    raw = base64.urlsafe_b64decode(mark + "==")
    twin = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    signature = f"{head}.{base64.urlsafe_b64encode(twin).rstrip(b'=').decode()}"

    assert SIGNED == verify(json.dumps(BODY | {"signature": signature}), knows_key)


@given(st.text(max_size=200) | st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                                            max_leaves=8).map(json.dumps))  # fmt: skip
def test_reading_is_total(text: str) -> None:
    """Whatever is given as a file is refused, and holds no token unless it says so."""
    refusal(text)

    assert registry_token(text) is None or "registry_token" in text


def test_no_repr_shows_the_token() -> None:
    """A document in a log or a traceback shows no token."""
    assert TOKEN not in repr(LicenseDocument(**FACTS))
