"""When passes are made, and by whom."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from random import Random

import pytest
from attrs import define, field

from authsvc.audit.entry import Entry
from authsvc.logs import make_logger
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.indexing import AGAIN_AFTER, PASS_EVERY, RECENT, Indexing
from authsvc.store.migration import Migration, read_progress
from authsvc.store.records import Records
from authsvc.tenancy.license_filter import LicenseFilter
from authsvc.tenancy.records import App, Team
from authsvc.wiring.stores import make_stores
from tests.support.builders import NOW, make_license
from tests.support.old_records import write_old_licenses
from tests.support.redis_server import connected


@define
class World:
    """A store, the time, and whether an older version writes.

    Attributes:
        records: of the store.
        now: the present.
        only_new: whether every worker writes entries.
    """

    records: Records
    now: datetime = NOW
    only_new: bool = True
    started: int = field(default=0)

    def start(self) -> Indexing:
        """Return the task of a worker that starts now."""
        self.started += 1

        async def only_new() -> bool:
            return self.only_new

        migration = Migration(self.records, Random(self.started).randbytes)
        return Indexing(migration, only_new, f"worker-{self.started}", lambda: self.now, make_logger("error"))

    async def listed(self) -> int:
        """Return how many licenses of the team are listed."""
        page = await make_stores(self.records).licenses.page(LicenseFilter(team="acme"), None, 100, self.now)
        return len(page.items)

    async def passed(self, worker: Indexing) -> bool:
        """Let a worker look; return whether it made a pass to the end."""
        await self.records.connection.redis.delete(keys.MIGRATION_LEASE)
        before = (await read_progress(self.records)).ended_at
        await worker.look()
        return before != (await read_progress(self.records)).ended_at


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Yield a store that an older version left."""
    async with connected("--appendfsync", "no") as connection:
        records = Records(connection, Codec())
        stores, entry = make_stores(records), partial(Entry, at=NOW, event="test.done", actor="system:authsvc")
        await stores.teams.add(Team("acme", "Acme", NOW), entry("op-1"))
        await stores.apps.add(App("alpha", "acme", "Alpha", NOW), entry("op-2"))
        await write_old_licenses(records, [make_license(f"{n:016}", app="alpha", team="acme") for n in range(60)])
        yield World(records)


async def test_a_first_start_makes_a_pass_and_then_one_a_day(world: World) -> None:
    """Not more often, however many workers look."""
    worker, other = world.start(), world.start()

    assert await world.passed(worker)
    assert (await read_progress(world.records)).settled
    assert [False, False] == [await world.passed(worker), await world.passed(other)]
    world.now += PASS_EVERY
    assert [True, False] == [await world.passed(worker), await world.passed(other)]


async def test_a_start_makes_a_pass_unless_there_was_one_just_before(world: World) -> None:
    """An older version may have run in between."""
    assert await world.passed(world.start())
    world.now += RECENT
    assert not await world.passed(world.start())
    world.now += timedelta(seconds=1)
    assert await world.passed(world.start())


async def test_passes_follow_each_other_until_no_older_version_writes(world: World) -> None:
    """Nothing is settled before."""
    worker, world.only_new = world.start(), False
    assert await world.passed(worker)
    assert not await world.passed(worker)
    world.now += AGAIN_AFTER
    assert await world.passed(worker)
    assert not (await read_progress(world.records)).settled
    world.now, world.only_new = world.now + AGAIN_AFTER, True
    assert await world.passed(worker)

    assert (await read_progress(world.records)).settled


async def test_lists_do_without_indexes_while_an_older_version_is_back(world: World) -> None:
    """A process that saw the indexes settled lists what the older version creates, and later the indexes have it."""
    worker = world.start()
    assert await world.passed(worker)
    assert await world.records.list_mode("q", None)
    world.only_new = False
    await world.passed(worker)
    assert not await world.records.list_mode("q", None)
    await write_old_licenses(world.records, [make_license("older".ljust(16, "0"), app="alpha", team="acme")])
    assert 61 == await world.listed()
    world.now, world.only_new = world.now + AGAIN_AFTER, True
    assert await world.passed(worker)

    assert await world.records.list_mode("q", None)
    assert 61 == await world.listed()


async def test_what_an_older_version_created_meanwhile_is_listed_from_the_start(world: World) -> None:
    """A way back and forth again: the first look finds a license without a customer, before the pass has ended."""
    assert await world.passed(world.start())
    await write_old_licenses(world.records, [make_license("older".ljust(16, "0"), app="alpha", team="acme")])
    world.now += RECENT + timedelta(seconds=1)
    await world.records.connection.redis.set(keys.MIGRATION_LEASE, "somebody-else", ex=60)
    await world.start().look()

    assert 61 == await world.listed()
    assert not await world.records.list_mode("q", None)
    assert await world.passed(world.start())
    assert await world.records.list_mode("q", None)
    assert 61 == await world.listed()


async def test_who_has_no_lease_makes_no_pass(world: World) -> None:
    """One worker at a time."""
    await world.records.connection.redis.set(keys.MIGRATION_LEASE, "somebody-else", ex=60)
    await world.start().look()

    assert (await read_progress(world.records)).ended_at is None
