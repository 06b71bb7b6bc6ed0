"""``python -m tests.bench.lists``: lists and the migration to indexes with 100,000 licenses in one app.

The licenses are written as an older version would have left them; the worker of a real stack gives them their index
entries while license holders ask it for tokens. Then every list is read page by page, and whole, likewise.
"""

import argparse
import asyncio
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import aiohttp
from attrs import define, evolve, field

from authsvc.cli.console import find
from authsvc.credentials.machine_secret import ID_ALPHABET, ID_LENGTH
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.migration import read_progress
from authsvc.store.records import Records
from authsvc.tenancy.license_filter import LicenseFilter
from authsvc.tenancy.records import License, LicenseReference, LicenseType, TokenDigest
from authsvc.wiring.management import Management, management
from authsvc.wiring.stores import make_stores
from tests.bench.installation import installation, make_license, target
from tests.bench.load import Target
from tests.support.stack import Stack

TEAM, APP = "bench", "benchapp"
BATCH = 500
DAY = timedelta(days=1)
HOLDERS = 50
"""License holders that ask for tokens, one after the other."""

PAUSE = 0.01
"""Seconds between two requests."""

SLOW_MICROSECONDS = 1000
PAGES = 12
"""Pages that are timed of each list, spread over it."""


@define
class Requests:
    """What token requests got.

    Attributes:
        seconds: of each answer.
        statuses: how often each was answered.
    """

    seconds: list[float] = field(factory=list)
    statuses: Counter[int] = field(factory=Counter)

    def summary(self) -> dict[str, Any]:
        """Return the figures."""
        ordered = sorted(self.seconds)
        failures = sum(count for status, count in self.statuses.items() if status != 200)
        return {
            "requests": len(ordered),
            "failures": failures,
            "median_ms": round(1000 * median(ordered), 1),
            "p99_ms": round(1000 * ordered[int(len(ordered) * 0.99)], 1),
            "longest_ms": round(1000 * ordered[-1], 1),
        }


@asynccontextmanager
async def asking(at: Target, credentials: list[str]) -> AsyncIterator[Requests]:
    """Ask for tokens all the while."""
    seen, ended = Requests(), asyncio.Event()

    async def ask() -> None:
        parameters = {"service": at.service, "scope": at.scope}
        async with aiohttp.ClientSession() as session:
            number = 0
            while not ended.is_set():
                began, number = time.perf_counter(), number + 1
                authorization = credentials[number % len(credentials)]
                try:
                    async with session.get(
                        at.url, params=parameters, headers={"Authorization": authorization}
                    ) as answer:
                        await answer.read()
                        seen.statuses[answer.status] += 1
                except aiohttp.ClientError:
                    seen.statuses[0] += 1
                seen.seconds.append(time.perf_counter() - began)
                await asyncio.sleep(PAUSE)

    task = asyncio.create_task(ask())
    try:
        yield seen
    finally:
        ended.set()
        await task


def old_license(random: Random, number: int, customers: int) -> License:
    """Return a license as many vendors have them."""
    license_id = "".join(random.choices(ID_ALPHABET, k=ID_LENGTH))
    issued = datetime(2024, 1, 1, tzinfo=UTC) + number * timedelta(seconds=300)
    return License(
        id=license_id,
        app=APP,
        team=TEAM,
        customer=f"Customer {number % customers:06} Ltd",
        type=LicenseType.PAID,
        issued_at=issued,
        expires_at=datetime(2026, 11, 27, tzinfo=UTC) + random.randrange(-400, 700) * DAY,
        registry="registry.vendor.com",
        tokens=(TokenDigest(1, hashlib.sha256(license_id.encode()).hexdigest()),),
        repositories=("worker", "api/*"),
        fields={"seats": 25},
        contact="sales@vendor.com",
        reference=f"CRM-{number:06}",
        revoked_at=issued if number % 50 == 0 else None,
        archived_at=issued if number % 100 == 1 else None,
    )


