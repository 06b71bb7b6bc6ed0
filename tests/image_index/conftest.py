"""An empty registry and an empty Redis for each test."""

from collections.abc import AsyncIterator

import pytest

from tests.image_index.world import World, world_between
from tests.support.real_registry import INSTALLED, running
from tests.support.redis_server import connected


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Yield an index between a real registry and a real Redis."""
    with running(INSTALLED) as registry:
        async with connected("--appendfsync", "no") as connection, world_between(connection, registry) as made:
            yield made
