"""A world of webhooks for each test, and senders in a hurry."""

from collections.abc import AsyncIterator, Iterator

import pytest

from authsvc.webhook_sender import sender as sending
from tests.support.redis_server import connected
from tests.support.upstream_stub import StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.webhook_sender.world import ACCEPTED, World


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> UpstreamAuthority:
    """Return an authority that senders trust."""
    return UpstreamAuthority.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def receiver(authority: UpstreamAuthority) -> Iterator[StubUpstream]:
    """Run a receiver that accepts everything under ``/hook``."""
    tls = authority.issue("localhost", "127.0.0.1", "hooks.example.com").server_context()
    with StubUpstream(tls=tls, answers={"/hook": ACCEPTED}) as running:
        yield running


@pytest.fixture
async def world(authority: UpstreamAuthority) -> AsyncIterator[World]:
    """Yield an installation without webhooks; its Redis does not wait for the disk."""
    async with connected("--appendfsync", "no") as connection:
        yield World(connection, authority)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that waits wait less."""
    for name, seconds in (("LOOK_EVERY", 0.1), ("SEND_EVERY", 0.03), ("MEASURE_EVERY", 0.1)):
        monkeypatch.setattr(sending, name, seconds)
