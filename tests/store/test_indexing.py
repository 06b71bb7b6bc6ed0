"""When passes are made, and by whom."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from random import Random

import pytest
from attrs import define, field

from authsvc.logs import make_logger
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.indexing import AGAIN_AFTER, PASS_EVERY, RECENT, Indexing
from authsvc.store.migration import Migration, read_progress
from authsvc.store.records import Records
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
        await connection.redis.sadd(keys.TEAMS, "acme")
        await connection.redis.sadd(keys.team_apps("acme"), "alpha")
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


async def test_who_has_no_lease_makes_no_pass(world: World) -> None:
    """One worker at a time."""
    await world.records.connection.redis.set(keys.MIGRATION_LEASE, "somebody-else", ex=60)
    await world.start().look()

    assert (await read_progress(world.records)).ended_at is None
