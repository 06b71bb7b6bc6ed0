"""The gate that fails a CI run over a skip which nobody allowed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.skips import parse_allowed

ROOT = Path(__file__).parent.parent.parent
SKIPS = """
import pytest

def test_passes():
    assert True is not False

@pytest.mark.skip(reason="no engine here")
def test_skips():
    raise AssertionError
"""
WHOLE_FILE_SKIPS = """
import pytest
pytest.skip("no engine here", allow_module_level=True)
"""
LISTED = "tests/test_it.py::test_skips | no engine here\n"


def run_pytest(
    folder: Path, *, allowed: str, tests: str = SKIPS, ci: str = "true", workers: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin in a folder that holds one test file and one list."""
    folder.joinpath("tests").mkdir()
    folder.joinpath("pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    folder.joinpath("tests/allowed_skips.txt").write_text(allowed, encoding="utf-8")
    folder.joinpath("tests/test_it.py").write_text(tests, encoding="utf-8")
    # Only the plugins that matter here: the others triple the time to start.
    plugins = ["-p", "tests.plugins.skips", "-p", "xdist", "-n", str(workers)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--import-mode=importlib", *plugins, str(folder)],
        cwd=folder,
        env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("allowed", "status", "workers"),
    [("", 1, 0), ("", 1, 2), (LISTED, 0, 2), ("tests/test_it.py::test_skips | another reason\n", 1, 0)],
    ids=["unlisted", "unlisted-parallel", "listed", "listed-with-another-reason"],
)
def test_skip_must_be_listed_with_its_reason(tmp_path: Path, allowed: str, status: int, workers: int) -> None:
    """A skip passes on CI only when the list has it with the very reason."""
    run = run_pytest(tmp_path, allowed=allowed, workers=workers)
    assert run.returncode == status, run.stdout
    assert ("tests/test_it.py::test_skips | no engine here" in run.stdout) == bool(status)


@pytest.mark.parametrize("workers", [0, 2])
def test_file_that_skips_as_a_whole_counts(tmp_path: Path, workers: int) -> None:
    """A file that skips while it is collected does not slip through."""
    run = run_pytest(tmp_path, allowed="", tests=WHOLE_FILE_SKIPS, workers=workers)
    assert run.returncode != 0
    assert "tests/test_it.py | no engine here" in run.stdout


def test_skips_are_free_outside_ci(tmp_path: Path) -> None:
    """On a developer's machine a missing part is only shown."""
    assert run_pytest(tmp_path, allowed="", ci="").returncode == 0


def test_list_without_reason_is_refused() -> None:
    """An entry that does not say why is an error that names its line."""
    assert parse_allowed("# comment\n\na::b | because\n") == {"a::b": "because"}
    with pytest.raises(pytest.UsageError, match="line 2"):
        parse_allowed("# comment\na::b\n")
