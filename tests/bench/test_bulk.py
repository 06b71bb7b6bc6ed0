"""What is written in bulk is what a worker writes."""

from datetime import UTC, datetime
from functools import partial

from authsvc.audit.entry import Entry
from authsvc.store.codec import Codec
from authsvc.store.indexes import entries_of
from authsvc.store.ordered_index import OrderedIndexes
from authsvc.store.records import Records
from authsvc.tenancy.license_filter import LicenseFilter
from authsvc.tenancy.records import App, License, Team
from authsvc.wiring.stores import make_stores
from tests.bench.bulk import fill_licenses
from tests.bench.lists import APP, TEAM
from tests.support.builders import NOW
from tests.support.redis_server import connected


async def test_the_indexes_have_every_entry() -> None:
    """Every license is listed with its customer, and every entry of it is in its index, in order."""
    async with connected() as connection:
        records = Records(connection, Codec())
        stores, found, after = make_stores(records), list[License](), None
        entry = partial(Entry, at=NOW, event="test.done", actor="system:authsvc")
        await stores.teams.add(Team(TEAM, TEAM, NOW), entry("team"))
        await stores.apps.add(App(APP, TEAM, APP, NOW), entry("app"))
        await fill_licenses(records, 700, 300)
        while True:
            wanted = LicenseFilter.parse(team=TEAM, app=APP)
            page = await stores.licenses.page(wanted, after, 100, datetime.now(UTC))
            found += page.items
            after = page.next
            if after is None:
                break
        assert len(found) == 693  # a hundredth is archived
        expected = {entry for one in found for entry in entries_of(one)}
        indexes, read = OrderedIndexes(connection), set()
        for index in {index for index, _ in expected}:
            entries = await indexes.entries(index, limit=10_000)
            assert entries == sorted(entries, key=str.encode), index
            read |= {(index, entry) for entry in entries}
        assert expected <= read
        customers = {one.customer_id for one in found}
        assert len(customers) == 297  # all licenses of three are archived
        assert await stores.customers.get(str(found[0].customer_id)) is not None
