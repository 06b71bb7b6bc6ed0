"""Pages of every long list of a large installation: what each costs this process and Redis."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any

from attrs import frozen

from authsvc.store.indexes import entries_of, instant
from authsvc.store.records import Records, mode_query
from authsvc.tenancy.license_filter import LicenseFilter
from authsvc.tenancy.pages import MAX_PAGE, Page, write_cursor
from authsvc.tenancy.records import License
from authsvc.wiring.stores import make_stores
from tests.bench.figure import Figure
from tests.bench.installation import APP, TEAM
from tests.bench.load import processor_seconds
from tests.bench.scale_filling import World

JOIN = "\n"
"""Between the name of a range and an entry, in the place that a cursor names (:mod:`authsvc.store.lists`)."""

FIRST, DEEP = 12, 40
"""Pages from the beginning of a list, and from as many places anywhere in it."""

MOST_MILLISECONDS = 50

ReadPage = Callable[[str | None], Awaitable[Page[Any]]]
"""Reads the page behind a cursor."""


@frozen
class LongList:
    """One list.

    Attributes:
        name: for people.
        read: reads a page.
        cursors: of places anywhere in it.
    """

    name: str
    read: ReadPage
    cursors: Sequence[str] = ()


LICENSE_LISTS: Mapping[str, LicenseFilter] = {
    "licenses of the team": LicenseFilter.parse(team=TEAM),
    "licenses of an app": LicenseFilter.parse(team=TEAM, app=APP),
    "active licenses of the team": LicenseFilter.parse(team=TEAM, state="active"),
    "pending licenses of the team": LicenseFilter.parse(team=TEAM, state="pending"),
    "active licenses": LicenseFilter.parse(team=TEAM, app=APP, state="active"),
    "expired licenses": LicenseFilter.parse(team=TEAM, app=APP, state="expired"),
    "revoked licenses": LicenseFilter.parse(team=TEAM, app=APP, state="revoked"),
    "archived licenses": LicenseFilter.parse(team=TEAM, app=APP, state="archived"),
    "licenses that end within 30 days": LicenseFilter.parse(team=TEAM, app=APP, ends_within="30d"),
    "licenses by the beginning of a reference": LicenseFilter.parse(team=TEAM, app=APP, reference="crm-"),
    "licenses of customers by a word of one": LicenseFilter.parse(team=TEAM, app=APP, customer="0000012"),
    "licenses of customers by a word of all": LicenseFilter.parse(team=TEAM, app=APP, customer="customer"),
    "licenses by a reference, hardly any": LicenseFilter.parse(team=TEAM, app=APP, reference="crm-", state="pending"),
    "licenses by a word of all, hardly any": LicenseFilter.parse(team=TEAM, app=APP, customer="ltd", state="pending"),
}


def license_cursors(wanted: LicenseFilter, licenses: Sequence[License]) -> Iterator[str]:
    """Yield cursors as a page that ended with each license would have; of lists by customer there are none."""
    query = mode_query(wanted.query, settled=True)
    for one in licenses:
        ends, issued = instant(one.expires_at) + one.id, instant(one.issued_at) + one.id
        app = f"{TEAM} {one.app}"
        if wanted.customer:
            return
        if wanted.app is not None and one.app != wanted.app:
            continue
        if wanted == wanted.scope:
            place = f"{TEAM}{JOIN}{issued}" if wanted.app is None else f"{app}{JOIN}{one.id}"
        elif wanted.reference is not None:
            (entry,) = (entry for index, entry in entries_of(one) if "license-references" in index)
            place = f"{app}{JOIN}{entry}"
        else:
            place = f"{app}{JOIN}{ends if wanted.state not in {'revoked', 'archived'} else issued}"
        yield write_cursor(query, place)


def long_lists(records: Records, world: World, now: datetime) -> Iterator[LongList]:
    """Yield every list."""
    stores, random = make_stores(records), Random(1)
    some = [world.license(random.randrange(world.licenses)) for _ in range(4 * DEEP)]

    def of_licenses(wanted: LicenseFilter) -> ReadPage:
        return lambda after: stores.licenses.page(wanted, after, MAX_PAGE, now)

    for name, wanted in LICENSE_LISTS.items():
        yield LongList(name, of_licenses(wanted), list(license_cursors(wanted, some))[:DEEP])
    yield LongList("members", lambda after: stores.members.page(TEAM, after, MAX_PAGE))
    yield LongList("apps", lambda after: stores.apps.page(TEAM, after, MAX_PAGE, archived=True))
    for name, words, reference in (
        ("customers", (), None),
        ("customers by a word of all", ("customer",), None),
        ("customers by a word of one", ("0000012",), None),
        ("customers by the beginning of a reference", (), "c-00"),
    ):
        yield LongList(name, _of_customers(records, words, reference))


def _of_customers(records: Records, words: Sequence[str], reference: str | None) -> ReadPage:
    customers = make_stores(records).customers
    return lambda after: customers.page(TEAM, words, reference, after, MAX_PAGE)


async def measure_lists(records: Records, redis: int, world: World, now: datetime) -> list[Figure]:
    """Return the costliest page of each list, as the processor time that it takes of this process and of Redis."""
    figures = []
    for one in long_lists(records, world, now):
        _ = await one.read(None)  # so that no list pays for what the first use of a module or a script costs
    for one in long_lists(records, world, now):
        costs = [cost async for cost in _pages(one, redis)]
        figures.append(
            Figure(f"{one.name}: costliest of {len(costs)} pages", max(costs), "ms of CPU", MOST_MILLISECONDS)
        )
    return figures


async def _pages(one: LongList, redis: int) -> AsyncIterator[float]:
    after: str | None = None
    for _ in range(FIRST):
        page, cost = await _page(one, after, redis)
        yield cost
        after = page.next
        if after is None:
            break
    for cursor in one.cursors:
        yield (await _page(one, cursor, redis))[1]


async def _page(one: LongList, after: str | None, redis: int) -> tuple[Page[Any], float]:
    before = time.process_time() + processor_seconds(redis)
    page = await one.read(after)
    return page, 1000 * (time.process_time() + processor_seconds(redis) - before)
