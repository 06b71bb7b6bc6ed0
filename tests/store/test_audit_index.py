"""The audit of one team: found by its index whatever others have written, and complete whoever wrote it."""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from random import Random

import pytest
from attrs import define, field

from authsvc.audit.entry import Entry
from authsvc.audit.pending_entry import PendingEntry
from authsvc.audit.selection import EntrySelection, SelectedEntries
from authsvc.store import keys
from authsvc.store.audit_size import ADD_TO_STREAM
from authsvc.store.audit_stream import MAX_PAGE_BYTES, RedisAudit
from authsvc.store.connection import Connection
from authsvc.store.transaction import Transaction
from tests.support.audit_stream import forget
from tests.support.builders import NOW

TEAMS = ("acme", "globex", "initech")

OLDER = f"{ADD_TO_STREAM} add_to_stream(KEYS[1], KEYS[2], {{'entry', ARGV[1]}})"
"""What a version without indexes does."""


@define
class Model:
    """The audit and a plain list of what is in it: the number and the team of each entry, oldest first."""

    connection: Connection
    entries: list[tuple[int, str]] = field(factory=list)
    _number: int = 0

    @property
    def stream(self) -> RedisAudit:
        """The audit."""
        return RedisAudit(self.connection, 1 << 30)

    def text(self, team: str) -> str:
        """Note a new entry and return its JSON."""
        self._number += 1
        self.entries.append((self._number, team))
        return json.dumps({"event": "test.done", "n": self._number, "team": team or None})

    async def write(self, random: Random) -> None:
        """Let a worker, a change or an older version write a few entries."""
        teams = random.choices(("", *TEAMS), k=random.randrange(1, 6))
        match random.choice(("batch", "change", "older")):
            case "batch":
                batch = [PendingEntry(self.text(team), b"\0" * 8, team=team) for team in teams]
                await self.stream.append(f"b{self._number}", batch)
            case "change":
                text = json.loads(self.text(teams[0]))
                await Transaction(Entry(f"op{self._number}", NOW, "test.done", "x", text)).apply(self.connection)
            case _:
                for team in teams:
                    await self.connection.redis.eval(OLDER, 2, keys.AUDIT, keys.AUDIT_SIZE, self.text(team))

    async def trim(self, random: Random) -> None:
        """Forget some of the oldest."""
        found = await self.stream.after("", random.randrange(1, 8))
        if found:
            await forget(self.stream, found)
            del self.entries[: len(found)]

    async def read(self, team: str, random: Random, *, forward: bool) -> list[int]:
        """Return the numbers of the team's entries, read in steps of a random size."""
        found, cursor = list[int](), ""
        while True:
            limit, examine = random.randrange(1, 9), random.randrange(1, 9)
            reading = await self.stream.read(
                EntrySelection(team, (team,)), cursor, forward=forward, limit=limit, examine=examine
            )
            assert len(reading.entries) <= limit
            assert reading.examined <= examine
            found += [entry.facts["n"] for entry in reading.entries if entry.facts["team"] == team]
            cursor = reading.cursor or cursor
            if reading.at_end:
                return found


@pytest.mark.parametrize("seed", range(6))
async def test_a_team_finds_all_of_its_entries_and_no_others(connection: Connection, seed: int) -> None:
    """Batches, changes, trims and an older version in any order: each team's part of the list, in both directions."""
    model, random = Model(connection), Random(seed)
    for _ in range(60):
        await (model.trim(random) if random.random() < 0.2 else model.write(random))
        team = random.choice(TEAMS)
        expected = [number for number, owner in model.entries if owner == team]
        assert expected == await model.read(team, random, forward=True)
        assert expected[::-1] == await model.read(team, random, forward=False)


