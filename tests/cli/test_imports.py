"""What commands import: to import what they do not use takes longer than what they do."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stack import Stack
from tests.support.tenants import make_team, unique

UNUSED = ("aiohttp", "fido2", "jinja2", "jwt", "prometheus_client", "psutil", "structlog", "uvloop", "yaml", "zxcvbn")
"""Packages for other tasks; the slowest to import of them takes as long as all of ``team list``."""

KEYS = ("cryptography.hazmat.primitives.asymmetric.ec", "cryptography.x509")
"""What signs, and what reads certificates: a list needs neither, and a license no certificate."""

MOST_MODULES = 160
"""Most modules of ours that a command imports, of more than five hundred; each costs about a twentieth of the
interpreter's start."""

RUN = """
import sys
from authsvc.cli.main import main
try:
    main(args=sys.argv[2:], prog_name="authsvc")
finally:
    with open(sys.argv[1], "w") as report:
        print(*sys.modules, file=report)
"""


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """Return an app of a team of the same name."""
    slug = unique("light")
    return make_team(stack, slug, slug=slug)


def imported(stack: Stack, tmp_path: Path, command: str) -> set[str]:
    """Run a command on the stack and return the modules that it imported."""
    report = tmp_path / "modules"
    arguments = (*command.split(), "--data-dir", str(stack.data_dir))
    done = subprocess.run(
        (sys.executable, "-c", RUN, str(report), *arguments), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(report.read_text(encoding="utf-8").split())


def ours(modules: set[str]) -> set[str]:
    """Return the modules of authsvc."""
    return {name for name in modules if name.partition(".")[0] == "authsvc"}


@pytest.mark.parametrize(
    "command",
    [
        "team list",
        "member list --team APP",
        "license list",
        "audit list",
        "activity list",
        "image list --app APP",
        "upstream list",
    ],
)
def test_a_list_imports_what_it_reads(stack: Stack, app: str, tmp_path: Path, command: str) -> None:
    """It imports no server, no client or event of the registry, and nothing that signs."""
    modules = imported(stack, tmp_path, command.replace("APP", app))
    assert modules.isdisjoint({*UNUSED, *KEYS, "authsvc.spec.registry_event"})
    assert len(ours(modules)) <= MOST_MODULES
    assert "authsvc.store.connection" in modules


def test_a_new_license_imports_what_signs_it(stack: Stack, app: str, tmp_path: Path) -> None:
    """It signs, and reads no certificate."""
    command = f"license create --app {app} --customer Globex --expires 2031-01-31 --output {tmp_path}/a.license.json"
    modules = imported(stack, tmp_path, command)
    assert modules.isdisjoint({*UNUSED, "cryptography.x509"})
    assert len(ours(modules)) <= MOST_MODULES
    assert "cryptography.hazmat.primitives.asymmetric.ec" in modules


def test_help_imports_no_use_case(stack: Stack, tmp_path: Path) -> None:
    """Not even of the commands that it lists, and no client of Redis."""
    script = RUN.replace("sys.argv[2:]", '["--help"]')
    report = tmp_path / "modules"
    subprocess.run((sys.executable, "-c", script, str(report)), capture_output=True, check=True, cwd=stack.data_dir)
    modules = set(report.read_text(encoding="utf-8").split())
    assert modules.isdisjoint({*UNUSED, *KEYS, "redis", "asyncio", "authsvc.manage.use_cases"})
