"""The portal of an installation with one team, two apps and a person of every role."""

from collections.abc import AsyncIterator

import pytest

from tests.manage.conftest import cheap_hashes, connection, server
from tests.support.installation import Installation
from tests.support.portal_server import PortalServer, portal_server
from tests.web.api.conftest import house, people, saved

__all__ = ["cheap_hashes", "connection", "house", "people", "saved", "server"]


@pytest.fixture
async def portal(house: Installation) -> AsyncIterator[PortalServer]:
    """Yield a running portal."""
    async with portal_server(house) as running:
        yield running
