"""The scan of a process finds a key in every form in which one may lie there."""

import base64
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authsvc.keys.file_names import LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY
from authsvc.keys.service_key_files import load_license_signing_key, load_license_token_key, load_sealing_keys
from tests.support.key_service import make_keys
from tests.support.memory import found_in_memory, shapes_of_keys
from tests.support.waiting import PATIENCE

HOLDS = "import sys; exec(sys.stdin.readline()); print(flush=True); sys.stdin.read()"
"""Keeps what the line that it reads assigns."""


def number(keys: Path) -> int:
    """Return the license-signing key as a number."""
    return load_license_signing_key(keys).private_numbers().private_value


def jwk(key: bytes) -> bytes:
    """Return a key as it stands in a JWK."""
    return base64.urlsafe_b64encode(key).rstrip(b"=")


FORMS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "an integer": (LICENSE_SIGNING_KEY, number),
    "first line": (LICENSE_SIGNING_KEY, lambda keys: (keys / LICENSE_SIGNING_KEY).read_text().splitlines()[1]),
    "second line": (LICENSE_SIGNING_KEY, lambda keys: (keys / LICENSE_SIGNING_KEY).read_text().splitlines()[2]),
    "hexadecimal": (LICENSE_SIGNING_KEY, lambda keys: f"{number(keys):064x}"),
    "JWK": (LICENSE_SIGNING_KEY, lambda keys: jwk(number(keys).to_bytes(32, "big"))),
    "words": (LICENSE_SIGNING_KEY, lambda keys: number(keys).to_bytes(32, "little")),
    "SEC 1": (
        LICENSE_SIGNING_KEY,
        lambda keys: load_license_signing_key(keys).private_bytes(
            Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        ),
    ),
    "HMAC block": (LICENSE_TOKEN_KEY, lambda keys: bytes(b ^ 0x36 for b in load_license_token_key(keys))),
    "capitals": (LICENSE_TOKEN_KEY, lambda keys: load_license_token_key(keys).hex().upper()),
    "base64": (SEALING_KEY, lambda keys: base64.b64encode(load_sealing_keys(keys)[0])),
    "bytes": (SEALING_KEY, lambda keys: load_sealing_keys(keys)[0]),
    "nothing": ("", lambda keys: load_license_signing_key(keys).public_key().public_numbers().x),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_key_is_found(tmp_path: Path, form: str) -> None:
    """In a process that holds it in this form alone, that key is found and no other."""
    keys = make_keys(tmp_path / "keys")
    name, value = FORMS[form]
    with subprocess.Popen(
        (sys.executable, "-ISc", HOLDS),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        print(f"kept = {value(keys)!r}", file=process.stdin, flush=True)
        process.stdout.readline()
        found = found_in_memory(process.pid, shapes_of_keys(keys))
        process.stdin.close()
        process.wait(PATIENCE)

    assert found == ({name} if name else set())
