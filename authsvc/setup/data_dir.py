"""The data directory on the disk: recognised by its marker, made private, and never taken from another user or program.

Rule 1: a directory is used if it is empty or has our marker. Others are refused and not changed: with ``--data-dir
/var`` its mode would become 0700. Directories of versions without a marker are recognised by files that only we write.
Rule 2: it must not contain symbolic links or files of other users, which is checked on open descriptors.
"""

import errno
import os
import stat
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from authsvc.counts import counted
from authsvc.errors import SetupRefused
from authsvc.keys.file_names import CHANGING, LICENSE_SIGNING_KEY, TOKEN_ROOT_CERTIFICATE
from authsvc.private_file import read_trusted
from authsvc.setup.layout import FOLDERS, Layout

MARKER = ".authsvc-data"
_MARKER_TEXT = "This directory belongs to authsvc, which makes it private and overwrites files in it.\n"

_MAX_SOCKET_PATH = 107
"""Bytes that fit into ``sun_path`` before the final NUL; redis would silently truncate a longer one."""

_OF_FILE_SYSTEMS = frozenset({"lost+found"})
"""Entries of an empty file system."""

_RENDERED_KEYS = frozenset({"public_url", "redis_url", "registry_url", "secrets_dir"})
"""A line that every version has written into config/authsvc.toml."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OTHERS_WRITE = 0o002


def prepare(directory: Path) -> Layout:
    """Create the data directory and its folders, each with mode 0700, with a marker.

    Raises:
        SetupRefused: the path cannot be used for this; the sentence says why, and nothing was changed.
    """
    layout = Layout(Path(os.path.abspath(directory)))  # noqa: PTH100  a symlink stays: it may be what keeps the path short
    _check_name(layout)
    _make_root(layout.root)
    with _opened(layout.root, "the data directory") as root:
        _refuse_foreign(layout, root)
        present = [name for name in FOLDERS if _check_folder(layout, root, name)]
        os.fchmod(root, 0o700)
        mark(root)
        for name in FOLDERS:
            if name not in present:
                os.mkdir(name, 0o700, dir_fd=root)
            folder = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
            try:
                os.fchmod(folder, 0o700)
            finally:
                os.close(folder)
    return layout


def recognise(directory: Path) -> Layout:
    """Return the paths in a data directory that was prepared before, for commands that change nothing in its form.

    Raises:
        SetupRefused: it is not a data directory, or it is owned by another user.
    """
    layout = Layout(Path(os.path.abspath(directory)))  # noqa: PTH100  as above
    with _opened(layout.root, "the data directory") as root:
        if not _is_ours(layout, root):
            raise SetupRefused(f"{layout.root} is not a data directory of authsvc")
        for name in FOLDERS:
            _check_folder(layout, root, name)
    return layout


def check(directory: Path) -> Layout:
    """Return the paths in a directory that :func:`prepare` would accept, and change nothing.

    Raises:
        SetupRefused: as :func:`prepare`.
    """
    layout = Layout(Path(os.path.abspath(directory)))  # noqa: PTH100  as above
    _check_name(layout)
    above = layout.root
    while not os.path.lexists(above):
        above = above.parent
    if above != layout.root:
        if not above.is_dir():
            raise SetupRefused(f"the data directory {layout.root} cannot be made: a part of its path is a file")
        if not os.access(above, os.W_OK | os.X_OK):
            raise SetupRefused(f"the data directory {layout.root} cannot be made: Permission denied")
        return layout
    with _opened(layout.root, "the data directory") as root:
        _refuse_foreign(layout, root)
        for name in FOLDERS:
            _check_folder(layout, root, name)
    return layout


def check_volume(path: Path, names: Iterable[str]) -> None:
    """Refuse a volume of compose that has a file in it which is not ours.

    Args:
        path: where it is mounted.
        names: of the files that ``init`` writes there, by which a volume without a marker is recognised.

    Raises:
        SetupRefused: it is not a directory, is owned by another user, or has other files in it and no marker.
    """
    with _opened(path, "the volume") as volume:
        if _has_marker(volume):
            return
        known = frozenset(names)
        for name in sorted(set(os.listdir(volume)) - _OF_FILE_SYSTEMS):  # noqa: PTH208  of the open descriptor
            # A draft that was left by a crash is called .NAME.something.
            if name not in known and name.removeprefix(".").rpartition(".")[0] not in known and name != CHANGING:
                raise SetupRefused(f"the volume at {path} holds {name[:80]!r}, which is not a file of authsvc")
            status = os.stat(name, dir_fd=volume, follow_symlinks=False)
            if not _is_our_file(status):
                raise SetupRefused(f"{path / name} is not a file of authsvc: it is a link, or another user's")


def mark_volume(path: Path) -> None:
    """Put the marker in a volume that :func:`check_volume` has accepted."""
    with _opened(path, "the volume") as volume:
        mark(volume)


def mark(directory: int) -> None:
    """Put the marker in an open directory."""
    with suppress(FileExistsError):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(MARKER, flags, 0o600, dir_fd=directory)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(_MARKER_TEXT)


def _check_name(layout: Layout) -> None:
    if not str(layout.root).isprintable():
        raise SetupRefused(
            f"the data directory {str(layout.root)!r} has control characters in its name; choose another"
        )
    longest = len(os.fsencode(layout.registry_socket))
    if longest > _MAX_SOCKET_PATH:
        raise SetupRefused(
            f"the data directory {layout.root} is {counted(longest - _MAX_SOCKET_PATH, 'byte')} too long: its sockets "
            f"must have names of at most {_MAX_SOCKET_PATH} bytes; choose a shorter --data-dir"
        )


def _make_root(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise SetupRefused(f"the data directory {path} is a file; choose another --data-dir") from error
    except NotADirectoryError as error:
        raise SetupRefused(f"the data directory {path} cannot be made: a part of its path is a file") from error
    except OSError as error:
        raise SetupRefused(f"the data directory {path} cannot be made: {error.strerror}") from error


@contextmanager
def _opened(path: Path, what: str) -> Iterator[int]:
    """Yield the descriptor of a directory of this user.

    A symbolic link to it must also be owned by this user, since its owner decides where it leads.
    """
    try:
        link = path.lstat()
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in {0, os.geteuid()}:
            raise SetupRefused(f"{what} {path} is a symbolic link of another user (uid {link.st_uid})")
        descriptor = os.open(path, _DIRECTORY)
    except FileNotFoundError as error:
        raise SetupRefused(f"{what} {path} does not exist") from error
    except NotADirectoryError as error:
        raise SetupRefused(f"{what} {path} is a file; choose another --data-dir") from error
    except OSError as error:
        with suppress(OSError):
            _refuse_owner(path.stat(), f"{what} {path}")
        raise SetupRefused(f"{what} {path} cannot be opened: {error.strerror}") from error
    try:
        _refuse_owner(os.fstat(descriptor), f"{what} {path}")
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_owner(status: os.stat_result, what: str) -> None:
    if status.st_uid != os.geteuid():
        raise SetupRefused(
            f"{what} belongs to another user (uid {status.st_uid}, and this process runs as uid {os.geteuid()}); "
            "run it as that user, or choose another --data-dir"
        )


def _refuse_foreign(layout: Layout, root: int) -> None:
    """Refuse a directory that is used for something else: its mode would become 0700."""
    if _is_ours(layout, root):
        return
    others = sorted(set(os.listdir(root)) - _OF_FILE_SYSTEMS)
    if others:
        raise SetupRefused(
            f"{layout.root} is not empty and not a data directory of authsvc (it holds {others[0][:80]!r}); "
            "choose another --data-dir"
        )
    if os.fstat(root).st_mode & _OTHERS_WRITE:
        raise SetupRefused(f"everybody may write to {layout.root}; choose another --data-dir, such as a folder in it")


def _check_folder(layout: Layout, root: int, name: str) -> bool:
    """Refuse a folder inside that is a file, a link or owned by another user; return whether it exists."""
    path = layout.root / name
    try:
        status = os.stat(name, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return False
    what = f"a folder of the data directory {path}"
    if stat.S_ISLNK(status.st_mode):
        raise SetupRefused(f"{what} is a symbolic link, which is not followed; mount another disk there instead")
    if not stat.S_ISDIR(status.st_mode):
        raise SetupRefused(f"{what} is a file; choose another --data-dir")
    if status.st_uid != os.geteuid():
        raise SetupRefused(f"{what} belongs to another user (uid {status.st_uid}); choose another --data-dir")
    return True


def _is_ours(layout: Layout, root: int) -> bool:
    return _has_marker(root) or _is_ours_without_marker(layout, root)


def _has_marker(directory: int) -> bool:
    try:
        descriptor = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.EACCES}:
            return False
        raise
    try:
        return _is_our_file(os.fstat(descriptor))
    finally:
        os.close(descriptor)


def _is_ours_without_marker(layout: Layout, root: int) -> bool:
    """Whether a directory looks like one of an earlier version, or like one that was restored from a backup.

    That is: it has our keys, and besides them our rendered configuration or only our folders. A first start that was
    interrupted left only our folders.
    """
    names = set(os.listdir(root)) - _OF_FILE_SYSTEMS
    if names == set(FOLDERS):
        return all(_is_private_folder(os.stat(name, dir_fd=root, follow_symlinks=False)) for name in names)
    if "secrets" not in names or not all(
        _is_our_file_at(layout.secrets / name) for name in (TOKEN_ROOT_CERTIFICATE, LICENSE_SIGNING_KEY)
    ):
        return False
    return names <= set(FOLDERS) or _is_rendered(layout.config / "authsvc.toml")


def _is_rendered(path: Path) -> bool:
    try:
        return _is_our_file_at(path) and set(tomllib.loads(read_trusted(path).decode("utf-8"))) >= _RENDERED_KEYS
    except (SetupRefused, OSError, ValueError):
        return False


def _is_our_file_at(path: Path) -> bool:
    try:
        return not path.parent.is_symlink() and _is_our_file(path.lstat())
    except OSError:
        return False


def _is_our_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _is_private_folder(status: os.stat_result) -> bool:
    return (
        stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o700  # noqa: PLR2004  a file mode
    )
