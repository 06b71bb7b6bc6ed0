"""Every actor calling every use case on everything: authsvc does what the table says, on a real Redis."""

import ast
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

import pytest

from authsvc.credentials import password, verifier
from authsvc.redaction import Secret
from tests.manage.test_use_cases import classes, use_cases
from tests.permission_matrix.matrix import CALLS, ORACLE, Answer, answer, reads
from tests.permission_matrix.oracle import DENIED, FILE, MISSING, YES, Cell, TableError, load
from tests.permission_matrix.seeded_bugs import BUGS
from tests.permission_matrix.world import World
from tests.support.redis_server import RedisServer, server_in_background

CELLS = 4000
"""The least number of cells."""

PARTS = 6
"""A slow machine needs minutes for all cells: each test asks those of every sixth actor."""

DEADLINE = 20.0
"""Seconds of this process's time that the cells of one part may take."""

SOURCE = Path(__file__).with_name("oracle.py").read_text(encoding="utf-8")
TABLE = FILE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Return a server that tells a digest of what it holds."""
    # A background save, after a minute of many changes, would reset the count of writes in the middle of an answer.
    with server_in_background("--appendfsync", "no", "--save", "", "--enable-debug-command", "local") as running:
        yield running


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Argon2id take microseconds: the same code at the least memory that it allows."""
    monkeypatch.setattr(password, "MEMORY_KIB", 8)
    monkeypatch.setattr(password, "PASSES", 1)
    unknown = password.hash_password(Secret("nobody has this one"), salt=bytes(16))
    monkeypatch.setattr(verifier, "UNKNOWN_ACCOUNT", unknown)


@pytest.fixture
async def world(server: RedisServer, tmp_path: Path) -> AsyncIterator[World]:
    """Yield the table's world, which is not built yet."""
    made = World(ORACLE, server.url, tmp_path)
    try:
        yield made
    finally:
        await made.connection.close()


async def disagreements(world: World, cells: Iterator[Cell], *, by_id: bool = False) -> AsyncIterator[str]:
    """Yield what is wrong, cell by cell; ``by_id`` as for :func:`answer`."""
    missing: dict[tuple[str, str], dict[str, Answer]] = defaultdict(dict)
    for cell in cells:
        expected, got = ORACLE.answer(cell), await answer(world, cell, by_id=by_id)
        if got.outcome != expected:
            yield f"{cell}: {got.outcome} instead of {expected}: {got.told[:200]}"
        elif got.outcome == DENIED and got.commands:
            yield f"{cell}: denied after {got.commands} commands to Redis"
        elif got.changed and (got.outcome != YES or reads(cell)):
            yield f"{cell}: changed something"
        elif got.outcome == YES and (leaked := leak(cell, got.told)):
            yield f"{cell}: shows {leaked}"
        elif got.outcome == MISSING and not in_own_team(cell):
            missing[cell.actor, cell.use_case][cell.place] = got
    for (actor, use_case), answers in missing.items():
        if len({(one.told, one.commands) for one in answers.values()}) > 1:
            yield f"{actor}, {use_case}: what is foreign and what is unknown are told apart: {answers}"


def in_own_team(cell: Cell) -> bool:
    """Whether a service account that is hidden lies in the actor's own team, which the refusal names."""
    team = ORACLE.actors[cell.actor].get("team", "acme-team")
    hidden = ORACLE.use_cases[cell.use_case]["names"] == "service account"
    return hidden and ORACLE.places[cell.place].get("team") == team


def leak(cell: Cell, told: str) -> str | None:
    """Return what a result shows of another team, or of an app outside the actor's limits."""
    actor = ORACLE.actors[cell.actor]
    if actor["kind"] == "operator" or ORACLE.rows[ORACLE.use_cases[cell.use_case]["row"]].get("public"):
        return None
    hidden = ["acme"] if actor.get("team") == "globex-team" else ["globex"]
    limits = actor.get("apps") or actor.get("creator", {}).get("apps")
    hidden += ["annex"] if limits else []
    return next((word for word in hidden if word in told), None)


def part_of(cells: Iterable[Cell], part: int) -> list[Cell]:
    """Return the cells of every sixth actor: each has all of its own in one part, which are compared."""
    actors = list(ORACLE.actors)[part::PARTS]
    return [cell for cell in cells if cell.actor in actors]


@pytest.mark.parametrize("part", range(PARTS))
async def test_every_cell(world: World, part: int, record_property: Callable[[str, object], None]) -> None:
    """Outcome, effect and what is shown are those of the table; a denial costs no command to Redis."""
    await world.build()
    cells, began = part_of(ORACLE.cells(), part), time.process_time()
    wrong = [line async for line in disagreements(world, iter(cells))]
    took = time.process_time() - began
    record_property("cells", len(cells))
    print(f"{len(cells):,} cells in {took:.1f} s")  # noqa: T201

    assert wrong == []
    assert took < DEADLINE


def test_the_parts_are_every_cell() -> None:
    """Nothing is left out, and nothing is asked twice."""
    cells = list(ORACLE.cells())
    assert Counter(cell for part in range(PARTS) for cell in part_of(cells, part)) == Counter(cells)
    assert len(set(cells)) == len(cells) >= CELLS


async def test_every_cell_by_id(world: World) -> None:
    """What an actor names by its id has the same answers, and foreign ids are as unknown ones."""
    await world.build()
    named = {"member", "account", "service account"}
    cells = [cell for cell in ORACLE.cells() if ORACLE.use_cases[cell.use_case]["names"] in named]

    assert [line async for line in disagreements(world, iter(cells), by_id=True)] == []


@pytest.mark.parametrize("sentence", BUGS)
async def test_a_seeded_bug_is_caught(world: World, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one wrong function in manage/ the matrix disagrees: it would not let that bug pass."""
    BUGS[sentence].seed(monkeypatch)
    await world.build()
    cells = [cell for cell in ORACLE.cells() if cell.use_case in BUGS[sentence].use_cases]

    assert [line async for line in disagreements(world, iter(cells))] != []


# --- the table itself -------------------------------------------------------------------------------------------------


def test_the_table_has_every_use_case() -> None:
    """A use case that is not in the table, or no longer there, fails here."""
    assert set(ORACLE.use_cases) == set(CALLS) == set(use_cases(classes()))


def test_the_oracle_imports_the_standard_library_alone() -> None:
    """What judges authsvc is made of nothing from authsvc, nor of the tests' builders, which are."""
    found = set()
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add((node.module or "").partition(".")[0])

    assert found
    assert found <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("there", "instead"),
    [
        ('"apps: create"    = { owner = "manage"', '"apps: create"    = { owner = "sometimes"'),
        ('"apps: create"    = { owner = "manage", ', '"apps: create"    = { '),
        ('{ row = "audit", names = "nothing" }', '{ row = "audits", names = "nothing" }'),
        ('names = "license" }', 'names = "licence" }'),
        ('role = "viewer", api = "read"', 'role = "visitor", api = "read"'),
        ('limited = "closed" }', 'limited = "ajar" }'),
    ],
)
def test_a_hole_in_the_table_is_noticed(there: str, instead: str) -> None:
    """A table that says less than it should is refused before it judges anything."""
    assert there in TABLE
    with pytest.raises((TableError, KeyError)):
        load(TABLE.replace(there, instead))


def test_both_answers_are_common() -> None:
    """The table has enough of every answer to mean something."""
    answers = [ORACLE.answer(cell) for cell in ORACLE.cells()]

    assert min(answers.count(one) for one in (YES, DENIED, MISSING)) > 300
