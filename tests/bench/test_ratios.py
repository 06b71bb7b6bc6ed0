"""Ratios of a run, and how they are compared with recorded ones."""

from pathlib import Path

import pytest
from attrs import evolve

from tests.bench import ratios
from tests.bench.ratios import AIMS, CPU_RATIOS, PULL, TWO_WORKERS
from tests.bench.report import BARE, BARE_TWO, LICENSE, LICENSE_TWO
from tests.bench.test_report import RUN

TO_BARE = f"{LICENSE} ÷ {BARE}"


def test_a_ratio_is_that_of_the_least_processor_times() -> None:
    """Whatever else the machine did in the other rounds."""
    times = [(9.0, 50.0), (1.0, 400.0), (2.0, 5.0)]
    rounds = [{BARE: evolve(RUN, processor=bare), LICENSE: evolve(RUN, processor=ours)} for bare, ours in times]
    assert {TO_BARE: 5.0, PULL: 1.5} == ratios.ratios(rounds, {PULL: ([3.0, 9.0], [7.0, 2.0])})


def test_two_workers_are_compared_with_two_bare_processes() -> None:
    """What the machine makes of two processes is not counted against the workers."""
    processors = {BARE: 10.0, BARE_TWO: 15.0, LICENSE: 100.0, LICENSE_TWO: 180.0}
    found = ratios.ratios([{kind: evolve(RUN, processor=value) for kind, value in processors.items()}], {})
    assert {TO_BARE: 10.0, TWO_WORKERS: 1.2} == found


def test_a_ratio_may_be_15_percent_above_the_recorded_one() -> None:
    """More is a line that names both; better ones are fine."""
    recorded = {"a": 2.0, "b": 2.0, "c": 2.0}
    lines = ratios.worse({"a": 2.3, "b": 2.301, "c": 0.1}, recorded)
    assert ["b: 2.301 is 15% above the recorded 2.000"] == lines


def test_what_was_not_measured_or_not_recorded_is_not_passed_over() -> None:
    """Otherwise a renamed ratio would never be compared again."""
    assert [
        "old: recorded, but not measured; record new ratios",
        "new: not recorded; record new ratios",
    ] == ratios.worse({"new": 1.0, "both": 1.0}, {"old": 1.0, "both": 1.0})


def test_a_ratio_at_its_aim_meets_it() -> None:
    """Only what is above it misses it."""
    assert [] == ratios.missed_aims(AIMS)
    above = {name: aim + 0.01 for name, aim in AIMS.items()}
    assert len(AIMS) == len(ratios.missed_aims(above))
    assert [f"{PULL}: 1.06 is above its aim of 1.05"] == ratios.missed_aims({PULL: 1.06, "without an aim": 99.0})


def test_what_is_recorded_can_be_read(tmp_path: Path) -> None:
    """The names have characters that are not ASCII."""
    file = tmp_path / "baseline.json"
    ratios.write_baseline(file, {TO_BARE: 12.5})
    assert {TO_BARE: 12.5} == ratios.read_baseline(file)
    assert "÷" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*(one.name for one in CPU_RATIOS), TWO_WORKERS, PULL, ratios.COLD])
def test_every_ratio_is_in_the_baseline(name: str) -> None:
    """What is in the repository fits to what is measured."""
    assert ratios.read_baseline(ratios.BASELINE)[name] > 0


def test_the_table_has_aims_and_recorded_ratios() -> None:
    """Where there are any."""
    text = ratios.table({TO_BARE: 7.0, "without an aim": 1.0}, {"without an aim": 1.25})
    assert [line.split()[-4:] for line in text.splitlines()[1:]] == [
        ["handler", "7.00", "≤", "6.20"],
        ["an", "aim", "1.00", "1.25"],
    ]
