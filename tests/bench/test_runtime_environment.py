"""What is measured has the packages of an installation, and none of development's."""

import subprocess
from pathlib import Path

import authsvc
from tests.bench.runtime_environment import make_runtime_environment


def test_it_has_what_an_installation_has(tmp_path: Path) -> None:
    """The program runs with its libraries and their bytecode; development's packages are not there."""
    command = make_runtime_environment(tmp_path / "env")
    version = subprocess.run((*command, "--version"), capture_output=True, text=True, check=True, cwd=tmp_path)
    assert version.stdout == f"authsvc, version {authsvc.__version__}\n"

    names = ("authsvc.server.worker", "typing_extensions", "pytest", "rich", "pip")
    script = "import sys, importlib.util as u, os.path as p; found = map(u.find_spec, sys.argv[1:])"
    script += "; print(*(spec and p.isdir(p.dirname(spec.cached)) for spec in found))"
    arguments = (command[0], "-c", script, *names)
    found = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.split() == ["True", "True", "None", "None", "None"]
