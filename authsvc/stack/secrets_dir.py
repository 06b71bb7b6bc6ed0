"""The secrets directory: what no dump of Redis and no backup contains (design #4).

Rule 1: a file is 0600 and its directory 0700, or the start is refused.
Rule 2: a file is written whole under another name and then linked into place, so a crash leaves nothing half-written
and two starts at once agree on one key.
"""

import os
import secrets
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from authsvc.errors import SecretsRefused
from authsvc.signing.root import create_root

TOKEN_ROOT_KEY = "token-root.key.pem"  # noqa: S105  a file name
TOKEN_ROOT_CERTIFICATE = "token-root.cert.pem"  # noqa: S105  a file name
LICENSE_SIGNING_KEY = "license-signing.key.pem"
LICENSE_TOKEN_KEY = "license-token.key"  # noqa: S105  a file name
REGISTRY_HTTP_SECRET = "registry-http.secret"  # noqa: S105  a file name
REDIS_SECRET = "redis.secret"  # noqa: S105  a file name

TOKEN_KEY_BYTES = 32
"""Length of the key under which license registry tokens are derived."""


def create_missing(directory: Path, now: datetime) -> tuple[str, ...]:
    """Create every secret that is not there yet and check those that are.

    Args:
        directory: made with mode 0700 when missing.
        now: the time of making, aware.

    Returns:
        The names of the files that are new.

    Raises:
        SecretsRefused: the directory can not be written, or a file in it is unusable.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SecretsRefused(f"can not make the secrets directory {directory}: {error.strerror}") from error
    _refuse_open(directory, "directory")
    if (directory / TOKEN_ROOT_CERTIFICATE).exists() and not (directory / TOKEN_ROOT_KEY).exists():
        # An installation whose root is kept offline: a new key here would never match the registry's bundle.
        raise SecretsRefused(
            f"{directory / TOKEN_ROOT_CERTIFICATE} has no key {TOKEN_ROOT_KEY} beside it; put the key back, or remove "
            "the certificate to start with a new root (then restart the registry)"
        )
    created = [
        name
        for name, make in (
            (TOKEN_ROOT_KEY, _new_key_pem),
            (LICENSE_SIGNING_KEY, _new_key_pem),
            (LICENSE_TOKEN_KEY, _new_hex_key),
            (REGISTRY_HTTP_SECRET, _new_hex_key),
        )
        if _create(directory / name, make)
    ]
    root_key = _load_ec_key(directory / TOKEN_ROOT_KEY)

    def new_root() -> bytes:
        serial = secrets.randbits(158) | 1
        return create_root(root_key, serial=serial, now=now).public_bytes(Encoding.PEM)

    if _create(directory / TOKEN_ROOT_CERTIFICATE, new_root):
        created.append(TOKEN_ROOT_CERTIFICATE)
    load_token_root(directory)
    load_license_signing_key(directory)
    load_license_token_key(directory)
    if len(_read(directory / REGISTRY_HTTP_SECRET).strip()) < TOKEN_KEY_BYTES:
        raise SecretsRefused(f"{directory / REGISTRY_HTTP_SECRET} is shorter than 32 characters")
    return tuple(created)


def load_token_root(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the root certificate and its key.

    Raises:
        SecretsRefused: missing, readable by others, not P-256, or the two do not belong together.
    """
    key = _load_ec_key(directory / TOKEN_ROOT_KEY)
    path = directory / TOKEN_ROOT_CERTIFICATE
    try:
        certificate = x509.load_pem_x509_certificate(_read(path))
    except ValueError as error:
        raise SecretsRefused(f"{path} is not a PEM certificate") from error
    try:
        belongs = certificate.public_key() == key.public_key()
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise SecretsRefused(f"{path} is not a self-signed certificate") from error
    if not belongs:
        raise SecretsRefused(f"{path} belongs to another key than {TOKEN_ROOT_KEY} beside it")
    return certificate, key


def load_license_signing_key(directory: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key that signs license files.

    Raises:
        SecretsRefused: missing, readable by others or not P-256.
    """
    return _load_ec_key(directory / LICENSE_SIGNING_KEY)


def load_license_token_key(directory: Path) -> bytes:
    """Return the 32-byte key under which license registry tokens are derived.

    Raises:
        SecretsRefused: missing, readable by others, or not 64 hexadecimal digits.
    """
    path = directory / LICENSE_TOKEN_KEY
    text = _read(path).strip()
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError as error:
        raise SecretsRefused(f"{path} must hold {TOKEN_KEY_BYTES * 2} hexadecimal digits") from error
    if len(key) != TOKEN_KEY_BYTES or len(set(key)) == 1:
        raise SecretsRefused(f"{path} must hold {TOKEN_KEY_BYTES * 2} random hexadecimal digits")
    return key


def redis_secret(directory: Path) -> bytes:
    """Return what the passwords of a redis in its own container are derived from; made when missing.

    Raises:
        SecretsRefused: it can not be written, is readable by others or too short.
    """
    path = directory / REDIS_SECRET
    _create(path, _new_hex_key)
    secret = _read(path).strip()
    if len(secret) < TOKEN_KEY_BYTES:
        raise SecretsRefused(f"{path} is shorter than {TOKEN_KEY_BYTES} characters")
    return secret


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return ``key`` as PEM SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _new_key_pem() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _new_hex_key() -> bytes:
    return f"{secrets.token_hex(TOKEN_KEY_BYTES)}\n".encode()


def _load_ec_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError) as error:
        raise SecretsRefused(f"{path} is not an unencrypted PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SecretsRefused(f"{path} must be a P-256 (ES256) key; remove it to have a new one made")
    return key


def _create(path: Path, make: Callable[[], bytes]) -> bool:
    """Write ``make()`` to ``path`` unless it exists; return whether it was written."""
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
    except OSError as error:
        raise SecretsRefused(f"can not write {path}: {error.strerror}") from error
    return True


def _read(path: Path) -> bytes:
    try:
        _refuse_open(path, "file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise SecretsRefused(f"{path} is missing; `authsvc init` makes it") from error
    except OSError as error:
        raise SecretsRefused(f"can not read {path}: {error.strerror}") from error


def _refuse_open(path: Path, kind: str) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        right = "700" if kind == "directory" else "600"
        raise SecretsRefused(f"the {kind} {path} is open to others (mode {mode:04o}); run: chmod {right} {path}")
