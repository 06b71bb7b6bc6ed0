"""What was asked of Redis not long ago is not asked again, and is never another link's."""

from datetime import timedelta

from attrs import evolve

from authsvc.store.upstream_contents import RedisUpstreamContents
from authsvc.upstreams.origin import parse_origin
from authsvc.web.proxy import known_contents
from authsvc.web.proxy.known_contents import KNOWN_FOR, KnownContents
from tests.support.builders import NOW
from tests.support.redis_server import connected
from tests.support.upstream_links import make_link

LINK = make_link(parse_origin("https://upstream.example", plain_http=False))
REPOSITORY, MANIFEST, BLOB = "org/image", f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


async def test_redis_is_asked_once_in_a_while() -> None:
    """By a process that has fetched the manifest, and by another one."""
    async with connected() as connection:
        stored = RedisUpstreamContents(connection)
        fetching, other = KnownContents(stored), KnownContents(stored)
        assert await other.size_of(LINK, REPOSITORY, BLOB, NOW) is None
        await fetching.remember(LINK, REPOSITORY, MANIFEST, "m", {BLOB: 7}, NOW)
        assert (await other.media_type_of(LINK, REPOSITORY, MANIFEST, NOW)) == "m"
        assert (await other.size_of(LINK, REPOSITORY, BLOB, NOW)) == 7
        await connection.redis.flushall()

        for known in (fetching, other):
            for after, there in ((timedelta(), True), (KNOWN_FOR, True), (2 * KNOWN_FOR, False), (-KNOWN_FOR, False)):
                size = await known.size_of(LINK, REPOSITORY, BLOB, NOW + after)
                media_type = await known.media_type_of(LINK, REPOSITORY, MANIFEST, NOW + after)
                assert (size, media_type) == ((7, "m") if there else (None, None))


async def test_what_others_know() -> None:
    """Another link, credential, purge or repository has asked for nothing."""
    async with connected() as connection:
        known = KnownContents(RedisUpstreamContents(connection))
        await known.remember(LINK, REPOSITORY, MANIFEST, "m", {BLOB: 7}, NOW)
        assert await known.size_of(LINK, REPOSITORY, BLOB, NOW) == 7
        for other in (
            evolve(LINK, id="up-9"),
            evolve(LINK, credential_version=LINK.credential_version + 1),
            evolve(LINK, purge_count=LINK.purge_count + 1),
        ):
            assert await known.size_of(other, REPOSITORY, BLOB, NOW) is None
            assert await known.media_type_of(other, REPOSITORY, MANIFEST, NOW) is None
        assert await known.size_of(LINK, "org/other", BLOB, NOW) is None


async def test_no_more_than_so_many() -> None:
    """The one that was asked for longest ago goes."""
    async with connected() as connection:
        known = KnownContents(RedisUpstreamContents(connection))
        blobs = {f"sha256:{number:064x}": number for number in range(known_contents.MAX_KNOWN + 1)}
        await known.remember(LINK, REPOSITORY, MANIFEST, "m", blobs, NOW)
        await connection.redis.flushall()

        found = [await known.size_of(LINK, REPOSITORY, blob, NOW) for blob in blobs]
        assert [None, *range(1, len(blobs))] == found
