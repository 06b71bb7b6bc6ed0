"""The table on a running stack: real clients' token requests, and the tokens used on the real registry."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.policy_matrix.matrix import ORACLE
from tests.policy_matrix.oracle import COUNTS, Cell
from tests.policy_matrix.replay import Replay, Wire, chosen, expressible
from tests.policy_matrix.world import APP_ARCHIVED, World
from tests.support.forgery import forge
from tests.support.stack import running_stack

CELLS, COUNTING = 2000, 1500
"""The least number of cells, and of those in which a token is issued and used at the registry."""

AT_ONCE = 3
"""Requests at the same time."""


LEAK = {"access in the token", "push", "delete"}
"""What must be noticed of a viewer's token that opens everything."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Return the table's world on a stack of its own: the table names its apps, so nobody else may have them."""
    with running_stack() as stack:
        world = World(stack, ORACLE)
        world.build()
        yield world


def seen(replay: Replay) -> set[str]:
    """Return what a replay says of a token that authsvc would never issue, signed under its root."""
    cell = Cell("view", "active", "acme/worker", "pull")
    leak = forge(replay.world.stack, {cell.relation: ["delete", "pull", "push"]})
    replay.use(cell, ORACLE.answer(cell), leak)
    return {disagreement.what for disagreement in replay.found}


def test_every_replayed_cell(world: World, record_property: Callable[[str, object], None]) -> None:
    """A real client gets, and can do at the registry, what the table says; a token that opens more is noticed."""
    began = time.monotonic()
    cells = list(enumerate(chosen(ORACLE)))
    last = [numbered for numbered in cells if numbered[1].state == APP_ARCHIVED]
    with closing(Wire(world.stack.port)) as wire, ThreadPoolExecutor(AT_ONCE) as threads:
        assert LEAK == seen(Replay(world, wire))
        replay = Replay(world, wire)
        list(threads.map(replay.run, cells[: -len(last)]))
        world.archive_apps()
        list(threads.map(replay.run, last))
    counting = sum(ORACLE.answer(cell).account == COUNTS for _, cell in cells)
    facts = {
        "replayed": len(cells),
        "of which the account counts": counting,
        "not expressible (doubled slash, dots, upper case in the path; states of one instant)": (
            sum(1 for _ in ORACLE.cells()) - len(expressible(ORACLE))
        ),
        "allowed": replay.opened,
        "refused by the registry": replay.refused,
        "seconds": round(time.monotonic() - began, 1),
    }
    for name, value in facts.items():
        record_property(name, value)
    print(facts)  # noqa: T201

    assert [] == replay.found
    assert len({cell for _, cell in cells}) >= CELLS
    assert counting >= COUNTING
    assert {"pull", "push", "delete"} == set(replay.opened)


def test_the_sample_leaves_no_row_out() -> None:
    """Every subject meets every relation and every action, and every state of each subject is replayed."""
    cells = chosen(ORACLE)
    real = [relation for relation in ORACLE.relations if relation not in ORACLE.unreal]

    assert {(s, r) for s in ORACLE.subjects for r in real} == {(c.subject, c.relation) for c in cells}
    assert {(s, a) for s in ORACLE.subjects for a in ORACLE.actions} == {(c.subject, c.actions) for c in cells}
    assert {(r, a) for r in real for a in ORACLE.actions} == {(c.relation, c.actions) for c in cells}
    assert {(c.subject, c.state) for c in expressible(ORACLE)} == {(c.subject, c.state) for c in cells}
