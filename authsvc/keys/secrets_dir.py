"""The secrets directory, whose content no dump of Redis and no backup contains (design #4).

Names, loads, creates and checks its files. How keys change is in :mod:`authsvc.keys.rotation`.
"""

import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc.atomic_file import sync_folder
from authsvc.errors import SecretsRefused
from authsvc.keys.file_names import (
    LICENSE_SIGNING_KEY,
    LICENSE_TOKEN_KEY,
    NEXT_ROOT_KEY,
    NGINX_SECRET,
    REDIS_SECRET,
    REGISTRY_EVENTS_SECRET,
    REGISTRY_HTTP_SECRET,
    RETIRED_LICENSE_KEYS,
    SEALING_KEY,
    SERVICE_KEYS,
    TOKEN_ROOT_CERTIFICATE,
    TOKEN_ROOT_KEY,
)
from authsvc.keys.files import create, load_ec_key, new_key_pem, read
from authsvc.keys.service_key_files import (
    TOKEN_KEY_BYTES,
    load_license_signing_key,
    load_license_token_key,
    load_sealing_keys,
    new_hex_key,
    parse_hex_key,
)
from authsvc.private_file import private_directory
from authsvc.signing.root import create_root


def create_missing(directory: Path, now: datetime, *, service_keys: bool = True) -> tuple[str, ...]:
    """Check every existing secret and create the missing ones.

    Args:
        directory: created with mode 0700 when missing.
        now: the time of creation, aware.
        service_keys: whether the keys of the key service are here too.

    Returns:
        The names of the new files.

    Raises:
        SecretsRefused: the directory cannot be written, or a file in it is unusable; nothing is written then.
    """
    try:
        made = [folder for folder in (directory, *directory.parents) if not folder.exists()]
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in reversed(made):
            sync_folder(folder.parent)
    except OSError as error:
        raise SecretsRefused(f"cannot make the secrets directory {directory}: {error.strerror}") from error
    check_present(directory, service_keys=service_keys)
    # The root of this installation is kept offline: a new key would not match the registry's bundle.
    offline = root_is_offline(directory)
    created = [
        name
        for name, make in (
            *(() if offline else ((TOKEN_ROOT_KEY, new_key_pem),)),
            *(
                ((LICENSE_SIGNING_KEY, new_key_pem), (LICENSE_TOKEN_KEY, new_hex_key), (SEALING_KEY, new_hex_key))
                if service_keys
                else ()
            ),
            (REGISTRY_HTTP_SECRET, new_hex_key),
            (REGISTRY_EVENTS_SECRET, new_hex_key),
            (NGINX_SECRET, new_hex_key),
        )
        if create(directory / name, make)
    ]
    if not offline:
        created += _create_root(directory, now)
    check_present(directory, service_keys=service_keys)
    return tuple(created)


def missing(directory: Path, *, service_keys: bool = True) -> tuple[str, ...]:
    """Return the names of the files that :func:`create_missing` would create."""
    names = [
        *((LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY) if service_keys else ()),
        *(REGISTRY_HTTP_SECRET, REGISTRY_EVENTS_SECRET, NGINX_SECRET),
    ]
    if not root_is_offline(directory):
        names = [TOKEN_ROOT_KEY, *names, TOKEN_ROOT_CERTIFICATE]
    return tuple(name for name in names if not os.path.lexists(directory / name))


def check_present(directory: Path, *, service_keys: bool = True) -> None:
    """Check every secret in the directory; a missing one is not an error.

    Args:
        directory: the secrets directory.
        service_keys: whether the keys of the key service are in it too. Otherwise a symbolic link in place of a key
            marks that it was moved (:func:`authsvc.setup.key_handover.leave_link`).

    Raises:
        SecretsRefused: the directory or a file is owned by another user, accessible to others, weak or damaged.
    """
    try:
        with private_directory(directory) as folder:
            present = set(os.listdir(folder))  # noqa: PTH208  of the open descriptor
    except OSError as error:
        raise SecretsRefused(f"cannot open the secrets directory {directory}: {error.strerror}") from error
    if {TOKEN_ROOT_CERTIFICATE, TOKEN_ROOT_KEY} <= present:
        load_token_root(directory)
    checks: dict[str, Callable[[], object]] = {
        TOKEN_ROOT_KEY: lambda: load_ec_key(directory / TOKEN_ROOT_KEY),
        TOKEN_ROOT_CERTIFICATE: lambda: load_roots(directory),
        NEXT_ROOT_KEY: lambda: load_ec_key(directory / NEXT_ROOT_KEY),
        LICENSE_SIGNING_KEY: lambda: load_license_signing_key(directory),
        RETIRED_LICENSE_KEYS: lambda: read(directory / RETIRED_LICENSE_KEYS),
        LICENSE_TOKEN_KEY: lambda: load_license_token_key(directory),
        SEALING_KEY: lambda: load_sealing_keys(directory),
        REGISTRY_HTTP_SECRET: lambda: registry_http_secret(directory),
        REGISTRY_EVENTS_SECRET: lambda: load_event_bearers(directory),
        NGINX_SECRET: lambda: load_nginx_secrets(directory),
        REDIS_SECRET: lambda: _long_enough(directory / REDIS_SECRET),
    }
    if not service_keys:
        present -= {name for name in SERVICE_KEYS if (directory / name).is_symlink()}
    for name, check in checks.items():
        if name in present:
            check()


