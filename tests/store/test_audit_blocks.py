"""Blocks of the audit that are passed over: on a real Redis, whatever was written, trimmed or replaced meanwhile."""

import json
from random import Random
from typing import Any

import pytest
from attrs import define, field

from authsvc.audit import block_filter
from authsvc.audit.block_filter import MAX_ENTRIES
from authsvc.audit.block_filter_writer import BlockFilterWriter
from authsvc.audit.pending_entry import PendingEntry
from authsvc.audit.selection import EntrySelection
from authsvc.audit.stored_entry import StoredEntry, position_of
from authsvc.store import keys
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.connection import Connection
from tests.support.audit_stream import forget

ACTORS = [f"a{number:02}" for number in range(30)]
TEAMS = ("acme", "globex", "")


@define
class House:
    """An audit and its writers of filters."""

    connection: Connection
    writers: list[BlockFilterWriter] = field(init=False)
    _number: int = 0

    def __attrs_post_init__(self) -> None:
        """Make two writers, as of two workers."""
        self.writers = [BlockFilterWriter(self.stream), BlockFilterWriter(self.stream)]

    @property
    def stream(self) -> RedisAudit:
        """The audit."""
        return RedisAudit(self.connection, 1 << 30)

    async def write(self, *actors: str, team: str = "") -> None:
        """Write an entry of each of these."""
        batch = []
        for actor in actors:
            self._number += 1
            facts = {"event": "test.done", "actor": f"member:{actor}", "n": self._number, "count": 1}
            ids = self._number.to_bytes(8, "big")
            batch.append(PendingEntry(json.dumps(facts, separators=(",", ":")), ids, team=team))
        await self.stream.append(f"b{self._number}", batch)

    async def build(self, number: int = 0) -> None:
        """Let a writer add what it can."""
        while await self.writers[number].extend():
            pass

    async def everything(self) -> list[StoredEntry]:
        """Return all entries."""
        return await self.stream.after("", 100_000)


async def read_all(
    stream: RedisAudit, wanted: EntrySelection, cursor: str, stop: str, random: Random, *, forward: bool
) -> list[int]:
    """Return the numbers of the entries that are found, in steps of a random size."""
    found, at_end = list[int](), False
    while not at_end:
        limit, examine = random.randrange(1, 9), random.randrange(1, 30)
        reading = await stream.read(wanted, cursor, forward=forward, limit=limit, examine=examine, stop=stop)
        assert len(reading.entries) <= limit
        assert reading.examined <= examine + 1
        assert reading.at_end or reading.cursor not in {"", cursor}
        found += [entry.facts["n"] for entry in reading.entries]
        cursor, at_end = reading.cursor or cursor, reading.at_end
    return found


def wanted_by(random: Random) -> tuple[EntrySelection, set[str]]:
    """Return a selection by one or two actors, of one or any team, and the actors."""
    actors = random.sample(ACTORS, random.choice((1, 1, 2)))
    return EntrySelection(random.choice((None, None, "acme")), clauses=(tuple(actors),)), {*actors}