async def fill(records: Records, licenses: int, customers: int) -> float:
    """Write licenses as an older version did; return the bytes of Redis for each."""
    redis, random = records.connection.redis, Random(1)
    before = (await redis.info("memory"))["used_memory"]
    for start in range(0, licenses, BATCH):
        pipe = redis.pipeline(transaction=False)
        for number in range(start, min(start + BATCH, licenses)):
            one = old_license(random, number, customers)
            _ = pipe.set(keys.license_(one.id), records.codec.encode(one))
            _ = pipe.zadd(keys.app_licenses(APP), {one.id: one.issued_at.timestamp()})
            reference = records.codec.encode(LicenseReference(one.id, one.expires_at))
            _ = pipe.set(keys.license_reference(APP, str(one.reference)), reference)
        await pipe.execute()
    return float((await redis.info("memory"))["used_memory"] - before) / licenses


LISTS: dict[str, LicenseFilter] = {
    "of the app": LicenseFilter.parse(team=TEAM, app=APP),
    "of the team": LicenseFilter.parse(team=TEAM),
    "active": LicenseFilter.parse(team=TEAM, app=APP, state="active"),
    "expired": LicenseFilter.parse(team=TEAM, app=APP, state="expired"),
    "revoked": LicenseFilter.parse(team=TEAM, app=APP, state="revoked"),
    "ends within 30d": LicenseFilter.parse(team=TEAM, app=APP, ends_within="30d"),
    "by reference": LicenseFilter.parse(team=TEAM, app=APP, reference="crm-05"),
    "by one customer": LicenseFilter.parse(team=TEAM, app=APP, customer="000123"),
    "by a word of all": LicenseFilter.parse(team=TEAM, app=APP, customer="customer"),
    "hardly any": LicenseFilter.parse(team=TEAM, app=APP, reference="crm-", state="pending"),
    "a word of all, hardly any": LicenseFilter.parse(team=TEAM, app=APP, customer="ltd", state="pending"),
}


async def page_milliseconds(records: Records, wanted: LicenseFilter) -> dict[str, float]:
    """Return how long a page of 100 takes in the store."""
    stores, now, taken = make_stores(records), datetime.now(UTC), list[float]()
    after: str | None = None
    for _ in range(PAGES):
        began = time.perf_counter()
        page = await stores.licenses.page(wanted, after, 100, now)
        taken.append(1000 * (time.perf_counter() - began))
        after = page.next
        if after is None:
            break
    return {"median_ms": round(median(taken), 1), "longest_ms": round(max(taken), 1)}


async def slowest(connection: Connection) -> dict[str, Any]:
    """Return the longest command since the last call, in milliseconds."""
    entries: list[dict[str, Any]] = await connection.redis.slowlog_get(500)
    _ = await connection.redis.slowlog_reset()
    if not entries:
        return {"longest_ms": SLOW_MICROSECONDS / 1000, "command": "none was longer"}
    longest = max(entries, key=lambda entry: int(entry["duration"]))
    return {"longest_ms": longest["duration"] / 1000, "command": str(longest["command"][:40])}


_WHOLE = """
import asyncio, json, os, resource, sys
from pathlib import Path
from tests.bench import lists
print(json.dumps(asyncio.run(lists.list_everything(Path(sys.argv[1])))))
"""


