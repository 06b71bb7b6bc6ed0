"""An endpoint for pulls, and a registry that is linked there."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.oci import Image
from tests.support.pull_through import PullThrough, pull_through
from tests.support.upstream_links import make_link, origin_of
from tests.support.upstream_stub import StubUpstream
from tests.support.upstream_tls import UpstreamAuthority

IMAGE = Image(b"one" * 1000)
SECRETS = {("up-1", 1): "first", ("up-2", 1): "second", ("up-1", 2): "renewed"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> UpstreamAuthority:
    """Return who vouches for every linked registry."""
    return UpstreamAuthority.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def stub(authority: UpstreamAuthority) -> Iterator[StubUpstream]:
    """Run a registry that wants a Bearer token, for two accounts."""
    with StubUpstream(
        authority.issue().server_context(), auth="bearer", users={"alice": "first", "bob": "second"}
    ) as running:
        running.put("org/image", "1.0", IMAGE)
        yield running


@pytest.fixture
async def pulls(
    folder: Path, free_port: int, authority: UpstreamAuthority, stub: StubUpstream
) -> AsyncIterator[PullThrough]:
    """Run everything, with the registry linked by ``shop`` as ``stub``."""
    async with pull_through(folder, free_port, authority, secrets=SECRETS) as running:
        link = make_link(origin_of(stub), username="alice", sealed_secret="x", repositories=("org/**",))
        running.links.put(link)
        yield running
