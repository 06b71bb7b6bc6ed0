"""How property tests run, and the one stack that the tests of a process share."""

import gc
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has no annotations

from authsvc.setup.data_dir import prepare
from authsvc.setup.layout import Layout
from tests.support import ports
from tests.support.stack import Stack, running_stack

COMPOSE = "tests/compose"
"""The folder with the tests of compose.yaml."""

# Without deadlines, since a busy machine would fail property tests for nothing.
# The parent is what hypothesis chose itself: on CI it draws the same examples every time.
settings.register_profile(
    "authsvc", settings.get_profile(settings.get_current_profile_name()), deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("authsvc")


def pytest_configure() -> None:
    """Heed SIGINT and SIGQUIT, also when a shell's ``&`` started the tests: every child would ignore them too."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


class SystemScheduling(LoadScopeScheduling):  # type: ignore[misc]  # same
    """Keeps the tests of a file in one process, and those of compose.yaml in one with its engine and images."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return COMPOSE if file.startswith(f"{COMPOSE}/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> SystemScheduling | None:
    """Distribute the system tests in our way, all others in that of the command line."""
    return SystemScheduling(config, log) if config.getoption("dist") == "loadscope" else None


def pytest_collection_finish() -> None:
    """Take the tests themselves out of every later collection of garbage, which otherwise goes over all of them."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def close_what_was_opened() -> Iterator[None]:
    """Find what a file of tests leaves open: a socket that is collected later fails a test that never saw it."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Return a running stack, its settings those of every test's stack; who uses it makes teams and apps of its own."""
    with running_stack() as running:
        yield running


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
    return ports.free_port()
