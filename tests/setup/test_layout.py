"""The data directory: one holder, and files that are written whole."""

import os
from pathlib import Path

import pytest

from authsvc.errors import SetupRefused
from authsvc.setup.layout import Layout, locked, write_file


def test_one_holder_at_a_time(layout: Layout) -> None:
    """A second holder is refused and told who holds; the end of the first frees the directory."""
    with locked(layout):
        with (
            pytest.raises(SetupRefused, match=rf"another authsvc \(pid {os.getpid()}\) is running"),
            locked(layout),
        ):
            pytest.fail("held twice")
        with pytest.raises(SetupRefused, match=rf"pid {os.getpid()}"), locked(layout):
            pytest.fail("held twice")

    with locked(layout):
        pass


def test_write_file(folder: Path) -> None:
    """A file is written privately, once, and again when its text or mode has changed."""
    path = folder / "file"

    assert write_file(path, "a")
    assert not write_file(path, "a")
    assert write_file(path, "b")
    path.chmod(0o644)
    assert write_file(path, "b")

    assert (path.read_text(), path.stat().st_mode & 0o777) == ("b", 0o600)
    assert [path] == list(folder.iterdir())
