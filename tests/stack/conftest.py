"""Folders and ports for tests that run real servers."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from authsvc.stack.data_dir import prepare
from authsvc.stack.layout import Layout
from tests.support import stack


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return an empty folder with a short path (a socket must fit in 107 bytes) that has a space in it."""
    made = Path(tempfile.mkdtemp(prefix="asv "))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def layout(folder: Path) -> Layout:
    """Return a prepared data directory."""
    return prepare(folder / "data")


@pytest.fixture
def free_port() -> int:
    """Return a port that nobody listens on, on either loopback address."""
    return stack.free_port()
