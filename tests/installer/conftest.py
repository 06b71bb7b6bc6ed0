"""A customer's machine: a home of its own and the two tools."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.license_files import put_keys
from tests.support.stack import GOOD_PATH, Ran, run

BIN = Path(sys.executable).parent

Tool = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def vendor_key(home: Path) -> Path:
    """Keep the vendor's key in the home, bound to no registry, and return where."""
    return put_keys(home / ".config/authsvc/keys/vendor.json", registry=None)


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    """Return an environment with the tools on PATH and nothing of the tester's own."""
    return {"PATH": os.pathsep.join((str(BIN), GOOD_PATH)), "HOME": str(home), "LANG": "C.UTF-8"}


@pytest.fixture
def helper(environ: dict[str, str], home: Path) -> Tool:
    """Return a way to call the credential helper."""

    def call(*words: str, stdin: str | bytes = "", **more: str) -> Ran:
        return run(str(BIN / "docker-credential-authsvc"), *words, environ={**environ, **more}, cwd=home, stdin=stdin)

    return call


@pytest.fixture
def tool(environ: dict[str, str], home: Path) -> Tool:
    """Return a way to call ``authsvc-license``."""

    def call(*words: str | Path, stdin: str | bytes = "", **more: str) -> Ran:
        argv = (str(BIN / "authsvc-license"), *map(str, words))
        return run(*argv, environ={**environ, **more}, cwd=home, stdin=stdin)

    return call
