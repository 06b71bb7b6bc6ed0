"""The data directory: what lies where, who may enter it, and who holds it now."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from authsvc.errors import SetupRefused

_MAX_SOCKET_PATH = 107
"""Bytes that fit in ``sun_path`` with the NUL behind them; redis would cut a longer one off silently."""

_FOLDERS = ("secrets", "config", "run", "log", "redis", "registry", "nginx")


@frozen
class Layout:
    """The paths inside one data directory."""

    root: Path
    """Absolute."""

    @property
    def secrets(self) -> Path:
        """Keys; see ``secrets_dir``."""
        return self.root / "secrets"

    @property
    def config(self) -> Path:
        """Rendered configuration."""
        return self.root / "config"

    @property
    def run(self) -> Path:
        """Sockets, process ids and addresses of the running stack."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """One log per child."""
        return self.root / "log"

    @property
    def redis(self) -> Path:
        """The system of record."""
        return self.root / "redis"

    @property
    def registry(self) -> Path:
        """The images."""
        return self.root / "registry"

    @property
    def nginx(self) -> Path:
        """Nginx's prefix and temporary files."""
        return self.root / "nginx"

    @property
    def redis_socket(self) -> Path:
        """Where redis listens."""
        return self.run / "redis.sock"

    @property
    def registry_socket(self) -> Path:
        """Where the registry listens."""
        return self.run / "registry.sock"

    @property
    def edge_address(self) -> Path:
        """A file with HOST:PORT of authsvc's edge listener, for measuring without nginx."""
        return self.run / "edge-address"

    @property
    def inside_address(self) -> Path:
        """A file with HOST:PORT of authsvc's inside listener."""
        return self.run / "inside-address"

    @property
    def story_told(self) -> Path:
        """Exists once the first start has said what to type next."""
        return self.config / "story-told"


def prepare(directory: Path) -> Layout:
    """Make the data directory and its folders, each 0700.

    Raises:
        SetupRefused: the path can not be used for this; the sentence says why.
    """
    layout = Layout(Path(os.path.abspath(directory)))  # noqa: PTH100  a symlink stays: it may be what keeps the path short
    if not str(layout.root).isprintable():
        raise SetupRefused(
            f"the data directory {str(layout.root)!r} has control characters in its name; choose another"
        )
    longest = len(os.fsencode(layout.registry_socket))
    if longest > _MAX_SOCKET_PATH:
        raise SetupRefused(
            f"the data directory {layout.root} is {longest - _MAX_SOCKET_PATH} bytes too long: its sockets "
            f"must have names of at most {_MAX_SOCKET_PATH} bytes; choose a shorter --data-dir"
        )
    _make(layout.root, "the data directory")
    if not any((layout.root / name).is_dir() for name in _FOLDERS):
        _refuse_foreign(layout.root)
    layout.root.chmod(0o700)
    for name in _FOLDERS:
        _make(layout.root / name, "a folder of the data directory")
        (layout.root / name).chmod(0o700)
    return layout


def was_used(directory: Path) -> bool:
    """Return whether an earlier run may have left something in the directory; False also where one may not look."""
    return os.path.isdir(directory / "run")  # noqa: PTH112  Path.is_dir raises on a forbidden parent


@contextmanager
def held(layout: Layout) -> Iterator[None]:
    """Hold the data directory for this process, until the block ends or the process dies.

    Raises:
        SetupRefused: another process holds it.
    """
    path = layout.run / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            raise SetupRefused(
                f"another `authsvc up` (pid {holder}) is running on {layout.root}; stop it first, "
                "or choose another --data-dir"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def write_file(path: Path, text: str) -> bool:
    """Write ``text`` whole or not at all, readable by the owner alone; return whether the file changed."""
    content = text.encode()
    try:
        if path.read_bytes() == content and stat.S_IMODE(path.stat().st_mode) == 0o600:  # noqa: PLR2004  a file mode
            return False
    except FileNotFoundError:
        pass
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return True


def _make(path: Path, what: str) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.stat().st_uid
    except FileExistsError as error:
        raise SetupRefused(f"{what} {path} is a file; choose another --data-dir") from error
    except NotADirectoryError as error:
        raise SetupRefused(f"{what} {path} can not be made: a part of its path is a file") from error
    except OSError as error:
        raise SetupRefused(f"{what} {path} can not be made: {error.strerror}") from error
    if owner != os.geteuid() and os.geteuid() != 0:
        raise SetupRefused(f"{what} {path} belongs to another user (uid {owner}); choose another --data-dir")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise SetupRefused(f"{what} {path} is not writable; choose another --data-dir")


def _refuse_foreign(root: Path) -> None:
    """Refuse a directory that already serves something else: it would become 0700."""
    others = sorted(entry.name for entry in root.iterdir() if entry.name != "lost+found")
    if others:
        raise SetupRefused(
            f"{root} is not empty and not a data directory of authsvc (it holds {others[0]!r}); "
            "choose another --data-dir"
        )
