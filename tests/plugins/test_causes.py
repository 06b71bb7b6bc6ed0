"""What a developer sees of a failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TESTS = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("the fixture is broken")

def test_a_name_so_long_that_a_line_of_eighty_columns_has_no_room_for_anything_else():
    print("noise " * 1000)
    assert 1 == 2, "the reason that must be seen"

def test_setup(broken): ...

def test_passes(): ...
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_the_cause_is_said_at_once_and_at_the_end(tmp_path: Path, workers: int) -> None:
    """A failed run begins with why, and ends with it, whatever else it prints and however narrow the terminal is."""
    tmp_path.joinpath("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    tmp_path.joinpath("test_it.py").write_text(TESTS, encoding="utf-8")
    plugins = ("-p", "tests.plugins.causes", "-p", "xdist", "-n", str(workers))
    environ = {name: value for name, value in os.environ.items() if name != "CI"}
    said = subprocess.run(
        (sys.executable, "-m", "pytest", "--import-mode=importlib", *plugins, "--durations=10", str(tmp_path)),
        cwd=tmp_path,
        env={**environ, "COLUMNS": "80", "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout

    causes = [said.index("the reason that must be seen"), said.index("the fixture is broken")]
    assert max(causes) < said.index("= FAILURES =")
    assert "short test summary" not in said
    end = said[said.index("= 2 failed =") :]
    assert "test_a_name_so_long" in end
    assert "the reason that must be seen" in end
    assert "test_setup (setup)\n    RuntimeError: the fixture is broken" in end
    assert end.count("\n") <= 12
