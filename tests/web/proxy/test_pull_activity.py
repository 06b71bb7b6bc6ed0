"""What is counted of pulls of linked images, through a real nginx and Redis: as of images of our own."""

import asyncio
import json
import re
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from authsvc.metrics.catalogue import (
    METRICS_LOST,
    PROXY_FAILURES,
    PROXY_MISSES,
    PROXY_REQUESTS,
    PROXY_STALE,
    PROXY_UPSTREAM_ANSWERS,
)
from authsvc.spec.registry_event import CacheUse
from authsvc.store import keys
from tests.support.attached import platform_index
from tests.support.oci import INDEX, MANIFEST, Image, digest_of
from tests.support.pull_through import PullThrough
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.waiting import becomes

IMAGE = Image(b"one" * 1000)
DIGEST, LAYER = digest_of(IMAGE.manifest), digest_of(IMAGE.layer)
REPOSITORY = "proxy/shop/stub/org/image"
MISSING = "sha256:" + "0" * 64
OCTETS = "application/octet-stream"


async def cached(folder: Path, number: int) -> list[Path]:
    """Return the files in nginx' cache as soon as there are so many: a client has its answer a moment before."""

    def files() -> list[Path] | None:
        found = [file for file in (folder / "cache").rglob("*") if re.fullmatch("[0-9a-f]{32}", file.name)]
        return found if len(found) == number else None

    return await becomes(files, f"{number} files in the cache")


async def test_pulls_are_activity(pulls: PullThrough) -> None:
    """Each manifest and blob that a client gets is counted, cached or not; one that is not there is not."""
    for _ in range(2):
        await pulls.head("manifests/1.0")
        await pulls.get("manifests/1.0", "User-Agent: docker/1")
        await pulls.get(f"manifests/{DIGEST}")
        await pulls.get(f"blobs/{LAYER}")
        await pulls.head(f"blobs/{LAYER}")
        for missing in ("manifests/2.0", f"manifests/{MISSING}", f"blobs/{MISSING}"):
            await pulls.get(missing)

    asked = [event for event in pulls.events if event.cache is None]
    counted = Counter((event.method, event.tag, event.digest, event.size) for event in asked)
    assert counted == {
        ("HEAD", "1.0", DIGEST, None): 2,
        ("GET", "1.0", DIGEST, None): 2,
        ("GET", None, DIGEST, None): 2,
        ("GET", None, LAYER, len(IMAGE.layer)): 2,
    }
    # Of a tag that nobody has pulled yet it is not known what it names, and what has a tag is a manifest.
    types = Counter((event.tag, event.media_type) for event in asked)
    assert types == {("1.0", None): 1, ("1.0", MANIFEST): 3, (None, MANIFEST): 2, (None, OCTETS): 2}
    # The first one of each kind was not in the cache, whatever is asked for by which name.
    missed = Counter((event.method, event.tag, event.digest, event.size) for event in pulls.events if event.cache)
    assert missed == {("HEAD", "1.0", DIGEST, None): 1, ("GET", None, LAYER, len(IMAGE.layer)): 1}
    assert {(event.repository, event.subject, event.address) for event in pulls.events} == {
        (REPOSITORY, "license:abc", "127.0.0.1")
    }
    assert "docker/1" in {event.user_agent for event in pulls.events}
    assert len({event.id for event in pulls.events}) == 10


async def test_they_are_counted_a_year_later(pulls: PullThrough) -> None:
    """Nginx has the image still, so authsvc must still know what it is."""
    await pulls.get("manifests/1.0")
    await pulls.get(f"blobs/{LAYER}")
    names = await pulls.connection.run(pulls.connection.redis.keys("*upstream-content*"))
    lives = [await pulls.connection.run(pulls.connection.redis.ttl(name)) for name in names]

    assert len(names) == 4  # manifest, configuration, layer, and the list of these
    assert min(lives) > timedelta(days=366).total_seconds()


async def test_the_platforms_of_an_index(pulls: PullThrough, stub: StubUpstream) -> None:
    """They are told with the index, so that an image for several platforms is one pull."""
    images = {"linux/amd64": IMAGE, "linux/arm64": Image(b"arm")}
    stub.put_manifest("org/image", "multi", INDEX, json.dumps(platform_index(images)).encode())
    await pulls.get("manifests/multi")

    event, missed = pulls.events
    assert (event.cache, event.tag, missed.cache) == (None, "multi", CacheUse.MISS)
    assert set(missed.parts) == {digest_of(image.manifest) for image in images.values()}


