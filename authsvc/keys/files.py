"""Files with secrets: written atomically, and accessible only to their owner.

Rule 1: a file is 0600, its directory 0700, and both belong to the user who reads them, or they are refused.
Rule 2: a file is written under another name and then renamed, so a crash leaves nothing half-written; content and name
are on the disk before the change is reported.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from authsvc import atomic_file
from authsvc.errors import Conflict, SecretsRefused
from authsvc.keys.file_names import CHANGING
from authsvc.private_file import private_directory, read_secret, read_secret_in


def new_key_pem() -> bytes:
    """Return a new P-256 private key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return ``key`` as PEM SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_ec_key(path: Path, read_file: Callable[[Path], bytes] | None = None) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key in ``path``, read with :func:`read` unless ``read_file`` is given.

    Raises:
        SecretsRefused: it is missing, readable by others, owned by another user, or not a P-256 key.
    """
    try:
        key = load_pem_private_key((read_file or read)(path), password=None)
    except (ValueError, TypeError) as error:
        raise SecretsRefused(f"{path} is not an unencrypted PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SecretsRefused(f"{path} must be a P-256 (ES256) key; remove it to have a new one made")
    return key


def create(path: Path, make: Callable[[], bytes]) -> bool:
    """Write ``make()`` to ``path`` unless it exists; return whether it was written.

    When two processes create it at the same time, one of them wins, and the content is that one's.

    Raises:
        SecretsRefused: it cannot be written.
    """
    try:
        return not path.exists() and atomic_file.create(path, make())
    except OSError as error:
        raise SecretsRefused(f"cannot write {path}: {error.strerror}") from error


def replace(path: Path, content: bytes) -> None:
    """Replace the file ``path`` by ``content``.

    Raises:
        SecretsRefused: it cannot be written.
    """
    try:
        atomic_file.replace(path, content)
    except OSError as error:
        raise SecretsRefused(f"cannot write {path}: {error.strerror}") from error


def move(old: Path, new: Path) -> None:
    """Rename the file ``old`` to ``new``, replacing it.

    Raises:
        SecretsRefused: it cannot be done.
    """
    try:
        atomic_file.move(old, new)
    except OSError as error:
        raise SecretsRefused(f"cannot replace {new}: {error.strerror}") from error


@contextmanager
def changing(directory: Path) -> Iterator[None]:
    """Lock a secrets directory for one change of keys.

    Raises:
        Conflict: another process is changing keys in it.
        SecretsRefused: it cannot be written, or other users may read it.
    """
    try:
        with private_directory(directory) as folder:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(CHANGING, flags, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.EROFS:
            raise SecretsRefused(
                f"keys cannot be written here: {directory} is read-only", code="keys_read_only"
            ) from error
        raise SecretsRefused(f"cannot write {directory}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(
            f"another process is changing keys in {directory}; try again when that is done", code="keys_locked"
        ) from error
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """Return the content of a file in a secrets directory.

    Raises:
        SecretsRefused: it is missing, or it or its directory is readable by others, owned by another user, or not
            readable.
    """
    return _read(path, lambda: read_secret_in(path.parent, path.name))


def read_outside(path: Path) -> bytes:
    """Return the content of a secret file whose directory may be open to others.

    Raises:
        SecretsRefused: it is missing, readable by others, owned by another user, or not readable.
    """
    return _read(path, lambda: read_secret(path))


def _read(path: Path, opened: Callable[[], bytes]) -> bytes:
    try:
        return opened()
    except FileNotFoundError as error:
        raise SecretsRefused(f"{path} is missing", code="secret_missing") from error
    except OSError as error:
        raise SecretsRefused(f"cannot read {path}: {error.strerror}") from error
