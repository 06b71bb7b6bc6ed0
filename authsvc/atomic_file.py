"""Writing a file whole or not at all: into a draft beside it, which then takes its name in one step.

Everything that writes a file in one piece does it here (tests/test_architecture.py), the server, the command line and
the license holder's tools, so: standard library alone, Python 3.9.

A draft has a name that nobody can guess, ``.NAME.`` and 16 hexadecimal digits, and never another's file behind it. A
process that is killed leaves its draft; :func:`remove_leftovers` finds those.
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
"""Permissions of a new file: for its owner alone, or for every user to read. The umask can only take from them."""

_DRAFT = re.compile(r"\..+\.[0-9a-f]{16}", re.ASCII)
_LOCK_STEP = 0.02
"""Seconds between two tries to get a lock."""

_NO_LOCKS = {errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems without flock(2) answer; NFS has EBADF for folders, since it wants them open for writing."""


def replace(
    path: AnyPath,
    content: bytes | Iterable[bytes],
    *,
    mode: int = PRIVATE,
    keep_mode: bool = False,
) -> None:
    """Put ``content`` in the place of ``path``; it is on the disk, name and all, before this returns.

    A symbolic link is replaced itself, not what it points to.

    Args:
        path: of the file.
        content: all of it, whole or in parts that are written one after the other.
        mode: permissions of the file.
        keep_mode: give it the permissions and the owner of the file that was there, when one was.

    Raises:
        OSError: it cannot be written; what was there is still there.
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
    """Write ``content`` to ``path`` unless something has that name; return whether it was written.

    Two processes that create one file at once agree on one content.

    Args:
        path: of the file.
        content: all of it.
        mode: permissions of the file.
        sync: have it on the disk before this returns; without, a power cut may lose it or leave it empty.

    Raises:
        OSError: it cannot be written.
    """
    if os.path.lexists(path):
        return False
    with _draft(path, content, mode, sync=sync) as draft:
        try:
            # Unlike a renaming, a link fails when the name was taken meanwhile.
            os.link(draft, path)
        except FileExistsError:
            return False
    if sync:
        sync_folder(os.path.dirname(path))
    return True


def write_output(path: AnyPath, content: bytes, *, mode: int) -> None:
    """Write what a person asked for to the file that they named, which may be a link, a pipe or a device.

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
    """Put the file ``old`` in the place of ``new``, which is on the same file system.

    Raises:
        OSError: it cannot be done.
    """
    os.replace(old, new)
    sync_folder(os.path.dirname(new))


def give_second_name(path: AnyPath, other: AnyPath) -> None:
    """Give the file ``path`` the name ``other`` besides, on the same file system: it stays when the first one goes.

    Raises:
        OSError: it cannot be done.
    """
    os.link(path, other)
    sync_folder(os.path.dirname(other))


def sync_folder(folder: AnyPath) -> None:
    """Have the names in ``folder`` on the disk.

    Raises:
        OSError: the disk refuses.
    """
    descriptor = os.open(folder or os.curdir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folders: Iterable[AnyPath], seconds: float) -> Iterator[None]:
    """Hold some folders for a change that reads files before it writes them; a process that ends releases them.

    The folders themselves are locked (flock(2)), so that no lock file is left in them. Where the file system has no
    such locks there is none.

    Args:
        folders: that exist.
        seconds: to wait for others at most.

    Raises:
        TimeoutError: another process held one of them all the time.
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
    """Remove the drafts that processes left in ``folder`` when they were killed; those being written stay.

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
            _lock(descriptor)  # says that it is being written
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
    """Lock an open file or folder; return whether nobody else holds it."""
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
