"""How much the audit takes is counted and not estimated, whoever writes, trims or interferes."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from authsvc.audit.entry import Entry
from authsvc.audit.pending_entry import PendingEntry
from authsvc.store import keys
from authsvc.store.audit_size import ENTRY_OVERHEAD, OVERHEAD_SHARE
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.connection import Connection
from authsvc.store.transaction import Transaction
from tests.support.audit_stream import forget
from tests.support.builders import NOW
from tests.support.redis_server import connected

MIB = 1024 * 1024


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected() as opened:
        yield opened


def entry(length: int, *, proven: bool = True, count: int = 1) -> PendingEntry:
    """Return an entry whose text has so many bytes."""
    facts = {"event": "token.issued", "x": ""}
    return PendingEntry(json.dumps({**facts, "x": "x" * (length - len(json.dumps(facts)))}), b"\0" * 8, count, proven)


async def exact(stream: RedisAudit) -> int:
    """Return what the entries of the stream add up to."""
    found, cursor = 0, ""
    while page := await stream.after(cursor, 500):
        for one in page:
            length = one.length + len(one.ids)
            found += length + length // OVERHEAD_SHARE + ENTRY_OVERHEAD
        cursor = page[-1].cursor
    return found


@pytest.mark.parametrize("length", [300, 600, 1000, 4000, 7000])
async def test_the_count_is_what_redis_takes(connection: Connection, length: int) -> None:
    """For entries of every usual size the count is near the memory that Redis gives for the whole stream."""
    stream = RedisAudit(connection, 64 * MIB)
    for batch in range(10):
        await stream.append(f"b{batch}", [entry(length) for _ in range(30)])
    taken = await connection.redis.memory_usage(keys.AUDIT, samples=0) or 0

    assert 0.8 * taken < (await stream.used()).bytes < 1.7 * taken


async def test_every_writer_counts(connection: Connection) -> None:
    """Batches of several workers, changes and trims leave a count that is exact."""
    workers = [RedisAudit(connection, 64 * MIB) for _ in range(3)]
    await asyncio.gather(
        *(w.append(f"{n}-{b}", [entry(200 + 10 * b)] * 5) for n, w in enumerate(workers) for b in range(6))
    )
    change = Transaction(Entry("op", NOW, "test.done", "system:authsvc", {"text": "y" * 3000}))
    for _ in range(2):  # the second time as after a lost reply
        await change.apply(connection)
    await forget(workers[0], await workers[0].after("", 33))
    await workers[1].append("0-0", [entry(200)] * 5)
    used = await workers[2].used()

    assert (await exact(workers[0]), True) == (used.bytes, used.trusted)
    assert 90 + 1 - 33 == await connection.redis.xlen(keys.AUDIT)


@pytest.mark.parametrize("interference", ["XADD", "XTRIM", "DEL size", "DEL stream"])
async def test_interference_is_seen_and_mended(connection: Connection, interference: str) -> None:
    """What an older version, a restored backup or a person does to the stream does not stay uncounted."""
    stream, redis = RedisAudit(connection, 64 * MIB), connection.redis
    await stream.append("one", [entry(500)] * 20)
    match interference:
        case "XADD":
            await redis.xadd(keys.AUDIT, {"entry": "z" * 100_000})
        case "XTRIM":
            await redis.xtrim(keys.AUDIT, maxlen=3, approximate=False)
        case "DEL size":
            await redis.delete(keys.AUDIT_SIZE)
        case _:
            await redis.delete(keys.AUDIT)
    assert not (await stream.used()).trusted
    await stream.append("two", [entry(400)])
    await stream.recount()
    used = await stream.used()

    assert (await exact(stream), True) == (used.bytes, used.trusted)


async def test_what_is_written_during_a_recount_is_counted_once(connection: Connection) -> None:
    """A stream of many steps that goes on growing and is counted anew ends with the right count."""
    stream = RedisAudit(connection, 64 * MIB)
    for batch in range(8):
        await stream.append(f"b{batch}", [entry(400)] * 400)
    await connection.redis.delete(keys.AUDIT_SIZE)

    async def goes_on() -> None:
        for number in range(20):
            await stream.append(f"c{number}", [entry(300)] * 10)

    await asyncio.gather(stream.recount(), goes_on())
    used = await stream.used()

    assert (await exact(stream), True) == (used.bytes, used.trusted)


async def test_a_batch_ends_where_the_budget_does(connection: Connection) -> None:
    """A batch of 256 KiB that meets a nearly full audit is written as far as it fits, and the rest is told as lost."""
    stream = RedisAudit(connection, MIB)
    batches = [await stream.append(f"b{n}", [entry(500, count=3)] * 400) for n in range(6)]

    written = await connection.redis.xlen(keys.AUDIT)
    assert stream.share - 1000 < (await stream.used()).bytes <= stream.share
    assert 3 * (6 * 400 - written) == sum(batch.lost for batch in batches)
    assert (0, 1200) == (batches[0].lost, batches[5].lost)


async def test_one_enormous_entry_among_small_ones_is_seen(connection: Connection) -> None:
    """An estimate from the first entries, as MEMORY USAGE makes it, would miss it."""
    stream = RedisAudit(connection, 64 * MIB)
    await stream.append("small", [entry(300)] * 200)
    await stream.append("large", [entry(1_000_000)])
    await stream.append("more", [entry(300)] * 200)
    sampled = await connection.redis.memory_usage(keys.AUDIT)

    assert (await stream.used()).bytes > 1_000_000
    assert sampled is not None
    assert sampled < 500_000


async def test_the_unproven_have_their_own_count(connection: Connection) -> None:
    """What fails before identity keeps within its bytes and its number, whatever the sizes, and counts as its own."""
    stream = RedisAudit(connection, MIB)
    for batch in range(60):
        await stream.append(f"b{batch}", [entry(50 if batch % 2 else 4000, proven=False)] * 10)
    counted = await connection.redis.hget(keys.AUDIT_UNPROVEN_SIZE, "bytes")

    assert MIB // 8 - 5000 < int(counted or 0) <= MIB // 8
    assert 0 == (await stream.used()).bytes
