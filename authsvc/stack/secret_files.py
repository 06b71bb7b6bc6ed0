"""Files with secrets: whole or not at all, and for their owner alone.

Rule 1: a file is 0600 and its directory 0700, or it is refused.
Rule 2: a file is written whole under another name and then put in place, so a crash leaves nothing half-written; what
was put in place is on the disk, name and all, before anybody hears of it.
"""

import errno
import fcntl
import os
import secrets
import stat
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

from authsvc.errors import Conflict, SecretsRefused

LOCK = ".changing"


def new_key_pem() -> bytes:
    """Return a new P-256 private key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return ``key`` as PEM SubjectPublicKeyInfo."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_ec_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key in ``path``.

    Raises:
        SecretsRefused: missing, readable by others, or another kind of key.
    """
    try:
        key = load_pem_private_key(read(path), password=None)
    except (ValueError, TypeError) as error:
        raise SecretsRefused(f"{path} is not an unencrypted PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SecretsRefused(f"{path} must be a P-256 (ES256) key; remove it to have a new one made")
    return key


def create(path: Path, make: Callable[[], bytes]) -> bool:
    """Write ``make()`` to ``path`` unless it exists; return whether it was written.

    Two who create at once agree on one content.

    Raises:
        SecretsRefused: it can not be written.
    """
    if path.exists():
        return False
    try:
        draft = _draft(path, make())
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise SecretsRefused(f"can not write {path}: {error.strerror}") from error
    return True


def replace(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of ``path``.

    Raises:
        SecretsRefused: it can not be written.
    """
    try:
        _draft(path, content).replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise SecretsRefused(f"can not write {path}: {error.strerror}") from error


def move(old: Path, new: Path) -> None:
    """Put the file ``old`` in the place of ``new``.

    Raises:
        SecretsRefused: it can not be done.
    """
    try:
        old.replace(new)
        sync_folder(new.parent)
    except OSError as error:
        raise SecretsRefused(f"can not replace {new}: {error.strerror}") from error


@contextmanager
def changing(directory: Path) -> Iterator[None]:
    """Hold a secrets directory for one change of keys.

    Raises:
        Conflict: somebody else is changing keys in it.
        SecretsRefused: it can not be written.
    """
    try:
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.EROFS:
            raise SecretsRefused(
                f"keys can not be written here: {directory} is read-only. With compose.yaml: "
                "docker compose run --rm keys, instead of: docker compose exec authsvc authsvc keys"
            ) from error
        raise SecretsRefused(f"can not write {directory}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Conflict(f"somebody else is changing keys in {directory}; try again when that is done") from error
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """Return the content of ``path``.

    Raises:
        SecretsRefused: missing, readable by others, or not readable by us.
    """
    try:
        refuse_open(path, "file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise SecretsRefused(f"{path} is missing; `authsvc init` makes it") from error
    except OSError as error:
        raise SecretsRefused(f"can not read {path}: {error.strerror}") from error


def refuse_open(path: Path, kind: str) -> None:
    """Refuse a file or directory that others may read.

    Raises:
        SecretsRefused: they may.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        right = "700" if kind == "directory" else "600"
        raise SecretsRefused(f"the {kind} {path} is open to others (mode {mode:04o}); run: chmod {right} {path}")


def sync_folder(folder: Path) -> None:
    """Have the names in ``folder`` on the disk.

    Raises:
        OSError: the disk refuses.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft
