"""What tests of the store share."""

from collections.abc import AsyncIterator

import pytest

from authsvc.store.connection import Connection
from tests.support.redis_server import connected


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own, which does not wait for the disk."""
    async with connected("--appendfsync", "no") as opened:
        yield opened
