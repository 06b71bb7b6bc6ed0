"""What is known of linked manifests and blobs, on a real Redis: per link, credential and purge, so many and so long."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from attrs import evolve

from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.upstream_contents import RedisUpstreamContents
from authsvc.upstreams.origin import Origin
from tests.support.builders import NOW
from tests.support.redis_server import connected
from tests.support.upstream_links import make_link

LINK = make_link(Origin("https", "quay.io", 443))


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected() as opened:
        yield opened


async def test_they_are_kept_apart(connection: Connection) -> None:
    """Another repository, link, credential or purge knows nothing; a manifest is no blob."""
    contents = RedisUpstreamContents(connection)
    await contents.remember(LINK, "org/a", "m", "application/json", {"b": 7, "m": 8}, NOW)
    others = [
        (LINK, "org/b"),
        (evolve(LINK, id="other"), "org/a"),
        (evolve(LINK, credential_version=2), "org/a"),
        (evolve(LINK, purge_count=1), "org/a"),
    ]

    assert await contents.media_type_of(LINK, "org/a", "m", NOW) == "application/json"
    assert await contents.media_type_of(LINK, "org/a", "b", NOW) is None
    assert [await contents.size_of(LINK, "org/a", digest, NOW) for digest in "bmx"] == [7, 8, None]
    for link, repository in others:
        assert await contents.size_of(link, repository, "b", NOW) is None
        assert await contents.media_type_of(link, repository, "m", NOW) is None


async def test_those_go_that_nobody_asks_for(connection: Connection) -> None:
    """Of one link at most so many are kept; one that is asked for stays, and lives on."""
    contents = RedisUpstreamContents(connection, most=3)
    await contents.remember(LINK, "org/a", "m1", "x", {"b1": 1, "b2": 2}, NOW)
    name = keys.upstream_content("up-1:1:0", "blob", "org/a", "b1")
    await connection.run(connection.redis.expire(name, 60))
    assert await contents.size_of(LINK, "org/a", "b1", NOW + timedelta(days=1)) == 1
    await contents.remember(LINK, "org/a", "m2", "x", {"b3": 3}, NOW + timedelta(days=2))

    later = NOW + timedelta(days=3)
    assert [await contents.size_of(LINK, "org/a", f"b{number}", later) for number in (1, 2, 3)] == [1, None, 3]
    assert [await contents.media_type_of(LINK, "org/a", f"m{number}", later) for number in (1, 2)] == [None, "x"]
    assert await connection.run(connection.redis.ttl(name)) > timedelta(days=399).total_seconds()
    assert len(await connection.run(connection.redis.keys("*upstream-content:*"))) == 3


async def test_nothing_is_remembered_without_room(connection: Connection) -> None:
    """What linked registries have fills no Redis that others' changes need; what is known stays."""
    contents = RedisUpstreamContents(connection, has_room=lambda: False)
    await RedisUpstreamContents(connection).remember(LINK, "org/a", "m1", "x", {"b1": 1}, NOW)
    await contents.remember(LINK, "org/a", "m2", "x", {"b2": 2}, NOW)

    assert [await contents.size_of(LINK, "org/a", digest, NOW) for digest in ("b1", "b2")] == [1, None]
    assert [await contents.media_type_of(LINK, "org/a", digest, NOW) for digest in ("m1", "m2")] == ["x", None]
