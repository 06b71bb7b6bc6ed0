"""Who has followed a call to rotate: with several callers at once, and with a Redis that knows of fewer calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from attrs import evolve

from authsvc.manage.keys import Keys, Root
from authsvc.store import keys as names
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.workers import RedisWorkerRegistry
from authsvc.worker_status import WorkerStatus
from tests.support.installation import Installation
from tests.support.waiting import PATIENCE

ROOT, KID = "a" * 64, "kid-1"
LOOK = 0.02
"""Seconds between two looks of a worker."""


class NoFiles:
    """A secrets directory with one root and one license key, which nobody changes here."""

    def roots(self) -> list[Root]:
        """Return the root."""
        return [Root(ROOT, datetime.now(UTC) + timedelta(days=1), "in use")]

    async def license_keys(self) -> list[str]:
        """Return the name of the key."""
        return [KID]

    async def rotate_license_key(self) -> str:
        """Do nothing."""
        raise NotImplementedError

    async def rotate_sealing_key(self) -> str:
        """Do nothing."""
        raise NotImplementedError

    def prepare_root(self, now: datetime) -> str:
        """Do nothing."""
        raise NotImplementedError

    def switch_root(self) -> str:
        """Do nothing."""
        raise NotImplementedError

    def drop_old_roots(self) -> list[str]:
        """Do nothing."""
        raise NotImplementedError


async def asked() -> bool | None:
    """Ask no registry."""
    return None


def make_keys(connection: Connection) -> Keys:
    """Return the use case over the store."""
    registry = RedisWorkerRegistry(connection, Codec())
    return Keys(NoFiles(), registry, asked, timedelta(minutes=5), lambda: datetime.now(UTC))


@asynccontextmanager
async def worker(connection: Connection, followed: int = 0) -> AsyncIterator[asyncio.Event]:
    """Run a worker that has followed some calls; it looks for the next ones once the event is set."""
    registry, looks = RedisWorkerRegistry(connection, Codec()), asyncio.Event()
    now = datetime.now(UTC)
    status = WorkerStatus("w-1", followed, "0", now, now + timedelta(days=1), ROOT, (KID,), now)
    await registry.heartbeat(status)

    async def follow() -> None:
        last = followed
        while await looks.wait():
            if (called := await registry.generation()) != last:
                last = called
                await registry.heartbeat(evolve(status, generation=called, leaf_serial=f"{called:x}"))
            await asyncio.sleep(LOOK)

    task = asyncio.create_task(follow())
    try:
        yield looks
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_of_two_rotations_at_once_both_reach_everybody(house: Installation, connection: Connection) -> None:
    """A worker that followed the later call has followed the earlier one: nobody is told of a worker that hangs."""
    registry = RedisWorkerRegistry(connection, Codec())
    async with worker(connection) as looks:
        first = asyncio.create_task(make_keys(connection).rotate(house.operation()))
        while await registry.generation() < 1:
            await asyncio.sleep(LOOK)
        second = asyncio.create_task(make_keys(connection).rotate(house.operation()))
        while await registry.generation() < 2:
            await asyncio.sleep(LOOK)
        looks.set()
        done = await asyncio.wait_for(asyncio.gather(first, second), PATIENCE)

    assert [True, True] == [rotation.complete for rotation in done]


async def test_a_restored_redis_reaches_nobody_too_early(house: Installation, connection: Connection) -> None:
    """A worker that had followed more calls than Redis knows of counts only when it has followed this one."""
    async with worker(connection, followed=7) as looks:
        await connection.redis.set(names.KEY_GENERATION, "3")
        rotation = asyncio.create_task(make_keys(connection).rotate(house.operation()))
        await asyncio.sleep(10 * LOOK)
        assert not rotation.done()
        looks.set()
        reached = (await asyncio.wait_for(rotation, PATIENCE)).reached

    assert ["8"] == [one.leaf_serial for one in reached]


async def test_of_many_calls_at_once_none_is_refused(house: Installation, connection: Connection) -> None:
    """A key on the disk has changed already when the workers are called, so the call must not be lost."""
    registry = RedisWorkerRegistry(connection, Codec())
    calls = (registry.request_renewal(house.operation().entry("keys.rotated"), 0) for _ in range(8))

    assert list(range(1, 9)) == sorted(await asyncio.gather(*calls))
