"""The engine and the stack that the system tests share."""

from collections.abc import Iterator

import pytest

from tests.support.docker_engine import DockerEngine, docker_engine
from tests.support.stack import Stack, running_stack


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    """Return a running Docker Engine."""
    with docker_engine() as running:
        yield running


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Return a running stack."""
    with running_stack() as running:
        yield running