@pytest.mark.parametrize("content", [b"{", b"[]", json.dumps({"layers": [{"digest": "x", "size": -1}]}).encode()])
async def test_a_manifest_that_cannot_be_read(pulls: PullThrough, stub: StubUpstream, content: bytes) -> None:
    """It is passed on and counted; its blobs are nobody's bytes."""
    stub.put_manifest("org/image", "odd", MANIFEST, content)

    assert (await pulls.get("manifests/odd")).body == content
    assert (await pulls.get(f"blobs/{LAYER}")).status == 200
    assert [(event.digest, event.size, event.cache) for event in pulls.events] == [
        (digest_of(content), None, cache) for cache in (None, CacheUse.MISS)
    ]


async def test_metrics(pulls: PullThrough, stub: StubUpstream, folder: Path) -> None:
    """Requests, those that the cache did not have, old tags, failures, and what the linked registry said."""
    for _ in range(3):
        await pulls.get("manifests/1.0")
        await pulls.get(f"blobs/{LAYER}")
        await cached(folder, 2)
    await pulls.get("tags/list")
    assert pulls.counted(PROXY_REQUESTS) == {"manifests": 3, "blobs": 3, "tags": 1}
    assert pulls.counted(PROXY_MISSES) == {"manifests": 1, "blobs": 1}
    assert pulls.counted(PROXY_FAILURES) == pulls.counted(PROXY_STALE) == {}
    answers = pulls.counted(PROXY_UPSTREAM_ANSWERS)
    assert set(answers) == {"2xx", "401"}

    pulls.clock.ahead += timedelta(minutes=2)
    stub.answers["/v2/org/image/manifests/1.0"] = Answer(429, (("Retry-After", "7"),))
    await pulls.get("manifests/1.0")
    for status in (307, 418, 502, 404):  # a 404 is remembered
        stub.answers[f"/v2/org/image/blobs/{MISSING}"] = Answer(status, (("Location", "http://10.0.0.1/"),))
        await pulls.get(f"blobs/{MISSING}")

    assert pulls.counted(PROXY_STALE) == {"": 1}
    assert pulls.counted(PROXY_MISSES) == {"manifests": 1, "blobs": 5}
    assert pulls.counted(PROXY_FAILURES) == {"upstream_not_found": 1, "upstream_unavailable": 2, "other": 1}
    new = Counter(pulls.counted(PROXY_UPSTREAM_ANSWERS)) - Counter(answers)
    assert new == {"429": 1, "3xx": 1, "404": 1, "4xx": 1, "none": 1}
    assert pulls.counted(METRICS_LOST) == {}


async def test_what_the_cache_has_lost(pulls: PullThrough, folder: Path) -> None:
    """It is fetched again, and that is one pull; sizes that were forgotten are learnt again."""
    await pulls.get("manifests/1.0")
    (file,) = await cached(folder, 1)
    file.unlink()
    name = keys.upstream_content("up-1:1:0", "blob", "org/image", LAYER)
    await pulls.connection.run(pulls.connection.redis.delete(name))
    await pulls.get("manifests/1.0")
    await pulls.get(f"blobs/{LAYER}")

    assert pulls.counted(PROXY_MISSES)["manifests"] == 2
    miss = CacheUse.MISS
    assert [(event.size, event.cache) for event in pulls.events] == [
        *((None, None), (None, miss), (None, None), (None, miss)),
        *((len(IMAGE.layer), None), (len(IMAGE.layer), miss)),
    ]


async def test_many_at_once_are_many_pulls(pulls: PullThrough) -> None:
    """A cluster that rolls out a new tag asks for it on all of its nodes; nginx has it fetched once."""
    answers = await asyncio.gather(*(pulls.get("manifests/1.0") for _ in range(20)))

    assert {(one.status, one.body) for one in answers} == {(200, IMAGE.manifest)}
    counted = Counter(event.cache for event in pulls.events)
    assert counted[None] == 20
    assert 1 <= counted[CacheUse.MISS] < 20  # nginx waits for the first one, but not for ever


async def test_a_stale_tag(pulls: PullThrough, stub: StubUpstream) -> None:
    """Each pull that is answered by what the tag meant last is counted as such."""
    await pulls.get("manifests/1.0")
    stub.answers["/v2/org/image/manifests/1.0"] = Answer(500)
    pulls.clock.ahead += timedelta(minutes=2)
    for _ in range(2):
        await pulls.get("manifests/1.0")

    assert [event.cache for event in pulls.events] == [None, CacheUse.MISS, CacheUse.STALE, CacheUse.STALE]
