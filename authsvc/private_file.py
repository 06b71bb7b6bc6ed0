"""Reads files and directories that no other user may read or change; permissions are checked on the open descriptor.

The file that is checked is the one that is read: it is opened first, and its owner, mode and type are taken from the
descriptor (fstat(2)), so that a file that is replaced in between is never read unchecked.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from authsvc.errors import SecretsRefused, SetupRefused

MAX_BYTES = 1024 * 1024
"""Most bytes of a file that is read; keys and settings are far shorter."""

_OTHERS_READ, _OTHERS_WRITE = 0o077, 0o022
_ROOT = 0


def read_secret(path: Path) -> bytes:
    """Return the content of a file of this user that no other user may read.

    Raises:
        SecretsRefused: it is a symbolic link, not a regular file, too long, or another user owns it or may read it.
        OSError: it cannot be opened or read.
    """
    return _read_secret(path, os.fspath(path), None)


def read_secret_in(directory: Path, name: str) -> bytes:
    """Return the content of a secret file in a directory, both of this user and closed to others.

    Raises:
        SecretsRefused: as :func:`read_secret`, of the file or of the directory.
        OSError: one of them cannot be opened or read.
    """
    with private_directory(directory) as folder:
        return _read_secret(directory / name, name, folder)


@contextmanager
def private_directory(path: Path) -> Iterator[int]:
    """Yield the descriptor of a directory of this user that no other user may enter.

    Raises:
        SecretsRefused: it is a symbolic link or not a directory, or another user owns it or may enter it.
        OSError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():  # with O_DIRECTORY, Linux returns ENOTDIR instead of ELOOP
            raise _symlink(path) from error
        if error.errno == errno.ENOTDIR:
            raise SecretsRefused(f"{path} is not a directory") from error
        raise
    try:
        _check_secret(os.fstat(descriptor), path, "directory")
        yield descriptor
    finally:
        os.close(descriptor)


def read_trusted(path: Path) -> bytes:
    """Return the content of a file that only its owner may change; others may read it.

    For settings, and for secrets that a platform mounts: those are readable inside the container, are symbolic links
    (Kubernetes), and belong to root or keep the owner that they have on the host (file-backed secrets of compose). So
    the owner is checked only for root, for whom a file of another user would be an escalation.

    Raises:
        SetupRefused: it is not a regular file, is too long, others may write to it, or we are root and it is not ours.
        OSError: it cannot be opened or read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SetupRefused(f"{path} is not a regular file")
        if os.geteuid() == _ROOT != status.st_uid:
            raise SetupRefused(
                f"{path} belongs to another user (uid {status.st_uid}), who could change it, and this process runs as "
                f"root; run: chown root {path}"
            )
        if status.st_mode & _OTHERS_WRITE:
            raise SetupRefused(
                f"others may write to {path} (mode {stat.S_IMODE(status.st_mode):04o}); run: chmod go-w {path}"
            )
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise SetupRefused(f"{path} is longer than {MAX_BYTES} bytes")
    return content


def _read_secret(path: Path, name: str, folder: int | None) -> bytes:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _symlink(path) from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SecretsRefused(f"{path} is not a regular file")
        _check_secret(status, path, "file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise SecretsRefused(f"{path} is longer than {MAX_BYTES} bytes")
    return content


def _check_secret(status: os.stat_result, path: Path, kind: str) -> None:
    if status.st_uid != os.geteuid():
        raise SecretsRefused(
            f"the {kind} {path} belongs to another user (uid {status.st_uid}, and this process runs as uid "
            f"{os.geteuid()}); run it as the user who owns the keys"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS_READ:
        right = "700" if kind == "directory" else "600"
        raise SecretsRefused(f"the {kind} {path} is open to others (mode {mode:04o}); run: chmod {right} {path}")


def _symlink(path: Path) -> SecretsRefused:
    return SecretsRefused(f"{path} is a symbolic link, which is not followed; put what it names in its place")
