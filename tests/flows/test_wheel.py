"""The package as people install it: from a wheel, in an empty folder, far from any clone."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from tests.support.oci import Image
from tests.support.registry_client import Client
from tests.support.stack import PATIENT, Stack, run, short_folder
from tests.support.tenants import make_license, make_member, make_team
from tests.support.waiting import PATIENCE

CLONE = Path(__file__).parent.parent.parent
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
OFFLINE = ("--no-index", "--no-deps")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a fresh environment with the wheel in it, and everything else from the tests' own."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [*PIP, "wheel", *OFFLINE, "--no-build-isolation", "--wheel-dir", str(folder), str(CLONE)],
        check=True,
        timeout=PATIENCE,
    )
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    # One entry on the path: .pth files inside it, the clone's own among them, are not read.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    subprocess.run(
        [*PIP, "--python", str(environment), "install", *OFFLINE, "--force-reinstall", str(wheel)],
        check=True,
        timeout=PATIENCE,
        env={**os.environ, "PIP_TARGET": "", "PYTHONPATH": ""},
    )
    return environment


def test_up_works_from_a_wheel(installed: Path) -> None:
    """Push and pull work, and nothing is taken from the clone."""
    with short_folder() as folder:
        patient = {"AUTHSVC_REDIS_DEADLINE": PATIENT}
        stack = Stack(folder, settings=patient, command=(str(installed / "bin" / "authsvc"),))
        where = run(
            str(installed / "bin" / "python"),
            *("-c", "import authsvc, authsvc.local.up; print(authsvc.__file__)"),
            environ=stack.environ,
            cwd=folder,
            check=True,
        )
        assert where.out.startswith(str(installed))
        stack.start()
        try:
            team = make_team(stack, "app")
            image = Image(b"from a wheel")
            Client(stack.port, make_member(stack, team, "developer")).push("app/worker", "1", image)
            Client(stack.port, make_license(stack, "app").account).pull("app/worker", "1", image)
        finally:
            code = stack.stop()
        assert code == 0
        assert str(CLONE) not in "".join(
            path.read_text(errors="replace") for path in (stack.data_dir / "config").iterdir()
        )