@pytest.mark.parametrize("seed", range(4))
async def test_no_entry_is_hidden(connection: Connection, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Batches, trims and two writers in any order: between any two places each reading finds what is there."""
    monkeypatch.setattr(block_filter, "MAX_ENTRIES", 3)
    house, random = House(connection), Random(seed)
    for _ in range(60):
        match random.randrange(10):
            case 0:
                entries = await house.everything()
                if len(entries) > 60:
                    await forget(house.stream, entries[: random.randrange(1, 40)])
            case 1 | 2 | 3:
                await house.build(random.randrange(2))
            case _:
                few = random.sample(ACTORS, 3)
                await house.write(*random.choices(few, k=random.randrange(1, 25)), team=random.choice(TEAMS))
    entries = await house.everything()
    assert await connection.redis.xlen(keys.AUDIT_BLOCKS) > 10

    for _ in range(60):
        forward, (selection, actors) = random.random() < 0.5, wanted_by(random)
        cursor, stop = (random.choice(["", random.choice(entries).cursor]) for _ in range(2))
        low, high = (cursor, stop) if forward else (stop, cursor)
        expected = [
            entry.facts["n"]
            for entry in (entries if forward else entries[::-1])
            if entry.facts["actor"].removeprefix("member:") in actors
            and (selection.team is None or entry.team == selection.team)
            and (not low or entry.position > position_of(low) or (not forward and entry.cursor == low))
            and (not high or entry.position < position_of(high) or (forward and entry.cursor == high))
        ]
        assert expected == await read_all(house.stream, selection, cursor, stop, random, forward=forward)
        one = random.choice(entries)
        by_id = EntrySelection(request_id=one.ids.hex())
        assert [one.facts["n"]] == await read_all(house.stream, by_id, "", "", random, forward=forward)


@pytest.mark.parametrize("forward", [True, False])
async def test_blocks_without_a_text_are_not_read(connection: Connection, forward: bool) -> None:
    """Of ten thousand entries a search for one actor examines a few hundred, in few steps."""
    house = House(connection)
    for number in range(20):
        await house.write(*(f"x{number}-{one}" for one in range(500)))
        if number == 7:
            await house.write("a01")
    await house.build()
    examined, found, cursor, at_end = 0, list[int](), "", False
    while not at_end:
        reading = await house.stream.read(
            EntrySelection(clauses=(("a01",),)), cursor, forward=forward, limit=50, examine=1000
        )
        examined, cursor, at_end = examined + reading.examined, reading.cursor or cursor, reading.at_end
        found += [entry.facts["n"] for entry in reading.entries]

    assert [4001] == found
    assert examined < 5 * MAX_ENTRIES


async def test_filters_are_of_the_budget(connection: Connection) -> None:
    """What they take is counted: about a hundredth of what the entries take."""
    house = House(connection)
    for number in range(10):
        await house.write(*(f"x{number}-{one}" for one in range(500)))
    before = (await house.stream.used()).bytes
    await house.build()
    more = (await house.stream.used()).bytes - before
    taken = await connection.redis.memory_usage(keys.AUDIT_BLOCKS, samples=0) or 0

    assert 0.8 * taken < more < 1.5 * taken
    full = RedisAudit(connection, (before + more // 2) * 8 // 7)
    assert 1 == (await full.append("last", [PendingEntry('{"event":"test.done","n":-1}')])).lost
    assert 0 == (await full.append("change", [PendingEntry('{"event":"test.done","n":-1}', needed=True)])).lost


async def test_trimming_removes_filters(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of blocks that are gone, and with the last one all."""
    monkeypatch.setattr(block_filter, "MAX_ENTRIES", 10)
    house = House(connection)
    await house.write(*ACTORS, "b1", "b2")
    await house.build()
    assert 3 == await connection.redis.xlen(keys.AUDIT_BLOCKS)
    await forget(house.stream, (await house.everything())[:20])
    assert 1 == await connection.redis.xlen(keys.AUDIT_BLOCKS)
    await forget(house.stream, await house.everything())
    assert not await connection.redis.exists(keys.AUDIT_BLOCKS)

    await house.write(*ACTORS)
    await house.build()
    assert 3 == await connection.redis.xlen(keys.AUDIT_BLOCKS)


async def test_filters_of_another_version_hide_nothing(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may choose the bits of a term otherwise."""
    monkeypatch.setattr(block_filter, "MAX_ENTRIES", 10)
    house, redis = House(connection), connection.redis
    await house.write(*["b1"] * 40)
    await house.build()
    filters: Any = await redis.xrange(keys.AUDIT_BLOCKS)
    await redis.delete(keys.AUDIT_BLOCKS)
    for cursor, fields in filters:
        await redis.xadd(keys.AUDIT_BLOCKS, {"0": fields[b"1"]}, id=cursor)

    assert (0, 40) == await _examined(house, "b2")


@pytest.mark.parametrize("forward", [True, False])
async def test_filters_of_another_audit_hide_nothing(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, forward: bool
) -> None:
    """They may be left over by one that a person deleted, before the clock went back."""
    monkeypatch.setattr(block_filter, "MAX_ENTRIES", 10)
    house, redis = House(connection), connection.redis
    for actor, shift in (("b1", 0), ("b2", 500)):
        await redis.delete(keys.AUDIT)
        for number in range(1, 41):
            text = f'{{"event":"test.done","actor":"member:{actor}","n":{number}}}'
            await redis.xadd(keys.AUDIT, {"entry": text}, id=f"{1000 * number - shift}-0")
        await house.build()

    assert 4 == await redis.xlen(keys.AUDIT_BLOCKS)
    assert 40 == len(
        await read_all(house.stream, EntrySelection(clauses=(("b2",),)), "", "", Random(1), forward=forward)
    )


async def test_what_a_failover_put_in_place_of_others_is_not_hidden(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby whose clock is behind lacks an entry that was read, and writes others before it."""
    monkeypatch.setattr(block_filter, "MAX_ENTRIES", 10)
    house, redis = House(connection), connection.redis
    text = '{"event":"test.done","actor":"member:b1","count":1}'
    for number in (1000, 2000, 3000):
        await redis.xadd(keys.AUDIT, {"entry": text}, id=f"{number}-0")
    await house.build()
    await redis.delete(keys.AUDIT)
    for number, one in ((1000, text), (2000, text), (2500, text.replace("b1", "b2"))):
        await redis.xadd(keys.AUDIT, {"entry": one}, id=f"{number}-0")
    await house.write(*["b1"] * 20)
    await house.build()

    assert 2 == await redis.xlen(keys.AUDIT_BLOCKS)
    assert 1 == (await _examined(house, "b2"))[0]


async def _examined(house: House, text: str) -> tuple[int, int]:
    """Return how many entries are found, and how many are read to find them."""
    found, examined, cursor, at_end = 0, 0, "", False
    while not at_end:
        reading = await house.stream.read(
            EntrySelection(clauses=((text,),)), cursor, forward=False, limit=50, examine=1000
        )
        found, cursor, at_end = found + len(reading.entries), reading.cursor or cursor, reading.at_end
        examined += reading.examined
    blocks = await house.connection.redis.xlen(keys.AUDIT_BLOCKS)
    return found, examined - blocks
