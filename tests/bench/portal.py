"""``make bench-portal``: every page of the portal with 100,000 licenses and 10,000 tags.

A real stack is filled as a big vendor would, and each page is opened some times, one after the other, as somebody with
a browser does. What is printed is the median of each page: how long the answer took at nginx, what it took of the
worker's CPU, and its bytes. The exit code is 1 if one takes longer, or is longer, than is aimed at.
"""

import argparse
import asyncio
import json
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import aiohttp
from attrs import asdict, define, frozen
from yarl import URL

from authsvc.cli.console import find
from authsvc.images.index import IndexChange
from authsvc.images.manifest import Platform, parse_manifest
from authsvc.images.summary import of_manifest
from authsvc.redaction import Secret
from authsvc.spec.registry_event import RegistryEvent
from authsvc.store import keys
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.image_index import RedisImageIndex
from authsvc.store.migration import Migration
from authsvc.store.records import Records
from authsvc.wiring.management import Management, management
from authsvc.wiring.stores import make_stores
from tests.bench.installation import installation, worker
from tests.bench.lists import APP, TEAM
from tests.bench.lists import fill as fill_licenses
from tests.support.activity import INDEX, blob, event, push
from tests.support.html_page import forms_of, read_page
from tests.support.oci import MANIFEST, Image, digest_of
from tests.support.portal_pages import LINK, PAGES, STATES, filled
from tests.support.stack import PASSWORD, Stack

SECONDS, BYTES = 0.150, 100 * 1024
"""What is aimed at, for each page."""

OWNER = "owner@bench.test"
"""Who opens the pages."""

RUNS = 7
PULLERS = 500
"""Licenses that pulled lately."""

DAYS = 30


@frozen
class PageCost:
    """The medians of one page.

    Attributes:
        page: its path, with names in braces.
        status: of its last answer.
        milliseconds: until all of it was there.
        cpu_milliseconds: of the worker.
        redis_milliseconds: of Redis.
        kibibytes: of header and body as transferred.
    """

    page: str
    status: int
    milliseconds: float
    cpu_milliseconds: float
    redis_milliseconds: float
    kibibytes: float

    @property
    def misses(self) -> str:
        """What it misses, in a word or two."""
        found = []
        if self.milliseconds > 1000 * SECONDS:
            found.append("time")
        if self.kibibytes > BYTES / 1024:
            found.append("bytes")
        if self.status != 200:
            found.append(f"status {self.status}")
        return ", ".join(found)


def cpu_seconds(process: int) -> float:
    """Return what all threads of a process took of the CPU (proc(5), ``schedstat``: nanoseconds)."""
    return (
        sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{process}/task").iterdir()) / 1e9
    )


REPOSITORIES = ("worker", "api/web", "api/jobs")

IMAGES = tuple(Image(b"%d" % number) for number in range(50))


def image_of(tag: int) -> Image:
    """Return the image of a tag."""
    return IMAGES[tag % len(IMAGES)]


def write_registry(folder: Path, count: int) -> None:
    """Write tags into the registry's storage, as it would (distribution's layout): 30 times as fast as pushing them."""
    root = folder / "docker/registry/v2"

    def link(path: Path, digest: str) -> None:
        path.mkdir(parents=True, exist_ok=True)
        (path / "link").write_text(digest)

    for image in IMAGES:
        for content in (image.manifest, image.config, image.layer):
            hexadecimal = digest_of(content).removeprefix("sha256:")
            blob_folder = root / "blobs/sha256" / hexadecimal[:2] / hexadecimal
            blob_folder.mkdir(parents=True, exist_ok=True)
            (blob_folder / "data").write_bytes(content)
    for number, repository in enumerate(REPOSITORIES):
        place = root / "repositories" / APP / repository
        for image in IMAGES:
            for content in (image.config, image.layer):
                link(place / "_layers/sha256" / digest_of(content).removeprefix("sha256:"), digest_of(content))
            link(place / "_manifests/revisions/sha256" / image.digest.removeprefix("sha256:"), image.digest)
        for tag in range(number, count, len(REPOSITORIES)):
            digest = image_of(tag).digest
            tag_folder = place / "_manifests/tags" / f"1.{tag}"
            link(tag_folder / "current", digest)
            link(tag_folder / "index/sha256" / digest.removeprefix("sha256:"), digest)


async def write_tags(connection: Connection, count: int) -> None:
    """Write the same tags into the index of images, as the first crawl would."""
    index, now = RedisImageIndex(connection, Codec()), datetime.now(UTC)
    described = []
    for image in IMAGES:
        manifest = parse_manifest(image.manifest, MANIFEST)
        assert manifest is not None
        described.append(of_manifest(image.digest, manifest, Platform("linux", "amd64")))
    await index.save(APP, described)
    for number, repository in enumerate(REPOSITORIES):
        tags = range(number, count, len(REPOSITORIES))
        changes = [IndexChange(f"1.{tag}", None, image_of(tag).digest) for tag in tags]
        await index.apply(f"{APP}/{repository}", APP, changes, now)


