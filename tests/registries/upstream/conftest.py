"""An authority, and a good registry that it vouches for."""

from collections.abc import Iterator

import pytest

from tests.support.upstream_stub import StubUpstream
from tests.support.upstream_tls import UpstreamAuthority

PUBLIC = "registry.example.com"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> UpstreamAuthority:
    """Return an authority that the client trusts."""
    return UpstreamAuthority.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def stub(authority: UpstreamAuthority) -> Iterator[StubUpstream]:
    """Run a good registry."""
    with StubUpstream(tls=authority.issue("localhost", "127.0.0.1", PUBLIC).server_context()) as running:
        yield running
