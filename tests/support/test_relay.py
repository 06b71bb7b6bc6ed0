"""A relay leaves nothing open behind it."""

import gc
import os
import socket
import warnings
from pathlib import Path

from tests.support.slow_store import SlowStore
from tests.support.stack import short_folder


def open_files() -> set[str]:
    """Return what this process has open."""
    found = set()
    for entry in os.scandir("/proc/self/fd"):
        try:
            found.add(f"{entry.name} {Path(entry.path).readlink()}")
        except OSError:
            continue
    return found


def test_what_was_connected_is_closed_at_the_end() -> None:
    """Connections that both sides keep, one with a reply that is held back, are closed when the relay ends."""
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as behind, warnings.catch_warnings():
        warnings.simplefilter("error")
        behind.bind(str(folder / "behind.sock"))
        behind.listen()
        before = open_files()
        with SlowStore(folder / "front.sock", folder / "behind.sock") as store:
            store.delay = 3600.0
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(folder / "front.sock"))
            client.sendall(b"question")
            server, _ = behind.accept()
            assert server.recv(100) == b"question"
            server.sendall(b"an answer that is held back")
        assert (b"", b"") == (client.recv(100), server.recv(100))
        client.close()
        server.close()
        gc.collect()
        assert before == open_files()
