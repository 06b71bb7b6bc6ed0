"""How property tests run, and the one stack that the tests of a process share."""

import gc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.stack import Stack, running_stack

# Without deadlines, since a busy machine would fail property tests for nothing.
# The parent is what hypothesis chose itself: on CI it draws the same examples every time.
settings.register_profile(
    "authsvc", settings.get_profile(settings.get_current_profile_name()), deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
settings.load_profile("authsvc")


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
