"""How property tests run, and the one stack that the tests of a process share."""

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


FIRST_USE = 150
"""Seconds for a test that may be the one that has to start the stack, on a busy machine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests on the shared stack the time that its start takes."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(FIRST_USE))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Return a running stack with default settings; whoever uses it makes teams and apps of its own."""
    with running_stack() as running:
        yield running
