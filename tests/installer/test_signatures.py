"""Checking a license offline: the arithmetic, the forms of keys, and what nobody signed."""

import base64
import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authsvc.installer import es256, keys
from authsvc.license_file import LicenseFileError, parse, verify
from authsvc.signing import license_keys
from tests.installer.conftest import Tool
from tests.support.es256 import sign
from tests.support.license_files import FACTS, FORGER, KID, VENDOR, make_file, put_file, put_keys
from tests.support.vectors import load

POINT = VENDOR.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
DATA = b"what was signed"

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Number of points of P-256 (SP 800-186 §3.2.1.3)."""

MUTATIONS = 5000
SEED = 20260801


def accepts(trusted: keys.TrustedKeys) -> Callable[[str, bytes, bytes], bool]:
    """Return what tells :func:`verify` of signatures by these keys."""

    def check(kid: str, data: bytes, signature: bytes) -> bool:
        key = trusted.get(kid)
        return key is not None and key.verify(data, signature)

    return check


def by_cryptography(point: bytes, data: bytes, signature: bytes) -> bool:
    """Return what a proven library says of a signature."""
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return len(signature) == 64


def point_of(secret: int) -> bytes:
    """Return the public key of a private number."""
    key = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def test_a_published_signature() -> None:
    """The ES256 example of RFC 7515 verifies, and not for another text or the other way round."""
    vector = load("keys.json")["rfc7515"]
    x, y, mark = (
        base64.urlsafe_b64decode(text + "==") for text in (vector["jwk"]["x"], vector["jwk"]["y"], vector["signature"])
    )
    point, data = b"\x04" + x + y, vector["signing_input"].encode()
    attempts = [(data, mark), (data + b"x", mark), (data, mark[::-1])]

    assert [True, False, False] == [es256.verify(point, *attempt) for attempt in attempts]


def test_random_signatures_as_by_cryptography() -> None:
    """Signatures by many keys, whole and with one bit of anything flipped, are judged as a proven library does."""
    draw = random.Random(SEED)
    good = 0
    for _ in range(150):
        secret, data = draw.randrange(1, ORDER), draw.randbytes(draw.randrange(80))
        signature = sign(ec.derive_private_key(secret, ec.SECP256R1()), data)
        whole = [bytearray(point_of(secret)), bytearray(data), bytearray(signature)]
        if draw.random() < 0.5:
            part = draw.choice([part for part in whole if part])
            part[draw.randrange(len(part))] ^= 1 << draw.randrange(8)
        point, data, signature = map(bytes, whole)
        expected = by_cryptography(point, data, signature)
        assert expected == es256.verify(point, data, signature), (point.hex(), data.hex(), signature.hex())
        good += expected
    assert 50 < good < 100


def test_edge_numbers_as_by_cryptography() -> None:
    """Zero, the order and what lies around them as r and s; keys that are the base point and its neighbours.

    With such keys the sums of the computation meet equal and opposite points, which have formulas of their own.
    """
    numbers = [0, 1, 2, ORDER - 2, ORDER - 1, ORDER, ORDER + 1, 2**255, 2**256 - 1]
    for secret in (1, 2, 3, ORDER - 1, ORDER - 2, (ORDER + 1) // 2):
        point = point_of(secret)
        for r in numbers:
            for s in numbers:
                signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
                assert by_cryptography(point, DATA, signature) == es256.verify(point, DATA, signature)
        assert es256.verify(point, DATA, sign(ec.derive_private_key(secret, ec.SECP256R1()), DATA))


def chosen_signature(secret: int, nonce: int) -> bytes:
    """Return the signature of :data:`DATA` that this nonce gives."""
    x = int.from_bytes(point_of(nonce)[1:33], "big")
    digest = int.from_bytes(hashlib.sha256(DATA).digest(), "big")
    s = pow(nonce, -1, ORDER) * (digest + x * secret) % ORDER
    return (x % ORDER).to_bytes(32, "big") + s.to_bytes(32, "big")


def test_every_small_nonce() -> None:
    """Signatures whose point is a small or a large multiple of the base point verify, by their own key alone."""
    for nonce in (*range(1, 20), *range(ORDER - 20, ORDER)):
        signature = chosen_signature(7, nonce)
        assert es256.verify(point_of(7), DATA, signature)
        assert not es256.verify(point_of(8), DATA, signature)


def check_all(point: bytes) -> list[bool]:
    """Return what is said of a good signature and of bad ones."""
    good = sign(VENDOR, DATA)
    flipped = bytes([good[0] ^ 1]) + good[1:]
    return [
        es256.verify(point, DATA, good),
        es256.verify(point, DATA + b"!", good),
        es256.verify(point, DATA, flipped),
        es256.verify(point, DATA, good[:-1]),
        es256.verify(point, DATA, good + b"\0"),
        es256.verify(point, DATA, b"\0" * 64),
        es256.verify(point, DATA, b"\xff" * 64),
        es256.verify(point, DATA, sign(FORGER, DATA)),
        es256.verify(b"\x04" + b"\x01" * 64, DATA, good),  # a point that is not on the curve
        es256.verify(b"\x02" + point[1:], DATA, good),
        es256.verify(b"\x04" + b"\0" * 64, DATA, good),
    ]


def test_good_and_bad() -> None:
    """A good signature is good and every bad one bad."""
    assert [True] + [False] * 10 == check_all(POINT)


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
    assert "myapp" == verify(make_file(), accepts(trusted))["app"]


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
    assert ran.err.startswith(f"authsvc-license: {tmp_path}/key is not a key file of a vendor: ")
    assert 1 == len(ran.err.splitlines())


def test_verify(tool: Tool, tmp_path: Path) -> None:
    """A genuine license in force: exit code 0, and one line that says when it ends."""
    ran = tool("verify", "--key", put_keys(tmp_path / "key.json"), put_file(tmp_path / "a.json"))

    assert (0, "") == (ran.code, ran.err)
    assert [
        "genuine, in force until 2099-01-31T00:00:00Z: license c000000000000001 of Globex for myapp",
        f"registry: {FACTS['registry']}",
        f"key: {KID} ({tmp_path}/key.json)",
    ] == ran.out.splitlines()


@pytest.mark.parametrize(
    ("changes", "said", "why", "state"),
    [
        (
            {"expires_at": "2026-09-01T00:00:00Z"},
            "genuine, but expired at 2026-09-01T00:00:00Z: ",
            "the license ended at 2026-09-01T00:00:00Z",
            "expired",
        ),
        (
            {"not_before": "2098-09-01T00:00:00Z"},
            "genuine, not in force before 2098-09-01T00:00:00Z: ",
            "the license begins at 2098-09-01T00:00:00Z",
            "pending",
        ),
    ],
)
def test_verify_outside_the_dates(
    tool: Tool, tmp_path: Path, changes: dict[str, str], said: str, why: str, state: str
) -> None:
    """A genuine license that is not in force has the exit code 3, and is never called valid."""
    words = ("verify", "--key", put_keys(tmp_path / "key.json"), put_file(tmp_path / "a.json", **changes))
    ran, as_json = tool(*words), tool(*words, "--json")

    assert (3, True, True) == (ran.code, ran.out.startswith(said), why in ran.err)
    assert 3 == as_json.code
    facts = json.loads(as_json.out)
    assert (True, state, False) == (facts["genuine"], facts["state"], facts["in_force"])
    assert "valid" not in facts


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_that_windows_saved(tool: Tool, tmp_path: Path, encoding: str) -> None:
    """License and key may have a byte-order mark, or be the UTF-16 that PowerShell writes with ``>``."""
    key, file = put_keys(tmp_path / "key.json"), put_file(tmp_path / "a.json")
    for path in (key, file):
        path.write_bytes(path.read_text().replace("\n", "\r\n").encode(encoding))

    ran = tool("verify", "--key", key, file)

    assert (0, "") == (ran.code, ran.err)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437"])
@pytest.mark.parametrize("command", ["show", "verify"])
def test_names_that_a_console_lacks(tool: Tool, tmp_path: Path, command: str, encoding: str) -> None:
    """A name outside the console's encoding is escaped; the exit code is the one that the license has."""
    key = put_keys(tmp_path / "key.json")
    file = put_file(tmp_path / "a.json", customer="Łódź Σ 株式会社")

    ran = tool(command, "--key", key, file, PYTHONIOENCODING=encoding, PYTHONUTF8="0")

    assert 0 == ran.code, ran.err
    assert "\\u0141" in ran.out


