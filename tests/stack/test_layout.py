"""The data directory: one holder, and files that are written whole."""

import os
from pathlib import Path

import pytest

from authsvc.errors import SetupRefused
from authsvc.stack.layout import Layout, held, write_file


def test_one_holder_at_a_time(layout: Layout) -> None:
    """A second holder is refused and told who holds; the end of the first frees the directory."""
    with held(layout):
        with (
            pytest.raises(SetupRefused, match=rf"another `authsvc up` \(pid {os.getpid()}\) is running"),
            held(layout),
        ):
            pytest.fail("held twice")
        with pytest.raises(SetupRefused, match=rf"pid {os.getpid()}"), held(layout):
            pytest.fail("held twice")

    with held(layout):
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
