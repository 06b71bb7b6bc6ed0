"""Reads and makes the key files of the key service.

Separate from the token root and its certificates (:mod:`authsvc.keys.secrets_dir`), which a command that signs a
license does not need.
"""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from authsvc.errors import SecretsRefused
from authsvc.keys.file_names import LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, RETIRED_LICENSE_KEYS, SEALING_KEY
from authsvc.keys.files import load_ec_key, read

_PEM_END = b"-----END PUBLIC KEY-----"

TOKEN_KEY_BYTES = 32
"""Length of the key under which license registry tokens are derived."""


def load_license_signing_key(directory: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key that signs license files.

    Raises:
        SecretsRefused: missing, readable by others or not P-256.
    """
    return load_ec_key(directory / LICENSE_SIGNING_KEY)


def load_license_public_keys(directory: Path) -> list[ec.EllipticCurvePublicKey]:
    """Return the public keys that verify license files: the one in use, then retired ones, newest first.

    Raises:
        SecretsRefused: one is unusable.
    """
    newest = load_license_signing_key(directory).public_key()
    path = directory / RETIRED_LICENSE_KEYS
    if not path.exists():
        return [newest]
    retired = []
    for block in read(path).split(_PEM_END)[:-1]:
        try:
            key = load_pem_public_key(block.strip() + b"\n" + _PEM_END + b"\n")
        except ValueError as error:
            raise SecretsRefused(f"{path} must hold PEM public keys only") from error
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise SecretsRefused(f"{path} must hold P-256 public keys only")
        retired.append(key)
    return [newest, *(key for key in retired if key != newest)]


def load_license_token_key(directory: Path) -> bytes:
    """Return the 32-byte key under which license registry tokens are derived.

    Raises:
        SecretsRefused: missing, readable by others, or not 64 hexadecimal digits.
    """
    path = directory / LICENSE_TOKEN_KEY
    return parse_hex_key(read(path).strip(), path)


def load_sealing_keys(directory: Path) -> tuple[bytes, ...]:
    """Return the keys that seal secrets, 32 bytes each: the one in use, then retired ones, newest first.

    Raises:
        SecretsRefused: missing, readable by others, or not lines of 64 hexadecimal digits.
    """
    path = directory / SEALING_KEY
    keys = tuple(parse_hex_key(line, path) for line in read(path).split())
    if not keys:
        raise SecretsRefused(f"{path} is empty; put it back from the backup of the keys")
    return keys


def parse_hex_key(text: bytes, path: Path) -> bytes:
    """Return the key in ``text``.

    Args:
        text: 64 hexadecimal digits.
        path: of its file, for the error message.

    Raises:
        SecretsRefused: it has another form, or is not random.
    """
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError as error:
        raise SecretsRefused(f"{path} must hold {TOKEN_KEY_BYTES * 2} hexadecimal digits") from error
    if len(key) != TOKEN_KEY_BYTES or len(set(key)) == 1:
        raise SecretsRefused(f"{path} must hold {TOKEN_KEY_BYTES * 2} random hexadecimal digits")
    return key


def new_hex_key() -> bytes:
    """Return a new 32-byte key as a line of hexadecimal digits."""
    return f"{secrets.token_hex(TOKEN_KEY_BYTES)}\n".encode()
