"""Checking a license offline: with cryptography, with openssl, and with nothing."""

import base64
import json
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authsvc.installer import es256, keys
from authsvc.installer.held import Refused
from authsvc.license_file import LicenseFileError, parse, verify
from authsvc.signing import license_keys
from tests.installer.conftest import Tool
from tests.support.license_files import FACTS, FORGER, KID, VENDOR, make_file, put_file, put_keys

POINT = VENDOR.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
DATA = b"what was signed"

MUTATIONS = 5000
SEED = 20260801


@pytest.fixture
def without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make ``cryptography`` unavailable, as on a bare Python."""
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.setitem(sys.modules, name, None)


def test_der_is_what_cryptography_makes() -> None:
    """The DER of r and s is the one of a proven encoder, with high bits, short numbers and zeros."""
    draw = random.Random(SEED)
    edges = [0, 1, 127, 128, 255, 256, 2**255, 2**256 - 1, 2**248 - 1, 2**247]
    pairs = [(r, s) for r in edges for s in edges] + [
        (draw.getrandbits(256), draw.getrandbits(250)) for _ in range(200)
    ]
    for r, s in pairs:
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        assert encode_dss_signature(r, s) == es256.der_signature(raw)


def test_pem_is_what_cryptography_makes() -> None:
    """The 26 bytes before the point are those of every P-256 key."""
    expected = VENDOR.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert expected == es256.pem(POINT)


def check_all(point: bytes) -> list[bool]:
    """Return what is said of a good signature and of bad ones."""
    good = license_keys.sign(VENDOR, DATA)
    flipped = bytes([good[0] ^ 1]) + good[1:]
    return [
        es256.verify(point, DATA, good),
        es256.verify(point, DATA + b"!", good),
        es256.verify(point, DATA, flipped),
        es256.verify(point, DATA, good[:-1]),
        es256.verify(point, DATA, good + b"\0"),
        es256.verify(point, DATA, b"\0" * 64),
        es256.verify(point, DATA, b"\xff" * 64),
        es256.verify(point, DATA, license_keys.sign(FORGER, DATA)),
        es256.verify(b"\x04" + b"\x01" * 64, DATA, good),  # a point that is not on the curve
    ]


def test_both_ways_say_the_same(request: pytest.FixtureRequest) -> None:
    """A good signature is good and every bad one bad, with cryptography and with openssl."""
    expected = [True] + [False] * 8
    assert expected == check_all(POINT)
    request.getfixturevalue("without_cryptography")
    assert expected == check_all(POINT)


def test_short_numbers_by_openssl(without_cryptography: None) -> None:
    """Signatures whose r or s is a byte shorter, one in 128, verify too."""
    draw, seen = random.Random(SEED), 0
    for _ in range(4000):
        data = draw.randbytes(8)
        signature = _sign(data)
        if signature[0] == 0 or signature[32] == 0:
            assert es256.verify(POINT, data, signature)
            seen += 1
        if seen == 5:
            return
    pytest.fail("no short signature was found")


def _sign(data: bytes) -> bytes:
    return license_keys.sign(VENDOR, data)


def test_nothing_to_check_with(without_cryptography: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without either, the sentence names both ways to get on, with an exit code of its own."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Refused, match="install the command openssl, or the Python package cryptography") as refused:
        es256.verify(POINT, DATA, license_keys.sign(VENDOR, DATA))
    assert 4 == refused.value.code


@pytest.mark.parametrize("form", ["set", "jwk", "pem", "pem-crlf", "jwk-without-kid"])
def test_forms_of_keys(form: str) -> None:
    """A JWK set, one JWK and PEM all give the key under the kid that the license names."""
    jwk = license_keys.jwk(VENDOR.public_key())
    pem = VENDOR.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    text = {
        "set": json.dumps({"keys": [license_keys.jwk(FORGER.public_key()), jwk]}),
        "jwk": json.dumps(jwk),
        "pem": pem,
        "pem-crlf": pem.replace("\n", "\r\n"),
        "jwk-without-kid": json.dumps({name: value for name, value in jwk.items() if name != "kid"}),
    }[form]
    trusted = keys.TrustedKeys()
    trusted.add(text)

    assert KID in trusted
    assert "myapp" == verify(make_file(), trusted.verify)["app"]


JWK: dict[str, Any] = dict(license_keys.jwk(VENDOR.public_key()))
BAD_KEYS = [
    "", "[]", "{", "5", '{"keys": 5}', '{"keys": [5]}',
    *(json.dumps({**JWK, **change}) for change in ({"kty": "RSA"}, {"crv": "P-384"}, {"x": 5}, {"d": "AA"})),
    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----",
    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    ec.generate_private_key(ec.SECP384R1()).public_key()
      .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_KEYS)
def test_what_is_no_key(tool: Tool, tmp_path: Path, text: str) -> None:
    """Anything else is refused in a sentence; a private key too, which a vendor should never hand out."""
    (tmp_path / "key").write_text(text)

    ran = tool("verify", "--key", tmp_path / "key", put_file(tmp_path / "a.json"))

    assert (2, "") == (ran.code, ran.out)
    assert (
        f"authsvc-license: {tmp_path}/key is no key file of a vendor: it is neither a JWK set nor a PEM public key\n"
        == ran.err
    )


def test_verify(tool: Tool, tmp_path: Path) -> None:
    """A genuine license in force: exit code 0, and one line that says when it ends."""
    ran = tool("verify", "--key", put_keys(tmp_path / "key.json"), put_file(tmp_path / "a.json"))

    assert (0, "") == (ran.code, ran.err)
    assert "valid: license c000000000000001 of Globex for myapp until 2099-01-31T00:00:00Z\n" == ran.out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expires_at": "2026-09-01T00:00:00Z"}, "the license ended at 2026-09-01T00:00:00Z"),
        ({"not_before": "2098-09-01T00:00:00Z"}, "the license begins at 2098-09-01T00:00:00Z"),
    ],
)
def test_verify_outside_the_dates(tool: Tool, tmp_path: Path, changes: dict[str, str], said: str) -> None:
    """A genuine license that does not count now has the exit code 3."""
    ran = tool("verify", "--key", put_keys(tmp_path / "key.json"), put_file(tmp_path / "a.json", **changes))

    assert 3 == ran.code
    assert said in ran.err


@pytest.mark.parametrize("name", sorted({*FACTS, "not_before", "repositories"}))
def test_the_edited_field_is_named(tool: Tool, tmp_path: Path, name: str) -> None:
    """Whichever field somebody edits, its name is in the sentence and in the JSON."""
    body = json.loads(make_file())
    body["license"][name] = {"fields": {"seats": 2500}, "repositories": ["**"]}.get(name, "2098-01-01T00:00:00Z")
    file, key = tmp_path / "a.json", put_keys(tmp_path / "key.json")
    file.write_text(json.dumps(body))

    ran, as_json = tool("verify", "--key", key, file), tool("verify", "--json", "--key", key, file)

    assert (1, "") == (ran.code, ran.out)
    assert f"authsvc-license: {file}: the field {name!r} was edited; ask the vendor for the file again\n" == ran.err
    assert (1, name) == (as_json.code, json.loads(as_json.out)["field"])


def test_keys_in_the_folder(tool: Tool, home: Path, tmp_path: Path) -> None:
    """Keys that are kept in the home need no option; without any the exit code is 4."""
    file = put_file(tmp_path / "a.json")

    ran = tool("verify", file)
    assert 4 == ran.code
    assert "there is no key of the vendor to check with: give it as --key FILE" in ran.err
    put_keys(home / ".config/authsvc/keys/other.json", FORGER)
    assert 1 == (ran := tool("verify", file)).code
    assert "no known key of the vendor made this signature" in ran.err
    put_keys(home / ".config/authsvc/keys/vendor.json")
    assert 0 == tool("verify", file).code


def test_no_address_in_the_file_is_believed(tool: Tool, tmp_path: Path) -> None:
    """A forger who puts a key, or the place of one, into header or file is not believed."""
    jwk = license_keys.jwk(FORGER.public_key())
    payload = json.dumps(json.loads(make_file())["license"]).encode()
    for extra in ({"jwk": jwk}, {"jku": "http://forger.test/keys"}, {"kid": KID}, {"x5u": "http://forger.test"}):
        header = json.dumps({"alg": "ES256", "typ": "authsvc-license+jwt", "kid": "x", **extra}).encode()
        signing_input = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, payload))
        mark = base64.urlsafe_b64encode(license_keys.sign(FORGER, signing_input)).rstrip(b"=")
        body = {**json.loads(make_file()), "signature": (signing_input + b"." + mark).decode()}
        file = tmp_path / "a.json"
        file.write_text(json.dumps(body))

        ran = tool("verify", "--key", put_keys(tmp_path / "key.json"), file)

        assert 1 == ran.code
        assert "no known key of the vendor made this signature" in ran.err


def mutate(text: str, draw: random.Random) -> bytes:
    """Return ``text`` with something done to it: a byte, a character, a value, a piece."""
    at = draw.randrange(len(text))
    kind = draw.randrange(9)
    if kind == 0:
        return text[:at].encode() + bytes([draw.randrange(256)]) + text[at + 1 :].encode()
    if kind == 1:
        return (text[:at] + text[at + draw.randrange(1, 40) :]).encode()
    if kind == 2:
        return (text[:at] + draw.choice(['"', "\\", "{", "}", "[", "é", "\u200b", "0", "\n", " "]) + text[at:]).encode()
    if kind == 3:
        end = at + draw.randrange(1, 60)
        return (text[:end] + text[at:end] + text[end:]).encode()
    body = json.loads(text)
    if kind == 4:
        name = draw.choice(sorted(body["license"]))
        values = [
            None,
            True,
            0,
            1.0,
            -1,
            "",
            "x",
            [],
            {},
            [[]],
            {"a": {"b": None}},
            "\ud800",
            10**400,
            body["license"][name],
        ]
        body["license"][name] = draw.choice(values)
    elif kind == 5:
        body[draw.choice(["kind", "version", "license", "signature", "extra"])] = draw.choice(
            [None, 1, "x", {}, [], "a.b.c"]
        )
    elif kind == 6:
        parts = body["signature"].split(".")
        part = draw.randrange(3)
        spot = draw.randrange(len(parts[part]))
        parts[part] = parts[part][:spot] + draw.choice("AZaz09-_=.") + parts[part][spot + 1 :]
        body["signature"] = ".".join(parts)
    elif kind == 7:
        del body["license"][draw.choice(sorted(body["license"]))]
    return json.dumps(body, indent=draw.choice([None, 1, 4]), ensure_ascii=draw.random() < 0.5).encode(
        "utf-8", "surrogatepass"
    )


def genuine(text: str) -> dict[str, Any] | None:
    """Return the license that ``text`` is, told by other libraries than ours; None when it is none."""
    try:
        body = parse(text)
        signature = body["signature"]
        for part in signature.split("."):
            raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
                return None
        signed = jwt.decode(signature, VENDOR.public_key(), algorithms=["ES256"])
        header = jwt.get_unverified_header(signature)
    except (ValueError, jwt.InvalidTokenError):
        return None
    same = json.dumps(signed, sort_keys=True) == json.dumps(body["license"], sort_keys=True)
    return signed if same and (header["typ"], header["kid"]) == ("authsvc-license+jwt", KID) else None


def test_five_thousand_mutations(tmp_path: Path) -> None:
    """A mutated file is accepted iff it is the same license with a good signature; otherwise its field is named."""
    text = make_file(not_before="2026-08-02T00:00:00Z", repositories=("worker", "api/*"))
    license_ = json.loads(text)["license"]
    trusted = keys.load([str(put_keys(tmp_path / "key.json"))], {})
    draw = random.Random(SEED)
    accepted, refused = 0, Counter[str | None]()
    for _ in range(MUTATIONS):
        mutated = mutate(text, draw).decode("utf-8", "replace")
        expected = genuine(mutated)
        assert expected in (None, license_)
        says, field, sentence = outcome(mutated, trusted)
        assert expected == says, mutated
        if says is None:
            assert (True, 1) == (bool(sentence), len(sentence.splitlines()))
            refused[field] += 1
        else:
            accepted += 1
    assert accepted > 500
    assert set(refused) > {None, *license_, "signature", "kind", "version", "license"}
    assert refused[None] < 2500  # only what is no JSON object at all has no field


def outcome(text: str, trusted: keys.TrustedKeys) -> tuple[dict[str, Any] | None, str | None, str]:
    """Return the license, or the field and the sentence of the refusal."""
    try:
        return verify(text, trusted.verify), None, ""
    except LicenseFileError as error:
        return None, error.field, str(error)


def test_mutations_through_the_command(tool: Tool, tmp_path: Path) -> None:
    """What the command prints for a mutated file is one line, and never a trace."""
    key, file, draw = put_keys(tmp_path / "key.json"), tmp_path / "a.json", random.Random(SEED)
    for _ in range(25):
        file.write_bytes(mutate(make_file(), draw))

        ran = tool("verify", "--key", key, file)

        assert ran.code in {0, 1, 3}, ran
        assert (1 if ran.code != 3 else 2) == len(ran.said.splitlines()), ran
        assert "Traceback" not in ran.said
