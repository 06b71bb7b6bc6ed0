"""The audit on a real Redis: written once, in order, within its budget, and never in the way of a change."""

import asyncio
import io
import json
import signal
from collections.abc import AsyncIterator
from itertools import count

import pytest

from authsvc.audit.entry import Entry
from authsvc.audit.pending_entry import PendingEntry
from authsvc.audit.recorder import AuditRecorder
from authsvc.errors import StoreUnavailable
from authsvc.logs import make_logger
from authsvc.store import keys
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.store.transaction import Transaction
from authsvc.wiring.stores import make_stores
from tests.support.audit_stream import forget
from tests.support.builders import NOW, as_license, make_app, make_license
from tests.support.decisions import asked, denied, refused
from tests.support.redis_server import connected, redis_server
from tests.support.waiting import PATIENCE, PAUSE

MIB = 1024 * 1024
PLENTY = 64 * MIB


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected() as opened:
        yield opened


def told(number: int, *, proven: bool = True, size: int = 300, needed: bool = False) -> PendingEntry:
    """Return an entry of about that many bytes."""
    event = "token.denied" if proven else "token.refused"
    return PendingEntry(json.dumps({"n": number, "event": event, "x": "x" * size}), b"\0" * 8, 1, proven, needed)


async def numbers(stream: RedisAudit, *, proven: bool = True) -> list[int]:
    """Return the numbers of all entries, oldest first."""
    found: list[int] = []
    cursor = ""
    while page := await stream.after(cursor, 500, proven=proven):
        found += [kept.facts["n"] for kept in page]
        cursor = page[-1].cursor
    return found


async def used(connection: Connection, key: str) -> int:
    """Return the bytes that a key takes, counted and not estimated."""
    return await connection.redis.memory_usage(key, samples=0) or 0


def make_trail(stream: RedisAudit, log: io.StringIO | None = None) -> AuditRecorder:
    """Return a trail that writes to ``stream``."""
    number = count(1)
    logger = make_logger("info", log or io.StringIO())
    return AuditRecorder(stream, logger, lambda: NOW, lambda: f"batch-{next(number)}")


async def test_a_batch_comes_back_as_it_was(connection: Connection) -> None:
    """Order, text, ids and the stream of each entry survive, and pages go both ways."""
    stream = RedisAudit(connection, PLENTY)
    await stream.append("one", [told(1), told(2, proven=False), told(3)])
    await stream.append("two", [told(4)])

    assert [1, 3, 4] == await numbers(stream)
    assert [2] == await numbers(stream, proven=False)
    newest = await stream.before("", 2)
    assert [4, 3] == [kept.facts["n"] for kept in newest]
    assert [1] == [kept.facts["n"] for kept in await stream.before(newest[-1].cursor, 2)]
    assert b"\0" * 8 == newest[0].ids


async def test_a_batch_that_is_sent_again_is_written_once(connection: Connection) -> None:
    """A batch has one effect however often its reply is lost."""
    stream = RedisAudit(connection, PLENTY)
    for _ in range(3):
        await stream.append("one", [told(1), told(2)])

    assert [1, 2] == await numbers(stream)


async def test_a_lost_reply_loses_and_doubles_nothing() -> None:
    """While Redis is stopped in the middle of batches and goes on, every decision is in it once."""
    async with redis_server() as server:
        connection = Connection(server.url)
        trail = make_trail(RedisAudit(connection, PLENTY))
        for number in range(60):
            if number % 20 == 10:
                server.send(signal.SIGSTOP)
            trail.record(asked(), denied(as_license(make_license(f"f{number:015d}"))))
            flushing = asyncio.create_task(trail.flush())
            await asyncio.sleep(0.03)
            if number % 20 == 10:
                await flushing
                server.send(signal.SIGCONT)
            await flushing
        await _written(trail)
        entries = await RedisAudit(connection, PLENTY).after("", 500)
        await connection.close()

    actors = [kept.facts["actor"] for kept in entries]
    assert sorted(f"license:f{number:015d}" for number in range(60)) == sorted(actors)
    assert 0 == trail.lost


