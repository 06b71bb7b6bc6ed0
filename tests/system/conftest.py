"""The engine that the system tests share."""

from collections.abc import Iterator

import pytest

from tests.support.containerd import Containerd, containerd
from tests.support.docker_engine import DockerEngine, docker_engine


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """Return a running Docker Engine."""
    with docker_engine() as running:
        yield running


@pytest.fixture(scope="session")
def daemon() -> Iterator[Containerd]:
    """Return a running containerd."""
    with containerd() as running:
        yield running
