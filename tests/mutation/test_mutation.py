"""The mutation runner itself: it finds good tests good and bad ones bad."""

import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import CORE_MODULES, CORE_ROOMS
from tests.mutation.mutants import mutants
from tests.mutation.score import Result, TrialError, Trials, report, score
from tests.mutation.targets import TARGETS, equivalent_mutants
from tests.mutation.trial import Target

SOURCE = """
def least(numbers):
    found = None
    for number in numbers:
        if found is None or number < found:
            found = number
    while found == 7:
        pass
    return found
"""
GOOD = """
import tiny
def test_least():
    assert tiny.least([3, 1, 2]) == 1
    assert tiny.least([1, 1.0]) is not tiny.least([1.0, 1])
    assert isinstance(tiny.least([1, 1.0]), int)
"""
BAD = """
import tiny
def test_least():
    assert callable(tiny.least)
"""


def results(folder: Path, tests: str) -> list[Result]:
    """Return how every mutant of the tiny module fares."""
    (folder / "tiny.py").write_text(SOURCE)
    (folder / "test_tiny.py").write_text(tests)
    target = Target("tiny", ("test_tiny.py",), folder)
    found = [one for one in mutants(SOURCE) if "7" not in one.before and "found == 7" not in one.before]
    return list(Trials(2, patience=20).results([(target, one) for one in found]))


@pytest.mark.parametrize(("tests", "expected"), [(GOOD, 100), (BAD, 0)], ids=["good", "bad"])
def test_scores(tmp_path: Path, tests: str, expected: float) -> None:
    """Tests that notice everything score 100 %, tests that notice nothing 0 %, and no file changes."""
    said: list[str] = []
    found = results(tmp_path, tests)
    report(found, said.append)

    assert expected == score(found)
    assert len(found) == 9
    assert (len(found) if tests is BAD else 0) == sum(line.startswith("survived: tiny.py:") for line in said)
    assert (tmp_path / "tiny.py").read_text() == SOURCE


def test_a_mutant_that_never_ends_is_killed(tmp_path: Path) -> None:
    """The deadline ends it."""
    results(tmp_path, BAD)
    (tmp_path / "test_tiny.py").write_text(GOOD)
    (endless,) = (one for one in mutants(SOURCE) if one.before == "found == 7" and one.after == "True")
    target = Target("tiny", ("test_tiny.py",), tmp_path)

    assert [True] == [result.killed for result in Trials(1, patience=1).results([(target, endless)])]


@pytest.mark.parametrize(
    ("tests", "problem"),
    [("import tiny\ndef test(): assert False", "fail without a mutant"), ("def test(): pass", "never imports tiny")],
)
def test_tests_that_say_nothing(tmp_path: Path, tests: str, problem: str) -> None:
    """Tests that fail anyway, or that never see the module, give no score."""
    with pytest.raises(TrialError, match=problem):
        results(tmp_path, tests)


def test_coverage_is_of_the_core() -> None:
    """`make coverage` measures the core rooms and modules, and the throttle."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    expected = {*(f"authsvc/{room}*" for room in CORE_ROOMS), *(f"authsvc/{name}" for name in CORE_MODULES)}

    assert expected | {"authsvc/throttle.py"} == set(project["tool"]["coverage"]["report"]["include"])


def test_every_equivalent_mutant_exists() -> None:
    """A line that stands for no mutant any more is to be removed."""
    known = {target.module: {one.key for one in mutants(target.path.read_text())} for target in TARGETS}

    assert [] == [key for module, keys in equivalent_mutants().items() for key in keys - known[module]]
