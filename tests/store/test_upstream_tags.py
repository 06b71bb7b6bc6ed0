"""Remembered tags on a real Redis: per link, credential and purge, so many and so long."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from attrs import evolve

from authsvc.store.connection import Connection
from authsvc.store.upstream_tags import RedisUpstreamTags
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.tag_policy import RememberedTag
from tests.support.builders import NOW
from tests.support.redis_server import connected
from tests.support.upstream_links import make_link

LINK = make_link(Origin("https", "quay.io", 443))


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected() as opened:
        yield opened


def remembered(number: int, seconds: int = 0) -> RememberedTag:
    """Return what a tag meant."""
    return RememberedTag(f"sha256:{number:064x}", NOW + timedelta(seconds=seconds))


async def test_they_are_kept_apart(connection: Connection) -> None:
    """Another repository, tag, link, credential or purge is another tag."""
    tags = RedisUpstreamTags(connection, timedelta(days=7))
    await tags.put(LINK, "org/a", "1", remembered(1))
    others = [
        (LINK, "org/b", "1"),
        (LINK, "org/a", "2"),
        (evolve(LINK, id="other"), "org/a", "1"),
        (evolve(LINK, credential_version=2), "org/a", "1"),
        (evolve(LINK, purge_count=1), "org/a", "1"),
    ]

    assert await tags.get(LINK, "org/a", "1") == remembered(1)
    assert [await tags.get(*other) for other in others] == [None] * len(others)
    await tags.forget(LINK, "org/a", "1")
    assert await tags.get(LINK, "org/a", "1") is None


async def test_the_oldest_go(connection: Connection) -> None:
    """Of one link at most so many are kept, and those of others do not count."""
    tags, other = RedisUpstreamTags(connection, timedelta(days=7), most=3), evolve(LINK, id="other")
    await tags.put(other, "org/a", "1", remembered(99))
    for number in range(5):
        await tags.put(LINK, "org/a", str(number), remembered(number, number))
    await tags.put(LINK, "org/a", "2", remembered(2, 10))
    await tags.put(LINK, "org/a", "5", remembered(5, 11))

    kept = [await tags.get(LINK, "org/a", str(number)) for number in range(6)]
    assert [one is not None for one in kept] == [False, False, True, False, True, True]
    assert await tags.get(other, "org/a", "1") == remembered(99)
    # The index goes with them.
    assert len(await connection.run(connection.redis.keys("*upstream-tag:*"))) == 4


async def test_they_end_by_themselves(connection: Connection) -> None:
    """Every key has an end, the index too."""
    tags = RedisUpstreamTags(connection, timedelta(days=7))
    await tags.put(LINK, "org/a", "1", remembered(1))
    lives = [
        await connection.run(connection.redis.ttl(key)) for key in await connection.run(connection.redis.keys("*"))
    ]

    assert len(lives) == 2
    assert all(0 < life <= 7 * 24 * 3600 for life in lives)


async def test_nothing_is_remembered_without_room(connection: Connection) -> None:
    """What linked registries have fills no Redis that others' changes need; what is known stays."""
    tags = RedisUpstreamTags(connection, timedelta(days=7), has_room=lambda: False)
    await RedisUpstreamTags(connection, timedelta(days=7)).put(LINK, "org/a", "1", remembered(1))
    await tags.put(LINK, "org/a", "2", remembered(2))

    assert [await tags.get(LINK, "org/a", tag) for tag in "12"] == [remembered(1), None]