def load_token_root(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Return the root certificate and its key.

    Raises:
        SecretsRefused: missing, readable by others, not P-256, or the two do not belong together.
    """
    key = load_ec_key(directory / TOKEN_ROOT_KEY)
    for certificate in load_roots(directory):
        if certificate.public_key() == key.public_key():
            return certificate, key
    raise SecretsRefused(f"{directory / TOKEN_ROOT_CERTIFICATE} belongs to another key than {TOKEN_ROOT_KEY} beside it")


def load_roots(directory: Path) -> list[x509.Certificate]:
    """Return every root certificate that the registry trusts; more than one while a root is replaced.

    Raises:
        SecretsRefused: missing, readable by others, or not self-signed P-256 certificates.
    """
    path = directory / TOKEN_ROOT_CERTIFICATE
    try:
        certificates = x509.load_pem_x509_certificates(read(path))
    except ValueError as error:
        raise SecretsRefused(f"{path} is not a PEM certificate") from error
    for certificate in certificates:
        try:
            certificate.verify_directly_issued_by(certificate)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise SecretsRefused(f"{path} is not a self-signed certificate") from error
    return certificates


def root_is_offline(directory: Path) -> bool:
    """Whether the root certificate is in the directory, but its key is not."""
    return (directory / TOKEN_ROOT_CERTIFICATE).exists() and not (directory / TOKEN_ROOT_KEY).exists()


def load_next_root(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """Return the prepared root with its key, or None.

    Raises:
        SecretsRefused: it is unusable.
    """
    path = directory / NEXT_ROOT_KEY
    if not path.exists():
        return None
    key = load_ec_key(path)
    found = [root for root in load_roots(directory) if root.public_key() == key.public_key()]
    return (found[0], key) if found else None


def registry_http_secret(directory: Path) -> str:
    """Return the secret with which the registry signs the state of uploads.

    Raises:
        SecretsRefused: it is missing, readable by others, owned by another user, not ASCII or too short.
    """
    path = directory / REGISTRY_HTTP_SECRET
    try:
        return _long_enough(path).decode("ascii")
    except ValueError as error:
        raise SecretsRefused(f"{path} must hold ASCII characters only") from error


def load_event_bearers(directory: Path) -> tuple[str, ...]:
    """Return the bearers of the registry's notifications: it sends the first one, and authsvc accepts all of them.

    Raises:
        SecretsRefused: they are missing, readable by others, owned by another user, or not lines of 64 hexadecimal
            digits.
    """
    return _hex_lines(directory / REGISTRY_EVENTS_SECRET)


def load_nginx_secrets(directory: Path) -> tuple[str, ...]:
    """Return the secrets of nginx for pulls of linked registries: nginx sends the first, authsvc accepts all of them.

    Raises:
        SecretsRefused: they are missing, readable by others, owned by another user, or not lines of 64 hexadecimal
            digits.
    """
    return _hex_lines(directory / NGINX_SECRET)


def _hex_lines(path: Path) -> tuple[str, ...]:
    found = tuple(parse_hex_key(line, path).hex() for line in read(path).split())
    if not found:
        raise SecretsRefused(f"{path} is empty; remove it to have a new one made")
    return found


def redis_secret(directory: Path) -> bytes:
    """Return the secret from which the passwords of a redis in its own container are derived; create it when missing.

    Raises:
        SecretsRefused: it cannot be written, is readable by others, owned by another user or too short.
    """
    path = directory / REDIS_SECRET
    create(path, new_hex_key)
    return _long_enough(path)


def _long_enough(path: Path) -> bytes:
    secret = read(path).strip()
    if len(secret) < TOKEN_KEY_BYTES:
        raise SecretsRefused(f"{path} is shorter than {TOKEN_KEY_BYTES} characters")
    return secret


def _create_root(directory: Path, now: datetime) -> list[str]:
    key = load_ec_key(directory / TOKEN_ROOT_KEY)

    def new_root() -> bytes:
        return create_root(key, serial=secrets.randbits(158) | 1, now=now).public_bytes(Encoding.PEM)

    return [TOKEN_ROOT_CERTIFICATE] if create(directory / TOKEN_ROOT_CERTIFICATE, new_root) else []