def pulls(ids: list[str]) -> Iterator[RegistryEvent]:
    """Yield what was pushed and pulled lately."""
    now, random = datetime.now(UTC).replace(microsecond=0), Random(2)
    for number in range(50):
        tag = 3 * number
        yield push(repository=f"{APP}/worker", tag=f"1.{tag}", digest=image_of(tag).digest, timestamp=now)
    for license_id in ids:
        for day in range(0, DAYS, 3):
            at = now - timedelta(days=day, seconds=random.randrange(80_000))
            tag = 3 * random.randrange(50)
            facts: dict[str, Any] = {"repository": f"{APP}/worker", "timestamp": at, "subject": f"license:{license_id}"}
            address = f"203.0.{random.randrange(200)}.{random.randrange(250)}"
            digest = image_of(tag).digest
            yield event(tag=f"1.{tag}", media_type=INDEX, digest=digest, address=address, **facts)
            yield blob(30_000_000, address=address, **facts)


async def prepare(stack: Stack, licenses: int, tags: int) -> dict[str, str]:
    """Fill the installation; return what stands in the addresses of pages."""
    settings, _ = find(stack.data_dir, {})
    async with management(settings, lambda _: None) as manage:
        await manage.teams.create(TEAM, None, manage.operation())
        for app in (APP, "other", "attic"):
            await manage.teams.create_app(app, TEAM, None, manage.operation())
        await manage.teams.archive_app("attic", manage.operation())
        names = await make_people(manage)
        connection = Connection(settings.redis_url, deadline=60)
        try:
            records = Records(connection, Codec())
            _ = await connection.redis.config_set("appendfsync", "no")  # while it is filled
            await fill_licenses(records, licenses, licenses // 2)
            await write_indexes(records)
            write_registry(stack.data_dir / "registry", tags)
            await write_tags(connection, tags)
            found_ids: list[Any] = await connection.redis.zrange(keys.app_licenses(APP), -PULLERS, -1)
            ids = [one.decode() for one in found_ids]
            sink, events = RedisActivitySink(connection, Codec()), list(pulls(ids))
            for start in range(0, len(events), 50):
                await sink.record(events[start : start + 50], datetime.now(UTC))
            _ = await connection.redis.config_set("appendfsync", "always")
            found = await make_stores(records).licenses.get(ids[-1])
            assert found is not None
            names |= {"license": ids[-1], "customer": str(found.record.customer_id), "revoked_license": ids[-50]}
        finally:
            await connection.close()
    return names


async def write_indexes(records: Records) -> None:
    """Give all licenses their index entries, as a worker does, but without its rests."""
    redis, migration = records.connection.redis, Migration(records, secrets.token_bytes)
    _ = await redis.delete(keys.MIGRATION, keys.MIGRATION_LEASE)
    assert await migration.lease("bench")

    async def settles() -> bool:
        return await migration.lease("bench")

    async for _ in migration.run(settles=settles, clock=lambda: datetime.now(UTC)):
        await migration.lease("bench")


async def make_people(manage: Management) -> dict[str, str]:
    """Make members and service accounts; return what stands in the addresses of their pages."""
    password = Secret(PASSWORD)
    await manage.members.add(OWNER, TEAM, "owner", (), password, manage.operation())
    members = [
        await manage.members.add(f"m{number}@bench.test", TEAM, "developer", (), password, manage.operation())
        for number in range(20)
    ]
    grants = [f"{APP}/**:pull,push"]
    accounts = [
        (await manage.service_accounts.create(f"ci-{number}", TEAM, grants, None, None, manage.operation()))[0]
        for number in range(120)
    ]
    await manage.service_accounts.disable(accounts[0].id, None, manage.operation())
    return {
        "member": members[0].id,
        "active_member": members[1].id,
        "account": accounts[1].id,
        "disabled_account": accounts[0].id,
        "name": f"{APP}/worker:1.0",
        "app": APP,
        "archived_app": "attic",
        "link": LINK,
    }


@frozen
class Opened:
    """A page that was opened.

    Attributes:
        status: of the answer.
        text: of it.
        seconds: until all of it was there.
        worker: what it took of the worker's CPU, in seconds.
        redis: what it took of Redis'.
        size: bytes of header and body.
    """

    status: int
    text: bytes
    seconds: float
    worker: float
    redis: float
    size: int


@define
class Opener:
    """Somebody with a browser.

    Attributes:
        session: keeps cookies.
        origin: of the portal.
        worker: process id of the worker.
        redis: process id of Redis.
    """

    session: aiohttp.ClientSession
    origin: str
    worker: int
    redis: int

    async def open(self, path: str) -> "Opened":
        """Open a page."""
        before, began = (cpu_seconds(self.worker), cpu_seconds(self.redis)), time.perf_counter()
        url = URL(f"{self.origin}{path}", encoded=True)
        async with self.session.get(url, allow_redirects=False) as answer:
            text = await answer.read()
        took = time.perf_counter() - began
        await asyncio.sleep(0.02)  # what the worker does behind the answer is the page's too
        headers = sum(len(name) + len(value) + 4 for name, value in answer.raw_headers)
        spent = (cpu_seconds(self.worker) - before[0], cpu_seconds(self.redis) - before[1])
        return Opened(answer.status, text, took, *spent, len(text) + headers)

    async def sign_in(self) -> None:
        """Sign in with the form."""
        page = read_page((await self.open("/portal/sign-in")).text.decode())
        (form,) = [one for one in forms_of(page) if one.action == "/portal/sign-in"]
        sent = {**form.fields, "email": OWNER, "password": PASSWORD}
        headers = {"Origin": self.origin}
        where = f"{self.origin}/portal/sign-in"
        async with self.session.post(where, data=sent, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()

    async def cost(self, page: str, names: Mapping[str, str], runs: int) -> PageCost:
        """Return the medians of a page that was opened some times, after a first time that does not count."""
        path = filled(page, names)
        await self.open(path)
        found = [await self.open(path) for _ in range(runs)]
        return PageCost(
            page,
            found[-1].status,
            round(1000 * median(one.seconds for one in found), 1),
            round(1000 * median(one.worker for one in found), 1),
            round(1000 * median(one.redis for one in found), 1),
            round(median(one.size for one in found) / 1024, 1),
        )


MORE = (
    "/portal/images",
    "/portal/images?app={app}&repository={app}/worker",
    "/portal/customers?text=customer",
    "/portal/customers?text=crm-05&by=reference",
    "/portal/customers?state=expired",
    "/portal/customers?state=ends-soon",
    "/portal/activity?app={app}&since=400d",
    "/portal/activity?license={license}",
    "/portal/activity?image={app}/worker:1.0",
    "/portal/activity/explain?subject=license:{license}",
)
"""Pages in the states that cost most, besides each page as it is."""


def pages(names: Mapping[str, str]) -> list[str]:
    """Return what is opened: each page and those of :data:`MORE`, but for those with nothing in this installation."""
    paths = [f"/portal{path}" for path in PAGES] + [*MORE, *STATES]
    needed = {path: set(re.findall(r"\{(\w+)", path)) for path in paths}
    return [path for path in dict.fromkeys(paths) if needed[path] <= names.keys() and path not in REDIRECTS]


REDIRECTS = {"/portal/", "/portal/sign-in"}
"""They lead elsewhere whoever is signed in."""


async def measured(stack: Stack, licenses: int, tags: int, runs: int) -> list[PageCost]:
    """Fill the installation and open every page."""
    names = await prepare(stack, licenses, tags)
    origin = f"http://{stack.name}"
    jar = aiohttp.CookieJar(treat_as_secure_origin=[URL(origin)])
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        opener = Opener(session, origin, worker(stack), stack.pid("redis"))
        await opener.sign_in()
        return [await opener.cost(page, names, runs) for page in pages(names)]


def table(costs: list[PageCost]) -> str:
    """Return the figures for people."""
    width = max(len(one.page) for one in costs)
    rows = [f"{'page':{width}}  {'ms':>7}  {'CPU ms':>7}  {'Redis':>7}  {'KiB':>6}"]
    rows += [
        f"{one.page:{width}}  {one.milliseconds:7.1f}  {one.cpu_milliseconds:7.1f}  {one.redis_milliseconds:7.1f}"
        f"  {one.kibibytes:6.1f}  {one.misses}"
        for one in costs
    ]
    return "\n".join(rows)


def main(argv: list[str]) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="make bench-portal", description=__doc__)
    parser.add_argument("--licenses", type=int, default=100_000, help="two of each customer  [default: %(default)s]")
    parser.add_argument("--tags", type=int, default=10_000, help="of three repositories  [default: %(default)s]")
    parser.add_argument("--runs", type=int, default=RUNS, help="times that a page is opened  [default: %(default)s]")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = parser.parse_args(argv)
    with installation(None, None) as stack:
        costs = asyncio.run(measured(stack, chosen.licenses, chosen.tags, chosen.runs))
    sys.stdout.write((json.dumps([asdict(one) for one in costs], indent=2) if chosen.json else table(costs)) + "\n")
    return int(any(one.misses for one in costs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
