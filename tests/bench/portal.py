"""``make bench-portal``: every page of the portal with 100,000 licenses and 10,000 tags.

A real stack is filled as a big vendor would, and each page is opened some times, one after the other, as somebody with
a browser does. What is printed is the median of each page: how long the answer took at nginx, what it took of the
worker's CPU, and its bytes. The exit code is 1 if one takes longer, or is longer, than is aimed at.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import aiohttp
from attrs import asdict, define, frozen
from yarl import URL

from tests.bench.installation import installation, worker
from tests.bench.portal_filling import OWNER, prepare
from tests.support.html_page import forms_of, read_page
from tests.support.portal_pages import LINK, PAGES, STATES, filled
from tests.support.stack import PASSWORD, Stack

SECONDS, BYTES = 0.150, 100 * 1024
"""What is aimed at, for each page."""

RUNS = 7


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
    "/portal/images/{app}/worker",
    "/portal/images/{app}/worker?tag=nothing",
    "/portal/customers?text=customer",
    "/portal/customers?text=crm-05&by=reference",
    "/portal/customers?state=expired",
    "/portal/customers?state=ends-soon",
    "/portal/activity?app={app}&since=400d",
    "/portal/activity?license={license}",
    "/portal/activity?image={app}/worker:1.0",
    "/portal/activity/explain?subject=license:{license}",
    "/portal/upstreams/new?provider=quay&app={app}",
    "/portal/join/" + LINK,
    "/c/{page}",
    "/c/{revoked_page}",
)
"""Pages in the states that cost most, besides each page as it is."""


def pages(names: Mapping[str, str]) -> list[str]:
    """Return what is opened: each page and those of :data:`MORE`, but for those with nothing in this installation."""
    paths = [f"/portal{path}" for path in PAGES] + [*MORE, *STATES]
    needed = {path: set(re.findall(r"\{(\w+)", path)) for path in paths}
    return [path for path in dict.fromkeys(paths) if needed[path] <= names.keys() and path not in NO_PAGES]


NO_PAGES = {
    *("/portal/", "/portal/sign-in", "/portal/join/{link}"),
    *("/portal/images/acme/worker", "/portal/images/acme/worker?tag=nothing"),
    *("/portal/activity/csv", "/portal/audit/export.csv", "/portal/audit/export.jsonl"),
}
"""They lead whoever is signed in elsewhere, are of another installation, or are downloads."""


async def measured(stack: Stack, licenses: int, tags: int, runs: int) -> list[PageCost]:
    """Fill the installation and open every page."""
    began = time.perf_counter()
    names = await prepare(stack, licenses, tags)
    sys.stderr.write(f"filled within {time.perf_counter() - began:.0f} s\n")
    origin = f"http://{stack.name}"
    jar = aiohttp.CookieJar(treat_as_secure_origin=[URL(origin)])
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        opener = Opener(session, origin, worker(stack), stack.pid("redis"))
        await opener.sign_in()
        costs = []
        for page in pages(names):
            costs.append(await opener.cost(page, names, runs))
            sys.stderr.write(f"{costs[-1]}\n")
        return costs


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
