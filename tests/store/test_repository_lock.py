"""The lock on a repository, on a real Redis: one holder at a time, and none for long after it died."""

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import count

import pytest

from authsvc.errors import Conflict
from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.repository_lock import RepositoryLocks
from tests.support.redis_server import connected

REPOSITORY = "acme/x"


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected() as opened:
        yield opened


async def holder(connection: Connection) -> bytes | None:
    """Return who holds the lock."""
    return await connection.get(keys.repository_lock(REPOSITORY))


async def test_one_at_a_time(connection: Connection) -> None:
    """Of many who want it at once each gets it, one after the other, and other repositories are free meanwhile."""
    locks, inside, most, names = RepositoryLocks(connection), 0, 0, count()

    async def work() -> None:
        nonlocal inside, most
        async with locks.locked(REPOSITORY, f"h{next(names)}"):
            inside += 1
            most = max(most, inside)
            async with locks.locked(f"acme/{next(names)}", "other"):
                await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(8)))

    assert most == 1
    assert await holder(connection) is None


async def test_a_holder_that_died_is_waited_out(connection: Connection) -> None:
    """Its lock ends by itself."""
    await connection.run(connection.redis.set(keys.repository_lock(REPOSITORY), "dead", px=300))
    async with RepositoryLocks(connection).locked(REPOSITORY, "h1"):
        assert await holder(connection) == b"h1"


async def test_a_holder_that_takes_too_long(connection: Connection) -> None:
    """Whoever waits is refused in the end, and the holder keeps the lock."""
    async with RepositoryLocks(connection).locked(REPOSITORY, "h1"):
        with pytest.raises(Conflict) as refused:
            async with RepositoryLocks(connection, patience=0.0).locked(REPOSITORY, "h2"):
                pass
        assert await holder(connection) == b"h1"

    assert refused.value.code == "image_deletion_running"


async def test_it_is_kept_for_longer_than_a_lease(connection: Connection) -> None:
    """A holder that waits for the registry still has it afterwards."""
    async with RepositoryLocks(connection, lease=1.5).locked(REPOSITORY, "h1"):
        began = time.monotonic()
        while time.monotonic() < began + 2.5:
            assert await holder(connection) == b"h1"
            await asyncio.sleep(0.02)


async def test_a_lost_lock_is_noticed(connection: Connection) -> None:
    """A holder whose lock another one has got can neither extend nor release it."""
    async with RepositoryLocks(connection).locked(REPOSITORY, "h1") as lock:
        await connection.run(connection.redis.set(keys.repository_lock(REPOSITORY), "h2", px=60_000))
        with pytest.raises(Conflict) as lost:
            await lock.extend()

    assert lost.value.code == "image_deletion_running"
    assert await holder(connection) == b"h2"


async def test_a_lock_that_ended_is_noticed(connection: Connection) -> None:
    """A holder that was stopped for longer than a lease finds out, even if nobody else came."""
    async with RepositoryLocks(connection).locked(REPOSITORY, "h1") as lock:
        await connection.run(connection.redis.delete(keys.repository_lock(REPOSITORY)))
        with pytest.raises(Conflict):
            await lock.extend()


async def test_an_error_releases_it(connection: Connection) -> None:
    """So does a cancellation."""
    with pytest.raises(ZeroDivisionError):
        async with RepositoryLocks(connection).locked(REPOSITORY, "h1"):
            raise ZeroDivisionError
    assert await holder(connection) is None

    async def forever() -> None:
        async with RepositoryLocks(connection).locked(REPOSITORY, "h2"):
            await asyncio.Event().wait()

    task = asyncio.create_task(forever())
    await _held(connection, b"h2")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await holder(connection) is None


async def _held(connection: Connection, name: bytes) -> None:
    while await holder(connection) != name:
        await asyncio.sleep(0.01)
