"""The paths in a data directory, and its lock. :mod:`authsvc.setup.data_dir` makes one."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from authsvc import atomic_file
from authsvc.errors import SetupRefused

FOLDERS = ("secrets", "config", "run", "log", "redis", "registry", "nginx")


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
    def nginx_log(self) -> Path:
        """What nginx refuses, and one line for each request."""
        return self.log / "nginx.log"

    @property
    def redis(self) -> Path:
        """The data of redis, the system of record."""
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
        """Socket on which redis listens."""
        return self.run / "redis.sock"

    @property
    def registry_socket(self) -> Path:
        """Socket on which the registry listens."""
        return self.run / "registry.sock"

    @property
    def edge_socket(self) -> Path:
        """Socket on which nginx reaches authsvc; its statement of the client's address is trusted."""
        return self.run / "edge.sock"

    @property
    def inside_socket(self) -> Path:
        """Socket for health and metrics of authsvc."""
        return self.run / "inside.sock"

    @property
    def control_socket(self) -> Path:
        """Socket for commands to serve."""
        return self.run / "serve.sock"

    @property
    def edge_address(self) -> Path:
        """A file with HOST:PORT of authsvc's edge listener, for measuring without nginx."""
        return self.run / "edge-address"

    @property
    def inside_address(self) -> Path:
        """A file with HOST:PORT on which authsvc accepts the registry's events."""
        return self.run / "inside-address"

    @property
    def collection_lock(self) -> Path:
        """Held by a garbage collection; see :mod:`authsvc.local.registry_locks`."""
        return self.run / "gc-lock"

    @property
    def writing_lock(self) -> Path:
        """Held by a registry that writes; see :mod:`authsvc.local.registry_locks`."""
        return self.run / "registry-writes-lock"

    @property
    def quickstart_shown(self) -> Path:
        """Exists once the first start has printed the next commands."""
        return self.config / "story-told"


def was_used(directory: Path) -> bool:
    """Return whether an earlier run may have left files in the directory; False also if it is not accessible."""
    return os.path.isdir(directory / "run")  # noqa: PTH112  Path.is_dir raises on a forbidden parent


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Lock the data directory for this process, until the block ends or the process dies.

    Raises:
        SetupRefused: another process holds it.
    """
    path = layout.run / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            raise SetupRefused(
                f"another authsvc (pid {holder}) is running on {layout.root}; stop it first, "
                "or choose another --data-dir"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def differs(path: Path, text: str) -> bool:
    """Return whether :func:`write_file` would change the file."""
    try:
        status = path.lstat()
        private = stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600  # noqa: PLR2004  a file mode
        return not private or status.st_uid != os.geteuid() or path.read_bytes() != text.encode()
    except FileNotFoundError:
        return True


def write_file(path: Path, text: str) -> bool:
    """Write ``text`` atomically, readable only by the owner; return whether the file changed."""
    if not differs(path, text):
        return False
    atomic_file.replace(path, text.encode())
    return True
