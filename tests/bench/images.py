"""``make bench-images``: the index of images with 10,000 tags in one repository and 1,000 repositories.

A real registry is filled, crawled and crawled again, paced as in a server; then lists are read page by page, and a push
is followed until it is listed. The 1,000 repositories are written into the index alone.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable
from statistics import median
from typing import Any, TypeVar
from unittest.mock import patch

from attrs import evolve

from authsvc.images.index import ImageScope, IndexChange
from authsvc.images.manifest import parse_manifest
from authsvc.images.summary import of_manifest
from authsvc.registries.session import RegistryReply
from authsvc.store import keys
from authsvc.wiring.images import GENTLE
from tests.image_index.world import World, world_between
from tests.support.oci import MANIFEST, Image
from tests.support.real_registry import INSTALLED, running
from tests.support.redis_server import connected

T = TypeVar("T")

REPOSITORY = "acme/worker"
SLOW_MICROSECONDS = 500
PUSHES = 10


def arguments() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tags", type=int, default=10_000, help="of one repository  [default: %(default)s]")
    parser.add_argument("--images", type=int, default=1_000, help="distinct ones among them  [default: %(default)s]")
    parser.add_argument("--repositories", type=int, default=1_000, help="of one tag each  [default: %(default)s]")
    return parser


async def main(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    with running(INSTALLED) as registry:
        async with connected() as connection, world_between(connection, registry) as world:
            await connection.redis.config_set("slowlog-log-slower-than", SLOW_MICROSECONDS)
            fill(world, options.tags, options.images)
            figures: dict[str, Any] = {
                "first_crawl": await crawled(world, options.tags),
                "next_crawl": await crawled(world, options.tags),
                "added_up_s": round(await seconds(world.count()), 1),
            }
            figures["redis_bytes_per_tag"] = round(await taken(world) / options.tags)
            figures["pages_of_tags"] = await pages(world, ImageScope(repository=REPOSITORY))
            await write_repositories(world, options.repositories)
            figures["pages_of_repositories"] = await pages(world, ImageScope("acme-team", frozenset({"annex"})))
            figures["listed_after_ms"] = await followed(world)
            figures["slowest_redis_commands_ms"] = await slowest(world)
            return figures


def fill(world: World, tags: int, images: int) -> None:
    """Push so many tags."""
    made = [Image(b"%d" % number) for number in range(min(tags, images))]
    for image in made:
        world.content.push_blob(REPOSITORY, image.layer)
        world.content.push_blob(REPOSITORY, image.config)
    for number in range(tags):
        world.content.put(REPOSITORY, f"1.{number}", made[number % len(made)].manifest)


async def paced_crawl(world: World) -> None:
    """Crawl as a server does."""
    crawler = world.crawler
    await evolve(crawler, update=evolve(crawler.update, pace=GENTLE)).run()


async def crawled(world: World, tags: int) -> dict[str, Any]:
    """Crawl, and return how long it took, with the requests to the registry and our CPU time for each tag."""
    asked, session = 0, world.reader.session
    request = session.request

    async def counted(method: str, path: str, *rest: Any, **more: Any) -> RegistryReply:
        nonlocal asked
        asked += 1
        return await request(method, path, *rest, **more)

    began = time.process_time()
    with patch.object(session, "request", counted):
        took = await seconds(paced_crawl(world))
    return {
        "seconds": round(took, 1),
        "requests_per_tag": round(asked / tags, 2),
        "cpu_us_per_tag": round(1e6 * (time.process_time() - began) / tags),
    }


async def seconds(work: Awaitable[T]) -> float:
    """Return how long it took."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def taken(world: World) -> int:
    """Return the bytes of everything that is in Redis."""
    redis = world.connection.redis
    names = [name async for name in redis.scan_iter(count=1000)]
    return sum([await redis.memory_usage(name) or 0 for name in names])


async def pages(world: World, scope: ImageScope) -> dict[str, Any]:
    """Read a list page by page."""
    took, count, after = [], 0, None
    while True:
        began = time.perf_counter()
        page = await world.images.page(scope, after, 100)
        took.append(time.perf_counter() - began)
        count += len(page.items)
        after = page.next
        if after is None:
            return {
                "items": count,
                "pages": len(took),
                "median_ms": round(1000 * median(took), 1),
                "longest_ms": round(1000 * max(took), 1),
            }


async def write_repositories(world: World, count: int) -> None:
    """Write repositories of one tag each into the index."""
    image = Image(b"one")
    manifest = parse_manifest(image.manifest, MANIFEST)
    assert manifest is not None
    await world.index.save("annex", [of_manifest(image.digest, manifest, None)])
    for number in range(count):
        change = IndexChange("1.0", None, image.digest)
        await world.index.apply(f"annex/r{number:05}", "annex", [change], world.now)


async def followed(world: World) -> dict[str, Any]:
    """Push tags, tell the background task as the registry's events do, and wait until each is listed."""
    image, took = Image(b"0"), []
    task = asyncio.create_task(world.refresher().run())
    await asyncio.sleep(1)
    for number in range(PUSHES):
        tag = f"new-{number}"
        world.content.put(REPOSITORY, tag, image.manifest)
        began = time.perf_counter()
        await world.connection.redis.sadd(keys.IMAGES_CHANGED, f"{REPOSITORY}:{tag}")
        while await world.images.tag(REPOSITORY, tag) is None:
            await asyncio.sleep(0.01)
        took.append(time.perf_counter() - began)
    task.cancel()
    return {"median": round(1000 * median(took)), "longest": round(1000 * max(took))}


async def slowest(world: World) -> list[str]:
    """Return the slowest commands that Redis had, with their times; those of this program itself are left out."""
    entries = await world.connection.redis.slowlog_get(1000)
    named = [(entry["duration"] / 1000, entry["command"].decode(errors="replace").split(" ")) for entry in entries]
    ours = sorted((took, words) for took, words in named if words[0].upper() not in {"SCAN", "MEMORY"})[::-1]
    return [f"{took} {' '.join(words[:4])}" for took, words in ours[:5]]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(arguments().parse_args())), indent=2))  # noqa: T201
