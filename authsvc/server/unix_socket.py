"""Listens on a unix socket that is private before it becomes visible, and replaces an old one atomically."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from authsvc import atomic_file


@contextmanager
def unix_listener(
    path: Path, mode: int, kind: socket.SocketKind = socket.SOCK_STREAM, backlog: int = socket.SOMAXCONN
) -> Iterator[socket.socket]:
    """Yield a listening socket that does not block, and remove it at the end.

    Args:
        path: that it listens on; an existing socket is replaced.
        mode: permissions of the socket.
        kind: of the socket.
        backlog: connections that wait in the kernel.

    Raises:
        OSError: it cannot be made.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, kind) as listener:
        try:
            os.fchmod(listener.fileno(), mode)
            listener.bind(os.fspath(draft))
            draft.chmod(mode)
            listener.listen(backlog)
            listener.setblocking(False)  # noqa: FBT003  the standard library takes it by position only
            inode = draft.stat().st_ino
            atomic_file.move(draft, path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        try:
            yield listener
        finally:
            with suppress(FileNotFoundError):
                if path.lstat().st_ino == inode:  # another server may have put its own socket in its place
                    path.unlink()