@pytest.mark.parametrize("name", sorted({*FACTS, "not_before", "repositories"}))
def test_the_edited_field_is_named(tool: Tool, tmp_path: Path, name: str) -> None:
    """Whichever field somebody edits, its name is in the sentence and in the JSON."""
    body = json.loads(make_file())
    body["license"][name] = {"fields": {"seats": 2500}, "repositories": ["**"], "registry": "evil.test"}.get(
        name, "2098-01-01T00:00:00Z"
    )
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
    assert 4 == (ran := tool("verify", file)).code
    assert f"signed by a key that is not here ({KID})" in ran.err
    put_keys(home / ".config/authsvc/keys/vendor.json")
    assert 0 == tool("verify", file).code


def test_no_address_in_the_file_is_believed(tool: Tool, tmp_path: Path) -> None:
    """A forger who puts a key, or the place of one, into header or file is not believed."""
    jwk = license_keys.jwk(FORGER.public_key())
    payload = json.dumps(json.loads(make_file())["license"]).encode()
    for extra in ({"jwk": jwk}, {"jku": "http://forger.test/keys"}, {"kid": KID}, {"x5u": "http://forger.test"}):
        header = {"alg": "ES256", "typ": "authsvc-license+jwt", "kid": "x", **extra}
        parts = (json.dumps(header).encode(), payload)
        signing_input = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        mark = base64.urlsafe_b64encode(sign(FORGER, signing_input)).rstrip(b"=")
        body = {**json.loads(make_file()), "signature": (signing_input + b"." + mark).decode()}
        file = tmp_path / "a.json"
        file.write_text(json.dumps(body))

        ran = tool("verify", "--key", put_keys(tmp_path / "key.json"), file)

        known = header.get("kid") == KID
        assert (1 if known else 4) == ran.code
        assert ("no known key of the vendor made this signature" if known else "a key that is not here") in ran.err


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


def test_five_thousand_mutations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutated file is accepted iff it is the same license with a good signature; otherwise its field is named."""
    monkeypatch.setattr(es256, "verify", cache(es256.verify))  # most mutations leave the signature as it is
    text = make_file(not_before="2026-08-02T00:00:00Z", repositories=("worker", "api/*"))
    license_ = json.loads(text)["license"]
    trusted = keys.load_given([str(put_keys(tmp_path / "key.json"))])
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
        return verify(text, accepts(trusted)), None, ""
    except LicenseFileError as error:
        return None, error.field, str(error)


def test_mutations_through_the_command(tool: Tool, tmp_path: Path) -> None:
    """What the command prints for a mutated file is one line, and never a trace."""
    key, file, draw = put_keys(tmp_path / "key.json"), tmp_path / "a.json", random.Random(SEED)
    for _ in range(25):
        file.write_bytes(mutate(make_file(), draw))

        ran = tool("verify", "--key", key, file)

        assert ran.code in {0, 1, 3, 4}, ran
        assert {0: 3, 3: 4}.get(ran.code, 1) == len(ran.said.splitlines()), ran
        assert "Traceback" not in ran.said
