"""A small installation is filled and measured as ``make scale`` does it with a large one; no time is asserted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import scale
from tests.bench.figure import Figure, table
from tests.bench.installation import APP
from tests.bench.scale_filling import World
from tests.bench.scale_import import measure_imports
from tests.bench.scale_lists import LICENSE_LISTS
from tests.bench.scale_start import measure_starts
from tests.support.stack import Stack, running_stack

LICENSES = 2_400


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Return a stack of its own, whose audit is replaced."""
    with running_stack() as running:
        yield running


@pytest.fixture(scope="module")
def filled(stack: Stack) -> tuple[World, dict[str, Figure]]:
    """Return what the stack is filled with, and the figures of that."""
    world, figures = asyncio.run(scale.filled(stack, LICENSES, members=150, apps=30, asking=200))
    return world, {one.name: one for one in figures}


def test_what_is_filled_is_what_the_use_cases_say(filled: tuple[World, dict[str, Figure]]) -> None:
    """Random records are compared while it is filled; each kind takes some bytes."""
    assert all(one.value > 0 for one in filled[1].values())
    assert 300 < filled[1]["Redis for a license"].value < 3000


def test_the_generator_writes_the_same_record_each_time(filled: tuple[World, dict[str, Figure]]) -> None:
    """Otherwise nothing could be compared; ids are all different."""
    world, _ = filled
    assert world.license(7) == world.license(7)
    assert LICENSES == len({world.license(number).id for number in range(LICENSES)})


def test_every_list_is_read_to_its_end_and_from_anywhere(stack: Stack, filled: tuple[World, dict[str, Figure]]) -> None:
    """Lists of licenses have their pages from cursors in the middle, too."""
    figures = asyncio.run(scale.lists(stack, filled[0]))
    pages = {one.name.partition(":")[0]: int(one.name.rpartition(" of ")[2].split()[0]) for one in figures}
    assert set(LICENSE_LISTS) | {"members", "apps", "customers"} <= pages.keys()
    assert pages["licenses of the team"] > 12 < pages["active licenses"]
    assert 2 == pages["members"]


def test_tokens_of_its_licenses_are_issued(
    stack: Stack, filled: tuple[World, dict[str, Figure]], tmp_path: Path
) -> None:
    """Each that asks gets one: the load fails otherwise."""
    (figure,) = scale.tokens([(stack, filled[0])] * 2, tmp_path, 1, None)
    assert figure.value > 0


def test_the_audit_is_filled_and_read(stack: Stack, filled: tuple[World, dict[str, Figure]]) -> None:
    """Filters find what there is, and every request is explained: the measurement fails otherwise."""
    figures = {one.name for one in asyncio.run(scale.audit(stack, filled[0], 2))}
    assert {
        "audit list, everything: 50 entries",
        "audit list, by event: 50 entries",
        "audit list, by an event that there is not: 0 entries",
    } <= figures


def test_starts_are_compared(stack: Stack, filled: tuple[World, dict[str, Figure]]) -> None:
    """With itself here."""
    assert filled
    assert all(one.value > 0 for one in measure_starts(stack, stack, rounds=1))


def test_imports_are_compared(stack: Stack, filled: tuple[World, dict[str, Figure]], tmp_path: Path) -> None:
    """A short one and a long one."""
    assert filled
    assert all(one.value > 0 for one in measure_imports(stack, tmp_path, APP, 10, 40))


@pytest.mark.parametrize(
    ("figure", "missed", "aim"),
    [
        (Figure("x", 1.0, "ms"), False, ""),
        (Figure("x", 50.0, "ms", 50), False, "≤ 50"),
        (Figure("x", 50.1, "ms", 50), True, "≤ 50"),
        (Figure("x", 1200.0, "rows/s", least=1200), False, "≥ 1,200"),
        (Figure("x", 1199.0, "rows/s", least=1200), True, "≥ 1,200"),
    ],
)
def test_aims_are_met_or_missed(figure: Figure, missed: bool, aim: str) -> None:
    """At the aim it is met."""
    assert (missed, aim, missed) == (figure.misses, figure.aim, "MISSED" in table([figure]))
