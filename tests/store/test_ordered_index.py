"""The ordered index against a sorted list, on a real Redis: ranges, prefixes, memory, and no long command."""

import asyncio
import bisect
import json
from collections.abc import AsyncIterator, Iterator
from random import Random

import pytest

from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.ordered_index import INDEX_FUNCTIONS, LEAF_SIZE, OrderedIndexes, end_of
from tests.support.redis_server import RedisServer, patient, server_in_background

INDEX = keys.index("test", "acme")
CHANGE = (
    INDEX_FUNCTIONS
    + """
for _, entry in ipairs(cjson.decode(ARGV[1])) do
  if string.sub(entry, 1, 1) == '+' then index_add(KEYS[1], string.sub(entry, 2)) end
  if string.sub(entry, 1, 1) == '-' then index_remove(KEYS[1], string.sub(entry, 2)) end
end
return index_find(KEYS[1], ARGV[2])
"""
)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Return a server that the tests of this module share."""
    with server_in_background("--appendfsync", "no") as running:
        yield running


@pytest.fixture
async def connection(server: RedisServer) -> AsyncIterator[Connection]:
    """Yield a connection to an empty store."""
    opened = patient(server)
    try:
        await opened.redis.flushall()
        yield opened
    finally:
        await opened.close()


async def change(connection: Connection, *changes: str, find: str = "") -> str | None:
    """Add (``+entry``) and remove (``-entry``), and return the first entry that begins with ``find``."""
    found = await connection.redis.eval(CHANGE, 1, INDEX, json.dumps(changes), find)
    return None if found is None else found.decode()


def made_up(random: Random) -> str:
    """Return an entry as indexes have them: a text that many share, and an id."""
    text = "".join(random.choices("ab\u00fc\u4e2d1", k=random.randrange(1, 4)))
    return f"{text}\0{random.randrange(10**6):06}"


@pytest.mark.parametrize("seed", range(4))
async def test_an_index_is_a_sorted_list(connection: Connection, seed: int) -> None:
    """After thousands of changes at random every range is what a sorted list says, and so is every prefix."""
    random, indexes, model = Random(seed), OrderedIndexes(connection), list[bytes]()
    for _ in range(60):
        batch = []
        for _ in range(random.randrange(1, 80)):
            shrinks = model and random.random() < (0.3 if seed % 2 else 0.55)
            entry = random.choice(model) if shrinks else made_up(random).encode()
            batch.append(f"{'-' if shrinks else '+'}{entry.decode()}")
            if shrinks:
                model.remove(entry)
            elif entry not in model:
                bisect.insort(model, entry)
        prefix = made_up(random)[: random.randrange(1, 6)]
        found = await change(connection, *batch, find=prefix)
        expected = next((one for one in model if one.startswith(prefix.encode())), None)
        assert (None if expected is None else expected.decode()) == found
        after = random.choice(model).decode() if model and random.random() < 0.5 else made_up(random)[:2]
        before = random.choice([b"", end_of(after), end_of("b"), *model[:1]])
        limit = random.randrange(1, 200)
        inside = [one.decode() for one in model if one > after.encode() and (not before or one < before)]
        assert inside[:limit] == await indexes.entries(INDEX, after=after, before=before, limit=limit)


async def test_what_is_done_already_changes_nothing(connection: Connection) -> None:
    """Adding twice and removing what is not there are harmless, so a change may be repeated."""
    await change(connection, "+b", "+b", "-a", "-a")

    assert ["b"] == await OrderedIndexes(connection).entries(INDEX, limit=10)
    assert [] == await OrderedIndexes(connection).entries(keys.index("test", "other"), limit=10)


async def test_an_emptied_index_leaves_one_part(connection: Connection) -> None:
    """What was removed leaves nothing that later reads would have to walk over."""
    entries = [f"{number:05}" for number in range(3000)]
    await change(connection, *(f"+{entry}" for entry in entries))
    await change(connection, *(f"-{entry}" for entry in entries[:-1]))

    assert [entries[-1]] == await OrderedIndexes(connection).entries(INDEX, limit=10)
    assert 2 >= await connection.redis.zcard(INDEX)
    assert [] == await OrderedIndexes(connection).entries(INDEX, after=entries[-1], limit=10)


@pytest.mark.parametrize("order", ["ascending", "random"])
async def test_an_entry_costs_few_bytes(connection: Connection, order: str) -> None:
    """At most 48 bytes for an id with an instant, where a sorted set of Redis needs 128: leaves stay compact."""
    entries = [f"{number:08}{number:016}" for number in range(20_000)]
    if order == "random":
        Random(3).shuffle(entries)
    used = (await connection.redis.info("memory"))["used_memory"]
    for start in range(0, len(entries), 1000):
        await change(connection, *(f"+{entry}" for entry in entries[start : start + 1000]))
    grown = (await connection.redis.info("memory"))["used_memory"] - used

    assert grown / len(entries) < 48
    leaves = [key async for key in connection.redis.scan_iter(f"{keys.LEAF}*")]
    assert {b"listpack"} == {await connection.redis.object("encoding", leaf) for leaf in leaves}
    assert all([LEAF_SIZE >= await connection.redis.zcard(leaf) for leaf in leaves])


async def test_changes_from_many_sides_meet(connection: Connection) -> None:
    """Each change is one step of Redis, so none is lost."""
    mine = [f"{number:05}" for number in range(1000)]
    await asyncio.gather(*(change(connection, *(f"+{entry}" for entry in mine[side::8])) for side in range(8)))

    found, after = [], ""
    while page := await OrderedIndexes(connection).entries(INDEX, after=after, limit=100):
        found += page
        after = page[-1]
    assert mine == found


async def test_what_is_looked_for_at_one_moment_is_one_command(server: RedisServer) -> None:
    """Each look gets its own answer, from its own index."""
    sent: list[float] = []
    connection = Connection(server.url, lambda seconds, _: sent.append(seconds), deadline=60)
    try:
        await connection.redis.flushall()
        entries = [f"{number:03}\0x" for number in range(300)]
        await change(connection, *(f"+{entry}" for entry in entries))
        indexes, other = OrderedIndexes(connection), keys.index("test", "other")
        looks = [(index, f"{number:03}") for number in range(0, 300, 10) for index in (INDEX, other)]
        found = await asyncio.gather(*(indexes.first(*look) for look in looks))
    finally:
        await connection.close()

    assert found == [f"{prefix}\0x" if index == INDEX else None for index, prefix in looks]
    assert len(sent) == 1
