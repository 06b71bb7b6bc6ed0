"""Commands that are imported when they are called, and what the garbage collector does meanwhile."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from authsvc.cli.lazy_group import LazyGroup, no_garbage_collection

COMMAND = """
import click, gc
enabled = gc.isenabled()
@click.command("probe")
def probe():
    click.echo(f"{enabled} {gc.isenabled()}")
"""

PROGRAM = """
import atexit, gc, sys, click
sys.path.insert(0, sys.argv.pop(1))
from authsvc.cli.lazy_group import CommandLine
program = click.group(cls=CommandLine, subcommands={"probe": ("lazy_probe", "probe")})(lambda: None)
atexit.register(lambda: print(gc.get_freeze_count() > 1000, len(gc.get_objects()) < 1000))
program()
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program with one subcommand, and return how it ended."""
    (folder / "lazy_probe.py").write_text(COMMAND)
    return subprocess.run(
        (sys.executable, "-c", PROGRAM, str(folder), *arguments), capture_output=True, text=True, check=False
    )


def test_a_command_is_imported_without_the_collector_and_runs_with_it(tmp_path: Path) -> None:
    """What it imports stays; what it does may take long and leave garbage."""
    assert run(tmp_path, "probe").stdout.splitlines()[0] == "False True"


@pytest.mark.parametrize(("arguments", "code"), [(("probe",), 0), (("nothing",), 2), ((), 2)])
def test_the_end_of_the_program_looks_for_no_garbage(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    """However a command ends, what it imported is out of the collector's sight; its exit code stays."""
    done = run(tmp_path, *arguments)

    assert (code, "True True") == (done.returncode, done.stdout.splitlines()[-1])


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled: bool) -> None:
    """Also after an import that fails."""
    group = LazyGroup(subcommands={"lost": ("authsvc.cli.no_such_module", "lost")})
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ModuleNotFoundError):
            group.get_command(None, "lost")  # type: ignore[arg-type]
        assert gc.isenabled() is enabled
        with no_garbage_collection():
            assert not gc.isenabled()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