async def list_everything(data_dir: Path) -> dict[str, Any]:
    """Read the whole list of an app, page by page, and write it to nowhere."""
    settings, _ = find(data_dir, {})
    began, count, after = time.perf_counter(), 0, None
    async with management(settings, lambda _: None) as manage:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            while True:
                page = await manage.licenses.list(manage.actor, datetime.now(UTC), app=APP, after=after)
                for one in page.items:
                    json.dump({"id": one.id, "customer": one.customer}, nowhere)
                count += len(page.items)
                after = page.next
                if after is None:
                    break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = round(time.perf_counter() - began, 1)
    return {"licenses": count, "seconds": seconds, "peak_mib": peak // 1024, "grown_mib": (peak - before) // 1024}


async def measured(stack: Stack, licenses: int, customers: int) -> dict[str, Any]:
    """Return all figures."""
    settings, _ = find(stack.data_dir, {})
    figures: dict[str, Any] = {"licenses": licenses, "customers": customers}
    async with management(settings, lambda _: None) as manage:
        credentials = await holders(manage)
        connection = Connection(settings.redis_url, deadline=60)
        records = Records(connection, Codec())
        try:
            await connection.redis.config_set("slowlog-log-slower-than", SLOW_MICROSECONDS)
            await connection.redis.config_set("slowlog-max-len", 1000)
            figures["bytes_before"] = round(await fill(records, licenses, customers))
            at = evolve(target(stack), scope=f"repository:{APP}/worker:pull")
            figures["tokens_idle"] = await while_asking(at, credentials, lambda: asyncio.sleep(5))
            _ = await connection.redis.slowlog_reset()
            used = (await connection.redis.info("memory"))["used_memory"]
            figures["migration"], figures["tokens_migrating"] = {}, {}
            figures["tokens_migrating"] = await while_asking(at, credentials, lambda: migrated(records, figures))
            figures["migration"]["slowest_command"] = await slowest(connection)
            grown = (await connection.redis.info("memory"))["used_memory"] - used
            figures["bytes_added"] = round(grown / licenses)
            figures["pages"] = {name: await page_milliseconds(records, wanted) for name, wanted in LISTS.items()}
            figures["customers_page"] = await customer_milliseconds(records)
            figures["pages_slowest_command"] = await slowest(connection)
            figures["tokens_listing"] = await while_asking(at, credentials, lambda: whole(stack, figures))
            figures["listing"]["slowest_command"] = await slowest(connection)
        finally:
            await connection.close()
    return figures


async def while_asking(at: Target, credentials: list[str], work: Callable[[], Any]) -> dict[str, Any]:
    """Do something while license holders ask for tokens; return what these got."""
    async with asking(at, credentials) as seen:
        await work()
    return seen.summary()


async def migrated(records: Records, figures: dict[str, Any]) -> None:
    """Let the worker make a pass and wait for its end."""
    _ = await records.connection.redis.delete(keys.MIGRATION)
    began = time.perf_counter()
    while not (progress := await read_progress(records)).settled:
        await asyncio.sleep(0.2)
        if not progress.total:
            began = time.perf_counter()
    seconds = time.perf_counter() - began
    figures["migration"] = {"seconds": round(seconds, 1), "licenses_per_second": round(progress.done / seconds)}


async def customer_milliseconds(records: Records) -> dict[str, float]:
    """Return how long a page of customers takes."""
    customers, taken, after = make_stores(records).customers, list[float](), None
    for _ in range(PAGES):
        began = time.perf_counter()
        page = await customers.page(TEAM, ("customer",), None, after, 100)
        taken.append(1000 * (time.perf_counter() - began))
        after = page.next
        if after is None:
            break
    return {"median_ms": round(median(taken), 1), "longest_ms": round(max(taken), 1)}


async def whole(stack: Stack, figures: dict[str, Any]) -> None:
    """Read the whole list in a process of its own."""
    command = (sys.executable, "-c", _WHOLE, str(stack.data_dir))
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    figures["listing"] = json.loads(out)


async def holders(manage: Management) -> list[str]:
    """Make a team, an app and licenses that ask for tokens."""
    await manage.teams.create(TEAM, None, manage.operation())
    await manage.teams.create_app(APP, TEAM, None, manage.operation())
    return [await make_license(manage, number) for number in range(HOLDERS)]


def main(argv: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lists", description=__doc__)
    parser.add_argument("--licenses", type=int, default=100_000)
    parser.add_argument("--customers", type=int, default=10_000)
    chosen = parser.parse_args(argv)
    with installation(None, None) as stack:
        figures = asyncio.run(measured(stack, chosen.licenses, chosen.customers))
    sys.stdout.write(f"{json.dumps(figures, indent=2)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
