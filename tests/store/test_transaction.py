"""Changes: everything or nothing, once, in an order that a full store cannot tear apart, told in the same step."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typing_extensions import override

from authsvc.audit.entry import ChangeLog, Entry
from authsvc.errors import Conflict, OperationRepeated, StoreUnavailable
from authsvc.redaction import Secret
from authsvc.store import keys
from authsvc.store.batched_writes import ScriptCall
from authsvc.store.connection import Connection
from authsvc.store.transaction import Transaction, unlogged
from tests.support.builders import NOW
from tests.support.redis_server import connected


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected("--appendfsync", "no") as opened:
        yield opened


def change(operation_id: str = "op-1", log: ChangeLog = unlogged) -> Transaction:
    """Begin a change."""
    return Transaction(Entry(operation_id, NOW, "test.done", "system:authsvc"), log)


async def told(connection: Connection) -> list[str]:
    """Return the ids of what the audit was told."""
    lines: Any = await connection.redis.xrange(keys.AUDIT)
    return [json.loads(line[b"entry"])["id"] for _, line in lines]


async def test_all_of_it_happens(connection: Connection) -> None:
    """Every kind of write is done, and the audit is told once."""
    await connection.redis.set("old", "1")
    await connection.redis.sadd("set", "gone", "kept")
    work = change()
    work.put("text", b'{"a":"\\u00e9\\"\\\\"}')
    work.put("short", b"1", 60)
    work.remove("old")
    work.add_to_set("set", "new")
    work.remove_from_set("set", "gone")
    work.add_to_order("order", 1.5, "one")
    await work.apply(connection)

    assert b'{"a":"\\u00e9\\"\\\\"}' == await connection.get("text")
    assert 0 < await connection.redis.ttl("short") <= 60
    assert await connection.get("old") is None
    assert {b"kept", b"new"} == await connection.redis.smembers("set")
    assert [(b"one", 1.5)] == await connection.redis.zrange("order", 0, -1, withscores=True)
    assert ["op-1"] == await told(connection)


@pytest.mark.parametrize("broken", ["there", "absent", "other"])
async def test_a_broken_precondition_stops_all_of_it(connection: Connection, broken: str) -> None:
    """Whichever condition fails, its own sentence is told, and nothing is written: no key, no audit entry, no log."""
    await connection.redis.mset({"a": "1", "b": "1"})
    logged: list[Entry] = []
    work = change(log=logged.append)
    work.put("c", b"1")
    work.remove("a")
    work.expect("a", b"1", "never told")
    if broken == "there":
        work.expect_absent("b", "told")
    else:
        work.expect("absent" if broken == "absent" else "b", b"2", "told")

    with pytest.raises(Conflict, match=r"^told$"):
        await work.apply(connection)
    assert {b"a", b"b"} == set(await connection.redis.keys())
    assert [] == logged


@pytest.mark.parametrize("value", [b"", b"0", b"\x00", "\u2028\U0001f600é".encode(), b"x" * 100_000, b'"\\/\b\f\n\r\t'])
async def test_values_are_compared_and_kept_byte_for_byte(connection: Connection, value: bytes) -> None:
    """What is written is what is read and what the next change insists on, whatever the text."""
    work = change()
    work.put("key", value)
    await work.apply(connection)
    again = change("op-2")
    again.expect("key", value, "it is another")
    again.put("key", b"next")
    await again.apply(connection)

    assert b"next" == await connection.get("key")


async def test_a_record_keeps_its_life_when_it_is_changed(connection: Connection) -> None:
    """A refresh token that is revoked is forgotten when it would have been, and no later."""
    await connection.redis.set("key", "1", ex=100)
    work = change()
    work.put("key", b"2", keep_life=True)
    await work.apply(connection)

    assert 0 < await connection.redis.ttl("key") <= 100


@pytest.mark.parametrize("count", [0, 1, 5, 6, 9])
async def test_only_the_newest_are_kept(connection: Connection, count: int) -> None:
    """The highest stay in the order with their records; the others and their records go."""
    for number in range(count):
        await connection.redis.zadd("order", {f"i{number}": number})
        await connection.redis.set(f"record:i{number}", "1")
    work = change()
    work.put("record:new", b"1")
    work.add_to_order("order", 100, "new")
    work.keep_newest("order", 5, "record:")
    await work.apply(connection)
    names = [*(f"i{number}" for number in range(count)), "new"][-5:]

    assert [name.encode() for name in names] == await connection.redis.zrange("order", 0, -1)
    assert {f"record:{name}".encode() for name in names} == set(await connection.redis.keys("record:*"))


@pytest.mark.parametrize(("scores", "full"), [((), False), ((1, 2), False), ((8, 9), False), ((7.5, 8, 9), True)])
async def test_a_full_window_refuses_the_change(connection: Connection, scores: tuple[float, ...], full: bool) -> None:
    """Only items from the beginning of the window on count, and the beginning belongs to it."""
    for score in scores:
        await connection.redis.zadd("order", {f"i{score}": score})
    work = change()
    work.expect_fewer("order", 3, 7.5, "too many", "sign_ins_too_many")
    work.put("key", b"1")
    if full:
        with pytest.raises(Conflict, match=r"^too many$"):
            await work.apply(connection)
    else:
        await work.apply(connection)

    assert (None if full else b"1") == await connection.get("key")
    assert ([] if full else ["op-1"]) == await told(connection)


async def test_a_second_attempt_has_no_second_effect(connection: Connection) -> None:
    """The same operation again is neither refused nor done, though its precondition no longer holds."""
    logged: list[Entry] = []
    work = change(log=logged.append)
    work.expect_absent("key", "it is there")
    work.put("key", b"1")
    for _ in range(2):
        await work.apply(connection)
    await connection.redis.delete("key")
    await work.apply(connection)

    assert await connection.get("key") is None
    assert ["op-1"] == await told(connection)
    assert [work.entry] == logged


async def test_another_attempt_is_neither_done_nor_logged(connection: Connection) -> None:
    """Two processes that are given one operation do it once; the second one learns what the first one made."""
    logged: list[Entry] = []
    for result in ("first", "second"):
        work = Transaction(Entry("op-1", NOW, "test.done", "system:authsvc"), logged.append, result)
        work.put(result, b"1")
        if result == "first":
            await work.apply(connection)
        else:
            with pytest.raises(OperationRepeated) as repeated:
                await work.apply(connection)
            assert "first" == repeated.value.result

    assert await connection.get("second") is None
    assert (["op-1"], 1) == (await told(connection), len(logged))


class Deaf(Connection):
    """Loses the replies to the first commands, which are done all the same."""

    losses = 0

    @override
    async def run_script(self, call: ScriptCall) -> Any:
        """Run the script, and perhaps pretend that no answer came."""
        reply = await super().run_script(call)
        if self.losses:
            self.losses -= 1
            raise StoreUnavailable("no answer", uncertain=True)
        return reply


@pytest.mark.parametrize("losses", [0, 1, 2])
async def test_a_lost_reply_is_asked_for_once_more(connection: Connection, losses: int) -> None:
    """One loss is not noticed, and logged once; two are told as unclear; the change is there, once, in either case."""
    deaf = Deaf(Secret(f"unix://{connection.redis.connection_pool.connection_kwargs['path']}"))
    deaf.losses = losses
    logged: list[Entry] = []
    work = change(log=logged.append)
    work.expect_absent("key", "it is there")
    work.put("key", b"1")
    if losses < 2:
        await work.apply(deaf)
    else:
        with pytest.raises(StoreUnavailable, match="may be done or not"):
            await work.apply(deaf)
    await deaf.close()

    assert ([work.entry] if losses < 2 else []) == logged
    assert b"1" == await connection.get("key")
    assert ["op-1"] == await told(connection)


async def test_a_full_store_refuses_the_whole_change(connection: Connection) -> None:
    """Removals come last, so that a store without room for the record still has what it replaces."""
    await connection.redis.mset({"old": "1", "filler": "x" * 2_000_000})
    await connection.redis.zadd("order", {"old": 1})
    await connection.redis.config_set("maxmemory", "1mb")
    work = change()
    work.remove("old")
    work.keep_newest("order", 0, "")
    work.put("new", b"1")
    with pytest.raises(StoreUnavailable):
        await work.apply(connection)
    await connection.redis.config_set("maxmemory", "0")

    assert b"1" == await connection.get("old")
    assert 1 == await connection.redis.zcard("order")
    assert await connection.get("new") is None
    assert [] == await told(connection)


async def test_of_many_at_once_each_sees_the_one_before(connection: Connection) -> None:
    """A counter that fifty change by what they have read is never set back."""
    await connection.redis.set("key", "0")

    async def add(number: int) -> int:
        attempts = 0
        while True:
            attempts += 1
            raw = await connection.get("key")
            assert raw is not None
            work = change(f"op-{number}-{attempts}")
            work.expect("key", raw, "somebody was faster")
            work.put("key", str(int(raw) + 1).encode())
            try:
                await work.apply(connection)
            except Conflict:
                continue
            return attempts

    attempts = await asyncio.gather(*(add(number) for number in range(50)))
    assert b"50" == await connection.get("key")
    assert sum(attempts) > 50
    assert 50 == len(await told(connection))
