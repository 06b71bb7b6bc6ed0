"""When credentials were used: noted in memory, written in batches, bounded, and harmless when it is lost."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from authsvc.logs import make_logger
from authsvc.store import keys, usage
from authsvc.store.connection import Connection
from authsvc.store.usage import RedisUsage
from tests.support.builders import NOW
from tests.support.redis_server import RedisServer, connected, redis_server


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
        noted.note("one", NOW + timedelta(seconds=second))
    await connection.redis.config_resetstat()
    await noted.flush()
    await noted.flush()

    assert 1 == (await connection.redis.info("commandstats"))["cmdstat_set"]["calls"]
    assert (NOW + timedelta(seconds=999)).isoformat().encode() == await connection.get(keys.used("one"))


async def test_the_most_that_is_noted_is_written_and_holds_up_nobody(connection: Connection) -> None:
    """Fifty thousand uses are written within their deadlines, and the worker answers others meanwhile."""
    log = io.StringIO()
    noted = notes(connection, log)
    for number in range(usage.MAX_NOTED):
        noted.note(f"credential-{number}", NOW)
    flushing, longest = asyncio.create_task(noted.flush()), 0.0
    while not flushing.done():
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(0.001)
        longest = max(longest, asyncio.get_running_loop().time() - before)
    await flushing

    assert ("", usage.MAX_NOTED) == (log.getvalue(), await connection.redis.dbsize())
    assert longest < 0.25


async def test_a_note_is_forgotten_after_a_year_and_more(connection: Connection) -> None:
    """Longer than any idle end, and not for ever."""
    noted = notes(connection)
    noted.note("one", NOW)
    await noted.flush()

    assert usage.KEPT_FOR - 60 < await connection.redis.ttl(keys.used("one")) <= usage.KEPT_FOR


async def test_memory_is_bounded(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound new credentials wait for their next use; those that are noted go on."""
    monkeypatch.setattr(usage, "MAX_NOTED", 2)
    noted = notes(connection)
    for name in ("one", "two", "three"):
        noted.note(name, NOW)
    noted.note("one", NOW + timedelta(hours=1))
    await noted.flush()

    assert (NOW + timedelta(hours=1)).isoformat().encode() == await connection.get(keys.used("one"))
    assert await connection.get(keys.used("two")) is not None
    assert await connection.get(keys.used("three")) is None


async def test_what_is_left_is_written_at_the_end(connection: Connection) -> None:
    """A worker that stops cleanly forgets nothing."""
    noted = notes(connection)
    task = asyncio.create_task(noted.keep_flushing())
    await asyncio.sleep(0)
    noted.note("one", NOW)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await connection.get(keys.used("one")) is not None


async def test_a_batch_that_can_not_be_written_is_told_and_dropped() -> None:
    """While the store is away the worker goes on, and says how many uses were not noted."""
    log = io.StringIO()
    async with redis_server("--appendfsync", "no") as server:
        connection = Connection(server.url)
        noted = notes(connection, log)
        noted.note("one", NOW)
        noted.note("two", NOW)
        await server.stop()
        await noted.flush()
        await back(server, noted)
        found = await connection.get(keys.used("three"))
        await connection.close()

    assert '"event": "usage.not_written"' in log.getvalue()
    assert '"credentials": 2' in log.getvalue()
    assert found is not None


async def back(server: RedisServer, noted: RedisUsage) -> None:
    """Let the store come back, and note once more."""
    await server.start()
    for _ in range(40):
        noted.note("three", NOW)
        await noted.flush()
        await asyncio.sleep(0.05)
