"""``make bench-activity``: 50,000 events against an independent count, and what a license takes of Redis in a year.

Nothing here depends on the speed of the machine but the figures that are printed.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen

from authsvc.activity.activity_filter import Resolution
from authsvc.credentials.machine_secret import ID_LENGTH
from authsvc.spec.registry_event import RegistryEvent
from authsvc.store import keys
from authsvc.store.codec import Codec
from tests.support.activity import BLOB, INDEX, Recording, digest, event, recording
from tests.support.activity_history import History
from tests.support.activity_totals import check
from tests.support.builders import NOW, make_license

DURABLE = ("--appendfsync", "always")
DAY = timedelta(days=1)
IMAGES = 5
"""Images that a simulated customer runs."""

RELEASE_DAYS = 14
"""Days between two versions of each."""

LAYERS = 4
_CLASSES = {
    "hour": "counts by hour",
    "day": "counts by day",
    "used": "versions",
    "networks": "networks",
    "users": "users of images",
    "account": "accounts",
    "accounts": "accounts",
}
"""What grows with licenses, by the kind of key; everything else grows with the app's images and events."""


def _class(key: str) -> str:
    kind, *rest = key.split(":")[2:]
    if kind == "seen":
        return "events: ids of 14 days"
    if kind in {"hour", "day"} and rest[1] == "0":
        return "app: counts"
    return f"license: {_CLASSES[kind]}" if kind in _CLASSES else "app: names and days"


@frozen
class Customer:
    """How a simulated customer pulls.

    Attributes:
        every: days between two days on which it pulls.
        pulls: how often on such a day it pulls each image.
    """

    every: int
    pulls: int

    def day(self, number: int, license_id: str, at: datetime) -> Iterator[RegistryEvent]:
        """Yield what containerd does on day ``number``."""
        if number % self.every:
            return
        version = number // RELEASE_DAYS
        is_new = number - version * RELEASE_DAYS < self.every
        for image in range(IMAGES):
            facts: dict[str, Any] = {"repository": f"acme/image-{image}", "subject": f"license:{license_id}"}
            index, child = digest(10_000 * image + version), digest(5_000 + 10_000 * image + version)
            for pull in range(self.pulls):
                facts["timestamp"] = at + timedelta(minutes=60 * pull + image)
                yield event("pull", "HEAD", media_type=INDEX, tag=f"1.{version}", digest=index, **facts)
                yield event(media_type=INDEX, tag=None, digest=index, parts=(child,), **facts)
                yield event(tag=None, digest=child, **facts)
                for layer in range(LAYERS if is_new and not pull else 0):
                    yield event(media_type=BLOB, tag=None, digest=digest(layer), size=30_000_000, **facts)


async def totals(count: int) -> dict[str, Any]:
    """Record a long history on a durable Redis, and compare all totals."""
    history = History(random.Random(count), NOW)
    sent = history.deliveries(count)
    async with recording(*DURABLE) as store:
        began, cpu = time.perf_counter(), _cpu()
        redis_before = await _redis_cpu(store)
        for one in sent:
            await store.sink.record([one], NOW)
        took, used = time.perf_counter() - began, _cpu() - cpu
        redis_used = await _redis_cpu(store) - redis_before
        await check(store, history.expected, Resolution.DAY)
        seen = await _memory(store, f"{keys.ACTIVITY}seen*")
    return {
        "deliveries": len(sent),
        "events": len({one.id for one in sent}),
        "per_second": round(len(sent) / took),
        "worker_cpu_microseconds": round(1e6 * used / len(sent)),
        "redis_cpu_microseconds": round(1e6 * redis_used / len(sent)),
        "seen_bytes_per_event": round(seen / history.expected.events, 1),
        "exact": True,
    }


async def year(customer: Customer, licenses: int, days: int = 400) -> dict[str, Any]:
    """Let licenses pull for so many days; return the bytes that each takes, by what they are for."""
    async with recording() as store:
        codec = Codec()
        ids = [f"{number:0{ID_LENGTH}d}" for number in range(licenses)]
        for license_id in ids:
            await store.connection.redis.set(keys.license_(license_id), codec.encode(make_license(license_id)))
        before = await _used(store)
        begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - days * DAY
        count = 0
        for number in range(days):
            at = begin + number * DAY
            events = [one for license_id in ids for one in customer.day(number, license_id, at)]
            count += len(events)
            await store.sink.record(events, at + DAY)
            await _expire(store, at, licenses)
        by_class = Counter[str]()
        keys_total = 0
        async for key, size in _sizes(store):
            by_class[_class(key)] += size
            keys_total += 1
        total = await _used(store) - before
    of_license = {name: round(size / licenses) for name, size in by_class.most_common() if name.startswith("license")}
    return {
        "licenses": licenses,
        "events_per_license": round(count / licenses),
        "bytes_per_license": sum(of_license.values()),
        "of_it": of_license,
        "bytes_of_the_rest": {name: size for name, size in by_class.items() if not name.startswith("license")},
        "keys": keys_total,
        "keys_bytes": by_class.total(),
        "used_memory": total,
    }


async def _expire(store: Recording, now: datetime, licenses: int) -> None:
    """Remove what would have ended by ``now``: Redis' own clock stands still while days are simulated."""
    day = int((now - 15 * DAY).timestamp()) // 86400
    names = [keys.activity_counts("hour", "acme", number, day) for number in range(licenses + 1)]
    for hour in range(24 * day, 24 * day + 24):
        names.append(f"{keys.ACTIVITY}seen:{hour}")
        names += [f"{keys.ACTIVITY}seen:{hour}:{level}:{place}" for level in range(4) for place in range(4**level)]
    await store.connection.redis.unlink(*names)


async def _sizes(store: Recording) -> AsyncIterator[tuple[str, int]]:
    async for key in store.connection.redis.scan_iter(f"{keys.ACTIVITY}*", count=1000):
        yield key.decode(), await store.connection.redis.memory_usage(key, samples=0) or 0


async def _memory(store: Recording, pattern: str) -> int:
    sizes = [
        await store.connection.redis.memory_usage(key, samples=0) or 0
        async for key in store.connection.redis.scan_iter(pattern, count=1000)
    ]
    return sum(sizes)


async def _used(store: Recording) -> int:
    return int((await store.connection.redis.info("memory"))["used_memory"])


async def _redis_cpu(store: Recording) -> float:
    facts = await store.connection.redis.info("cpu")
    return float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"])


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="make bench-activity", description=__doc__)
    parser.add_argument("--events", type=int, default=50_000, help="deliveries that are compared")
    parser.add_argument("--licenses", type=int, default=40, help="licenses of each kind whose year is simulated")
    parser.add_argument("--days", type=int, default=400, help="length of the year")
    chosen = parser.parse_args(sys.argv[1:])
    found: dict[str, Any] = {"totals": asyncio.run(totals(chosen.events))} if chosen.events else {}
    if chosen.licenses:
        kinds = {
            "pulls five images twice a day": Customer(1, 2),
            "pulls five images once a week": Customer(7, 1),
            "pulls five images once a month": Customer(28, 1),
        }
        found["years"] = {name: asyncio.run(year(kind, chosen.licenses, chosen.days)) for name, kind in kinds.items()}
    print(json.dumps(found, indent=2))  # noqa: T201  what the command is for


if __name__ == "__main__":
    main()