@pytest.mark.parametrize("forward", [True, False])
async def test_a_reading_ends_at_its_stop(connection: Connection, forward: bool) -> None:
    """Wherever the first indexed entry lies, a team reads from one cursor to another, and not beyond."""
    model = Model(connection)
    for number in range(30):
        if number < 15:
            await connection.redis.eval(OLDER, 2, keys.AUDIT, keys.AUDIT_SIZE, model.text(TEAMS[number % 2]))
        else:
            await model.stream.append(
                f"b{number}", [PendingEntry(model.text(TEAMS[number % 2]), team=TEAMS[number % 2])]
            )
    cursors = [entry.cursor for entry in await model.stream.after("", 100)]
    for start in range(0, 30, 3):
        for stop in range(0, 30, 4):
            reading = await model.stream.read(
                EntrySelection("acme", ("acme",)),
                cursors[start],
                stop=cursors[stop],
                forward=forward,
                limit=99,
                examine=99,
            )
            between = range(start + 1, stop + 1) if forward else range(start - 1, stop - 1, -1)
            assert [n + 1 for n in between if n % 2 == 0] == [entry.facts["n"] for entry in reading.entries]
            assert reading.at_end


async def test_others_cost_a_team_nothing(connection: Connection) -> None:
    """A team with three entries among thousands looks at three; a team without any looks at none."""
    stream = RedisAudit(connection, 1 << 30)
    for batch in range(20):
        entries = [PendingEntry(f'{{"event":"test.done","n":{n}}}', team="globex") for n in range(200)]
        if batch in {2, 9, 17}:
            entries.append(PendingEntry('{"event":"test.done","n":-1}', team="acme"))
        await stream.append(f"b{batch}", entries)

    reading = await stream.read(EntrySelection("acme"), "", forward=False, limit=100, examine=2000)
    assert ([-1] * 3, 3, True) == ([entry.facts["n"] for entry in reading.entries], reading.examined, reading.at_end)
    nothing = await stream.read(EntrySelection("initech"), "", forward=False, limit=100, examine=2000)
    assert ([], 0, True) == (nothing.entries, nothing.examined, nothing.at_end)


async def test_trimming_leaves_nothing_in_an_index(connection: Connection) -> None:
    """Ids of entries that are gone are gone, and so is the index of a team without entries."""
    model = Model(connection)
    await model.stream.append("one", [PendingEntry(model.text(team), team=team) for team in TEAMS])
    await model.stream.append("two", [PendingEntry(model.text("globex"), team="globex")])
    await forget(model.stream, await model.stream.after("", 3))

    left = {team: await connection.redis.xlen(f"{keys.AUDIT_TEAM}{team}") for team in TEAMS}
    assert {"acme": 0, "globex": 1, "initech": 0} == left
    assert not await connection.redis.exists(f"{keys.AUDIT_TEAM}acme", f"{keys.AUDIT_TEAM}initech")


async def test_an_index_that_cannot_be_written_hides_nothing(connection: Connection) -> None:
    """With a newer id in the way, as after a clock that went back, the entry is written and still found."""
    await connection.redis.xadd(f"{keys.AUDIT_TEAM}acme", {"e": ""}, id="9999999999999-0")
    model = Model(connection)
    await model.stream.append("one", [PendingEntry(model.text(team), team=team) for team in ("acme", "globex")])

    assert [1] == await model.read("acme", Random(1), forward=False)


async def test_entries_that_are_passed_over_are_read_in_few_commands(connection: Connection) -> None:
    """Reading each entry by itself takes Redis three times as long as reading eight at once."""
    stream = RedisAudit(connection, 1 << 30)
    await stream.append("one", [PendingEntry(f'{{"event":"test.done","n":{n}}}') for n in range(400)])
    for forward, command in ((True, "xrange"), (False, "xrevrange")):
        await connection.redis.config_resetstat()
        reading = await stream.read(EntrySelection(clauses=(("nothing",),)), "", forward=forward, limit=50, examine=400)
        stats = await connection.redis.info("commandstats")
        assert ([], 400) == (reading.entries, reading.examined)
        assert stats[f"cmdstat_{command}"]["calls"] < 400 / 6


@pytest.mark.parametrize("forward", [True, False])
async def test_long_entries_are_read_one_by_one(connection: Connection, forward: bool) -> None:
    """A reading ends behind the entry with which it exceeds its bytes, and goes on from there."""
    stream = RedisAudit(connection, 1 << 30)
    for number in range(12):
        size = 2 * MAX_PAGE_BYTES if number % 3 == 1 else 10
        await stream.append(f"b{number}", [PendingEntry(f'{{"event":"a.b","n":{number},"x":"{"x" * size}"}}')])
    found, cursor, at_end = list[int](), "", False
    while not at_end:
        reading = await stream.read(EntrySelection(), cursor, forward=forward, limit=9, examine=9)
        assert sum(entry.size > MAX_PAGE_BYTES for entry in reading.entries) <= 1
        found += [entry.facts["n"] for entry in reading.entries]
        cursor, at_end = reading.cursor or cursor, reading.at_end

    assert list(range(12))[:: 1 if forward else -1] == found


