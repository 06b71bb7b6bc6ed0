"""Connections that break within a blob, at fifty places: pulls go on where they were, and nothing wrong is kept."""

import asyncio
import random
from collections.abc import Iterator

from attrs import evolve

from tests.support.oci import Image, digest_of
from tests.support.pull_through import PullThrough
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.waiting import PATIENCE

SEED, PLACES = 20261127, 50

IMAGE = Image(random.Random(SEED).randbytes(300_000))
BLOB, DIGEST = IMAGE.layer, digest_of(IMAGE.layer)
REPOSITORY = "proxy/shop/stub/org/image"


def places(pulls: PullThrough, stub: StubUpstream) -> Iterator[int]:
    """Yield offsets in the blob, the ends among them; before each, nothing is cached of it."""
    stub.put("org/image", "large", IMAGE)
    found = [0, 1, len(BLOB) - 1, *random.Random(SEED).sample(range(len(BLOB)), PLACES - 3)]
    for number, place in enumerate(found):
        pulls.links.put(evolve(pulls.links.links["shop", "stub"], purge_count=number))
        yield place


async def beginning(pulls: PullThrough, size: int) -> bytes:
    """Return the first ``size`` bytes, or what comes of them, and hang up without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", pulls.front.port)
    try:
        token = pulls.token(REPOSITORY)
        request = f"GET /v2/{REPOSITORY}/blobs/{DIGEST} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
        writer.write(request.encode())
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            return await reader.readexactly(size)
    except asyncio.IncompleteReadError as broken:
        return broken.partial
    finally:
        writer.transport.abort()


async def check_the_rest(pulls: PullThrough, begun: bytes) -> None:
    """Go on where it broke, as docker and containerd do, and pull it again as a whole, from the cache in the end."""
    assert BLOB.startswith(begun)
    rest = await pulls.get(f"blobs/{DIGEST}", f"Range: bytes={len(begun)}-")
    assert (rest.status, rest.body) == (206, BLOB[len(begun) :])
    for _ in range(2):
        whole = await pulls.get(f"blobs/{DIGEST}")
        assert (whole.status, whole.body) == (200, BLOB)


async def test_the_linked_registry_breaks_off(pulls: PullThrough, stub: StubUpstream) -> None:
    """The client sees that something is missing; what had come is a beginning of the blob, and is not kept."""
    path, came = f"/v2/org/image/blobs/{DIGEST}", 0
    for place in places(pulls, stub):
        stub.answers[path] = Answer(200, body=BLOB[:place], length=len(BLOB))
        begun = await beginning(pulls, len(BLOB))
        assert len(begun) <= place
        came += len(begun)
        stub.answers.clear()
        await check_the_rest(pulls, begun)
    assert came > len(BLOB)  # of all together: most of what the registry has sent is passed on


async def test_the_client_breaks_off(pulls: PullThrough, stub: StubUpstream) -> None:
    """It goes on where it was; what nginx had fetched for it is whole, or is fetched again."""
    for place in places(pulls, stub):
        begun = await beginning(pulls, place)
        assert len(begun) == place
        await check_the_rest(pulls, begun)


async def test_other_bytes_are_the_clients_to_see(pulls: PullThrough, stub: StubUpstream) -> None:
    """Nobody here reads blobs: a wrong one is passed on under its digest, which clients check, until it is purged."""
    stub.put("org/image", "large", IMAGE)
    stub.answers[f"/v2/org/image/blobs/{DIGEST}"] = Answer(200, body=bytes(len(BLOB)))
    answer = await pulls.get(f"blobs/{DIGEST}")
    assert (answer.body, answer.headers["docker-content-digest"]) == (bytes(len(BLOB)), DIGEST)
    stub.answers.clear()
    pulls.links.put(evolve(pulls.links.links["shop", "stub"], purge_count=1))

    assert (await pulls.get(f"blobs/{DIGEST}")).body == BLOB
