"""Writes files atomically: into a draft in the same folder, which is then renamed over the file in one step.

The server, the command line and the license holder's tools all write files with this module
(tests/test_architecture.py), so it uses the standard library only and runs on Python 3.9.

A draft has an unguessable name, ``.NAME.`` and 16 hexadecimal digits, and is never an existing file. A process that
is killed leaves its draft behind; :func:`remove_leftovers` removes such drafts.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from contextlib import ExitStack, contextmanager, suppress

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Union

    AnyPath = Union[str, os.PathLike[str]]  # noqa: UP007  Python 3.9 has no other

PRIVATE, PUBLIC = 0o600, 0o644
"""Permissions of a new file: readable by its owner only, or by every user. The umask can only remove permissions."""

_DRAFT = re.compile(r"\..+\.[0-9a-f]{16}", re.ASCII)
_LOCK_STEP = 0.02
"""Seconds between two attempts to get a lock."""

_NO_LOCKS = {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
"""Errors of file systems without flock(2); NFS returns EBADF for folders because it requires them open for writing."""


def replace(
    path: AnyPath,
    content: bytes | Iterable[bytes],
    *,
    mode: int = PRIVATE,
    keep_mode: bool = False,
) -> None:
    """Replace the file ``path`` by ``content``; both content and name are on the disk before this returns.

    A symbolic link itself is replaced, not its target.

    Args:
        path: of the file.
        content: all of it, in one piece or in parts that are written one after the other.
        mode: permissions of the file.
        keep_mode: give it the permissions and the owner of the file that it replaces, if there is one.

    Raises:
        OSError: it cannot be written; the previous file is unchanged.
    """
    before = _status(path) if keep_mode else None
    with _draft(path, content, mode, sync=True) as draft:
        if before is not None:
            with suppress(PermissionError):  # only root may give files away
                os.chown(draft, before.st_uid, before.st_gid)
            os.chmod(draft, stat.S_IMODE(before.st_mode))
        os.replace(draft, path)
    sync_folder(os.path.dirname(path))


def create(path: AnyPath, content: bytes, *, mode: int = PRIVATE, sync: bool = True) -> bool:
    """Write ``content`` to ``path`` unless that file exists; return whether it was written.

    When two processes create the same file at the same time, one of them wins, and the content is that one's.

    Args:
        path: of the file.
        content: all of it.
        mode: permissions of the file.
        sync: have it on the disk before this returns; without it, a power failure may lose the file or leave it empty.

    Raises:
        OSError: it cannot be written.
    """
    if os.path.lexists(path):
        return False
    with _draft(path, content, mode, sync=sync) as draft:
        try:
            # Unlike a rename, a link fails if the name has been taken meanwhile.
            os.link(draft, path)
        except FileExistsError:
            return False
    if sync:
        sync_folder(os.path.dirname(path))
    return True


def write_output(path: AnyPath, content: bytes, *, mode: int) -> None:
    """Write a command's output to the file that the user named, which may be a link, a pipe or a device.

    Raises:
        OSError: it cannot be written.
    """
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        regular = True
    if regular:
        replace(os.path.realpath(path), content, mode=mode)
        return
    with open(path, "wb") as file:
        file.write(content)


def move(old: AnyPath, new: AnyPath) -> None:
    """Rename the file ``old`` to ``new``, replacing it; both are on the same file system.

    Raises:
        OSError: it cannot be done.
    """
    os.replace(old, new)
    sync_folder(os.path.dirname(new))


def give_second_name(path: AnyPath, other: AnyPath) -> None:
    """Give the file ``path`` the second name ``other``, on the same file system; it remains when the first is removed.

    Raises:
        OSError: it cannot be done.
    """
    os.link(path, other)
    sync_folder(os.path.dirname(other))


def sync_folder(folder: AnyPath) -> None:
    """Flush the names in ``folder`` to the disk.

    Raises:
        OSError: the disk reports an error.
    """
    descriptor = os.open(folder or os.curdir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folders: Iterable[AnyPath], seconds: float) -> Iterator[None]:
    """Lock some folders for a change that reads files before it writes them; the end of the process releases the locks.

    The folders themselves are locked (flock(2)), so that no lock file is left in them. On a file system without such
    locks, nothing is locked.

    Args:
        folders: existing ones.
        seconds: longest wait for other processes.

    Raises:
        TimeoutError: another process held one of the locks all that time.
        OSError: a folder cannot be opened.
    """
    deadline = time.monotonic() + seconds
    with ExitStack() as opened:
        # Always in the same order, so that two processes do not wait for each other.
        for folder in sorted({os.path.realpath(folder) for folder in folders}):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, descriptor)
            while not _lock(descriptor):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"another process is changing files in {folder}")
                time.sleep(_LOCK_STEP)
        yield


def remove_leftovers(folder: AnyPath) -> None:
    """Remove the drafts that killed processes left in ``folder``, but not those that are still being written.

    Raises:
        OSError: the folder cannot be read, or a draft not be removed.
    """
    for name in filter(_DRAFT.fullmatch, os.listdir(folder)):
        path = os.path.join(folder, name)
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                if _lock(descriptor):
                    os.unlink(path)
            finally:
                os.close(descriptor)


@contextmanager
def _draft(path: AnyPath, content: Union[bytes, Iterable[bytes]], mode: int, *, sync: bool) -> Iterator[str]:  # noqa: UP007
    """Yield the path of a draft with the content; at the end the draft is gone, whether it was put in place or not."""
    folder, name = os.path.split(path)
    draft = os.path.join(folder, f".{name}.{os.urandom(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _lock(descriptor)  # marks it as being written
            for part in (content,) if isinstance(content, bytes) else content:
                file.write(part)
            file.flush()
            if sync:
                os.fsync(descriptor)
            yield draft
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft)


def _lock(descriptor: int) -> bool:
    """Lock an open file or folder; return whether no other process holds the lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _status(path: AnyPath) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
