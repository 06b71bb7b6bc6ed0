"""When credentials were used: noted in memory, written in batches, bounded, and harmless when it is lost."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from authsvc.logs import make_logger
from authsvc.processes.waiting import ended
from authsvc.store import keys, usage
from authsvc.store.connection import Connection
from authsvc.store.usage import RedisUsage
from tests.support.builders import NOW
from tests.support.redis_server import connected, redis_server
from tests.support.waiting import PATIENCE, PAUSE


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected("--appendfsync", "no") as opened:
        yield opened


def notes(connection: Connection, log: io.StringIO | None = None) -> RedisUsage:
    """Return something that notes."""
    return RedisUsage(connection, make_logger("info", log or io.StringIO()))


async def test_only_the_last_use_is_written_and_once(connection: Connection) -> None:
    """A thousand uses between two batches are one write."""
    noted = notes(connection)
    for second in range(1000):
        noted.record("one", NOW + timedelta(seconds=second))
    await connection.redis.config_resetstat()
    await noted.flush()
    await noted.flush()

    assert 1 == (await connection.redis.info("commandstats"))["cmdstat_set"]["calls"]
    assert (NOW + timedelta(seconds=999)).isoformat().encode() == await connection.get(keys.used("one"))


async def test_the_most_that_is_noted_is_written_and_holds_up_nobody(connection: Connection) -> None:
    """Fifty thousand uses are written in batches, and between any two the worker answers others."""
    log, turns = io.StringIO(), 0
    noted = notes(connection, log)
    for number in range(usage.MAX_USES):
        noted.record(f"credential-{number}", NOW)
    await connection.redis.config_resetstat()
    flushing = asyncio.create_task(noted.flush())
    while not flushing.done():
        await asyncio.sleep(0)
        turns += 1
    await flushing
    calls = await connection.redis.info("commandstats")

    assert ("", usage.MAX_USES) == (log.getvalue(), await connection.redis.dbsize())
    batches = sum(calls.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))
    assert batches >= usage.MAX_USES / usage.MAX_BATCH
    assert turns >= batches


async def test_a_note_is_forgotten_after_a_year_and_more(connection: Connection) -> None:
    """Longer than any idle end, and not for ever."""
    noted = notes(connection)
    noted.record("one", NOW)
    await noted.flush()

    assert usage.EXPIRES_AFTER - 60 < await connection.redis.ttl(keys.used("one")) <= usage.EXPIRES_AFTER


async def test_memory_is_bounded(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound new credentials wait for their next use; those that are noted go on."""
    monkeypatch.setattr(usage, "MAX_USES", 2)
    noted = notes(connection)
    for name in ("one", "two", "three"):
        noted.record(name, NOW)
    noted.record("one", NOW + timedelta(hours=1))
    await noted.flush()

    assert (NOW + timedelta(hours=1)).isoformat().encode() == await connection.get(keys.used("one"))
    assert await connection.get(keys.used("two")) is not None
    assert await connection.get(keys.used("three")) is None


async def test_what_is_left_is_written_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that stops cleanly forgets nothing: neither the batch that is under way then nor those behind it."""
    monkeypatch.setattr(usage, "FLUSH_EVERY", 0)
    async with redis_server("--appendfsync", "no") as server:
        connection, other = Connection(server.url, deadline=3 * PATIENCE), Connection(server.url)
        noted, many = notes(connection), 2 * usage.MAX_BATCH
        for number in range(many):
            noted.record(f"credential-{number}", NOW)
        await other.redis.client_pause(int(PATIENCE * 1000), all=False)
        flushing = asyncio.create_task(noted.run())
        async with asyncio.timeout(PATIENCE):
            while not any(client["cmd"].startswith("eval") for client in await other.redis.client_list()):
                await asyncio.sleep(PAUSE)
        await ended(flushing)
        await other.redis.client_unpause()
        await noted.flush()
        found = await other.redis.dbsize()
        await connection.close()
        await other.close()

    assert found == many


async def test_a_use_during_a_batch_is_written_by_the_next_one(connection: Connection) -> None:
    """What is written is forgotten, and nothing else."""
    noted = notes(connection)
    noted.record("one", NOW)
    flushing = asyncio.create_task(noted.flush())
    await asyncio.sleep(0)
    noted.record("one", NOW + timedelta(hours=1))
    await flushing
    first = await connection.get(keys.used("one"))
    await noted.flush()

    assert (NOW.isoformat().encode(), (NOW + timedelta(hours=1)).isoformat().encode()) == (
        first,
        await connection.get(keys.used("one")),
    )


async def test_a_batch_that_can_not_be_written_is_told_and_dropped() -> None:
    """While the store is away the worker goes on, and says how many uses were not noted."""
    log = io.StringIO()
    async with redis_server("--appendfsync", "no") as server:
        connection = Connection(server.url)
        noted = notes(connection, log)
        noted.record("one", NOW)
        noted.record("two", NOW)
        await server.stop()
        await noted.flush()
        await server.start()
        await back(connection, noted)
        found = await connection.get(keys.used("three"))
        await connection.close()

    assert '"event":"usage.not_written"' in log.getvalue()
    assert '"credentials":2' in log.getvalue()
    assert found is not None


async def back(connection: Connection, noted: RedisUsage) -> None:
    """Note once more until it is written: what fails is dropped."""
    async with asyncio.timeout(PATIENCE):
        while not await connection.redis.exists(keys.used("three")):
            noted.record("three", NOW)
            await noted.flush()
            await asyncio.sleep(PAUSE)