@pytest.mark.parametrize(
    ("at", "found"),
    [
        ("2026-11-01T12:00:00+00:00", True),
        ("2026-11-01T12:00:00.999999+00:00", True),
        ("2026-11-01T12:00:01+00:00", False),
        ("2026-11-01T12:00:01.000001+00:00", False),
        ("2026-11-02T00:00:00+00:00", False),
        ("2026-11-02T00:00:00+14:00", True),
        ("tomorrow", True),
    ],
)
async def test_entries_that_began_later_are_left_out(connection: Connection, at: str, found: bool) -> None:
    """To the second, and only those whose instant can be compared as a text."""
    stream = RedisAudit(connection, 1 << 30)
    await stream.append("one", [PendingEntry(json.dumps({"at": at, "event": "a.b"}, separators=(",", ":")))])
    selection = EntrySelection(begun_by=datetime(2026, 11, 1, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=1))))

    assert found == bool((await stream.read(selection, "", forward=True, limit=9, examine=9)).entries)


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (EntrySelection(clauses=(("red",),)), [1, 3]),
        (EntrySelection(clauses=(("red", "blue"),)), [1, 2, 3]),
        (EntrySelection(clauses=(("red",), ("blue",))), [3]),
        (EntrySelection(clauses=(("r.d",),)), []),
        (EntrySelection(repeated=True), [2, 3]),
        (EntrySelection(request_id="00000000000000aa"), [1]),
        (EntrySelection(request_id="00000000000000bb"), [2]),
        (EntrySelection(team="acme", clauses=(("blue",),)), [3]),
    ],
)
async def test_texts_and_ids_choose(connection: Connection, selection: EntrySelection, found: list[int]) -> None:
    """Of each clause one text must be there, as it is written; an id may be packed or in the text."""
    stream = RedisAudit(connection, 1 << 30)
    rows = (
        ('{"event":"a.b","n":1,"x":"red","count":1}', b"\0" * 7 + b"\xaa", "acme"),
        ('{"event":"a.b","n":2,"x":"blue","request_id":"00000000000000bb","count":2}', b"", "globex"),
        ('{"event":"a.b","n":3,"x":"red blue","count":3}', b"", "acme"),
    )
    await stream.append("one", [PendingEntry(text, ids, team=team) for text, ids, team in rows])
    reading = await stream.read(selection, "", forward=True, limit=9, examine=9)

    assert found == [entry.facts["n"] for entry in reading.entries]


async def test_a_bound_before_the_first_entry_costs_nothing(connection: Connection) -> None:
    """Redis would go through the whole stream for it; a page behind the last one, or of a trimmed time, does not."""
    stream, redis = RedisAudit(connection, 1 << 30), connection.redis
    for start in range(0, 40_000, 5_000):
        entries = [PendingEntry('{"event":"test.done"}', team="acme")] * 5_000
        await stream.append(f"b{start}", entries)
    first = (await stream.after("", 1))[0].cursor

    async def milliseconds(read: Callable[[], Awaitable[object]], command: str) -> float:
        await redis.config_resetstat()
        await read()
        stats = await redis.info("commandstats")
        return float(stats[f"cmdstat_{command}"]["usec"]) / 1000

    naive = await milliseconds(lambda: redis.xrevrange(keys.AUDIT, max=f"({first}", count=1), "xrevrange")
    for selection in (EntrySelection(), EntrySelection("acme"), EntrySelection("globex")):

        async def read(chosen: EntrySelection = selection) -> SelectedEntries:
            reading = await stream.read(chosen, first, forward=False, limit=50, examine=500)
            assert reading.at_end
            assert not reading.entries
            return reading

        await read()  # so that Redis knows the script
        assert await milliseconds(read, "evalsha") < max(naive / 4, 1)
