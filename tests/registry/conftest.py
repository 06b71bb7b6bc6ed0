"""Real registries: Debian's and the newer one of trixie, each with our configuration."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.real_registry import INSTALLED, TRIXIE, RealRegistry, running


@pytest.fixture(scope="session", params=[INSTALLED, TRIXIE], ids=["2.8.2", "2.8.3"])
def registry(request: pytest.FixtureRequest) -> Iterator[RealRegistry]:
    """Return a running registry; one that is missing is an error, not a skip."""
    binary: Path = request.param
    with running(binary) as made:
        yield made