async def _written(trail: AuditRecorder) -> None:
    """Wait until nothing waits: the breaker lets one through every half second."""
    async with asyncio.timeout(PATIENCE):
        while trail.waiting:
            await asyncio.sleep(PAUSE)
            await trail.flush(everything=True)


async def test_redis_killed_and_back() -> None:
    """Decisions of an outage are there when Redis is, with what was written before."""
    async with redis_server() as server:
        connection, log = Connection(server.url), io.StringIO()
        trail = make_trail(RedisAudit(connection, PLENTY), log)
        trail.record(asked(), denied())
        await trail.flush()
        await server.stop(signal.SIGKILL)
        for number in range(50):
            trail.record(asked(), denied(as_license(make_license(f"g{number:015d}"))))
        await trail.flush()
        assert 50 == trail.waiting
        await server.start()
        await _written(trail)
        entries = await RedisAudit(connection, PLENTY).after("", 500)
        await connection.close()

    assert (51, 0) == (len(entries), trail.lost)
    assert 1 == log.getvalue().count("audit.not_written")


async def test_a_full_audit_takes_no_decision_and_every_change(connection: Connection) -> None:
    """Above the budget decisions are refused and reported; a revocation, an alarm and noise are written."""
    stream = RedisAudit(connection, MIB)
    batch = 0
    while not (await stream.append(f"batch-{batch}", [told(n) for n in range(200)])).lost:
        batch += 1
    before = await connection.redis.xlen(keys.AUDIT)
    again = await stream.append("late", [told(1), told(2, proven=False), told(3, needed=True)])

    assert 1 == again.lost
    assert before + 1 == await connection.redis.xlen(keys.AUDIT)
    assert [2] == await numbers(stream, proven=False)
    assert stream.share - 500 < (await stream.used()).bytes < stream.share + 500
    assert await used(connection, keys.AUDIT) < MIB
    stores = make_stores(Records(connection, Codec()))
    await stores.apps.add(make_app(), Entry("op-app", NOW, "app.created", "system:authsvc"))
    app = await stores.apps.get("acme")
    assert app is not None
    license_ = make_license()
    await stores.licenses.add(license_, app, Entry("op-license", NOW, "license.created", "system:authsvc"))
    stored = await stores.licenses.get(license_.id)
    assert stored is not None
    revoked = make_license(revoked_at=NOW)
    entry = Entry("op-revoke", NOW, "license.changed", "system:authsvc", {"license": license_.id})
    await stores.licenses.replace(stored, revoked, entry)
    now = await stores.licenses.get(license_.id)
    assert (now is not None, ["license.changed"]) == (
        now is not None and now.record == revoked,
        [kept.facts["event"] for kept in await stream.before("", 1)],
    )


async def test_the_full_answer_survives_a_lost_reply(connection: Connection) -> None:
    """A batch that was refused is still refused when it is sent again, so that its losses are counted."""
    stream = RedisAudit(connection, MIB)
    batch = 0
    while not (await stream.append(f"batch-{batch}", [told(n) for n in range(200)])).lost:
        batch += 1

    assert 1 == (await stream.append("late", [told(1)])).lost
    await connection.redis.delete(keys.AUDIT, keys.AUDIT_SIZE)
    assert 1 == (await stream.append("late", [told(1)])).lost
    assert 0 == (await stream.append("later", [told(1)])).lost


async def test_what_was_unproven_stays_in_its_share(connection: Connection) -> None:
    """A flood of failures takes an eighth of the budget at most, and nothing of the rest."""
    stream = RedisAudit(connection, MIB)
    await stream.append("first", [told(1)])
    for batch in range(40):
        await stream.append(f"flood-{batch}", [told(batch * 100 + n, proven=False) for n in range(100)])

    assert await used(connection, keys.AUDIT_UNPROVEN) <= MIB // 8 + 8192
    left = await numbers(stream, proven=False)
    assert 3999 == left[-1]
    assert 100 < len(left) < 400
    assert [1] == await numbers(stream)


async def test_without_memory_nothing_is_half_written(connection: Connection) -> None:
    """When Redis itself is full, a batch waits whole, and trimming works."""
    stream = RedisAudit(connection, PLENTY)
    await stream.append("one", [told(n) for n in range(10)])
    await connection.redis.config_set("maxmemory", "1mb")
    with pytest.raises(StoreUnavailable):
        await stream.append("two", [told(99, proven=False), told(99)])
    assert await stream.elect("me", 30)
    await forget(stream, await stream.after("", 5))
    await connection.redis.config_set("maxmemory", "0")

    assert [5, 6, 7, 8, 9] == await numbers(stream)
    assert [] == await numbers(stream, proven=False)
    await stream.append("two", [told(10)])
    assert 10 == (await numbers(stream))[-1]


async def test_one_trims_at_a_time(connection: Connection) -> None:
    """Of two workers one is elected, again and again, until it is gone."""
    stream = RedisAudit(connection, PLENTY)

    assert [True, False, True] == [await stream.elect(name, 30) for name in ("a", "b", "a")]
    await connection.redis.delete(keys.AUDIT_TRIMMER)
    assert await stream.elect("b", 30)
    assert 29_000 < await connection.redis.pttl(keys.AUDIT_TRIMMER) <= 30_000


async def test_what_was_trimmed_is_known(connection: Connection) -> None:
    """A reader can tell a gap from a beginning."""
    stream = RedisAudit(connection, PLENTY)
    assert "0-0" == await stream.trimmed_until()
    await stream.append("one", [told(n) for n in range(10)])
    assert "0-0" == await stream.trimmed_until()
    page = await stream.after("", 4)
    await forget(stream, page)

    assert page[-1].cursor == await stream.trimmed_until()
    assert [4, 5, 6, 7, 8, 9] == await numbers(stream)


async def test_changes_and_decisions_stand_in_one_order(connection: Connection) -> None:
    """What happened between two decisions stands between them."""
    stream = RedisAudit(connection, PLENTY)
    await stream.append("one", [told(1)])
    change = Transaction(Entry("op", NOW, "test.done", "system:authsvc", {"n": 2}))
    change.put("authsvc:x", b"1")
    await change.apply(connection)
    await stream.append("two", [told(3)])

    assert [1, 2, 3] == await numbers(stream)


async def test_ten_thousand_refusals_of_each_kind_are_few_bytes(connection: Connection) -> None:
    """A cluster and a guesser that fail ten thousand times each leave some entries and some kilobytes."""
    trail = make_trail(RedisAudit(connection, PLENTY))
    for number in range(10_000):
        trail.record(asked(address=f"198.51.100.{number % 250}"), denied())
        trail.record(asked(address=f"198.51.100.{number % 250}"), refused(f"no License {number}"))
        if number % 1000 == 0:
            await trail.flush()
    await trail.flush(everything=True)

    entries = await connection.redis.xlen(keys.AUDIT), await connection.redis.xlen(keys.AUDIT_UNPROVEN)
    size = await used(connection, keys.AUDIT) + await used(connection, keys.AUDIT_UNPROVEN)
    assert entries[0] <= 5
    assert entries[1] <= 20
    assert size < 60_000
    assert 0 == trail.lost


async def test_a_damaged_entry_is_shown_as_one(connection: Connection) -> None:
    """What somebody else wrote into the stream stops no reader."""
    await connection.redis.xadd(keys.AUDIT, {"entry": b"\xff{"})
    await connection.redis.xadd(keys.AUDIT, {"other": b"1"})
    await connection.redis.xadd(keys.AUDIT, {"entry": b"[]"})

    found = await RedisAudit(connection, PLENTY).after("", 10)
    assert ["audit.unreadable"] * 3 == [kept.facts["event"] for kept in found]
