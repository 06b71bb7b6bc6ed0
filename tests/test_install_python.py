"""``.ci/install-python``: an environment in which something runs is never changed; another one takes its place."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parent.parent

BACKEND = """
import base64, hashlib, zipfile
from pathlib import Path

def build_editable(folder, config=None, metadata=None):
    files = {
        "authsvc.pth": str(Path.cwd()),
        "authsvc-1.dist-info/METADATA": "Metadata-Version: 2.1\\nName: authsvc\\nVersion: 1\\n",
        "authsvc-1.dist-info/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "authsvc-1.dist-info/entry_points.txt": "[console_scripts]\\nauthsvc = program:main\\n",
    }
    name = "authsvc-1-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr("authsvc-1.dist-info/RECORD", "".join(f"{p},,\\n" for p in files))
    return name
"""
PROGRAM = """
import sys

def main():
    print("running", flush=True)
    sys.stdin.readline()
    import pip  # for the first time now, from the environment that the program was started in
    print(pip.__file__, flush=True)
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a clone of a project that needs no package, and has a program that imports one late."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND,
        "program.py": PROGRAM,
        ".ci/lock/runtime.txt": "# nothing\n",
        ".ci/lock/dev.txt": "# nothing, too\n",
    }
    for name, text in files.items():
        path = tmp_path / "a clone" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    shutil.copy(ROOT / ".ci/install-python", tmp_path / "a clone/.ci")
    return tmp_path / "a clone"


@pytest.fixture
def other_python(tmp_path: Path) -> Path:
    """Return a folder with another python3, as a virtual environment or pyenv puts in front of PATH."""
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", tmp_path / "other"), check=True, timeout=PATIENCE)
    return tmp_path / "other/bin"


def install(clone: Path, which: str = "runtime", *path: Path) -> subprocess.CompletedProcess[str]:
    """Install, with ``path`` in front of PATH."""
    base = Path(sys.executable).resolve().parent
    environ = {"PATH": os.pathsep.join([*map(str, path), str(base), os.environ["PATH"]]), "HOME": str(clone)}
    return subprocess.run(
        (clone / ".ci/install-python", which),
        env=environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def running(clone: Path) -> Iterator[subprocess.Popen[str]]:
    """Return the program, running in the first environment."""
    first = install(clone)
    assert first.returncode == 0, first
    with subprocess.Popen(
        (clone / ".venv/bin/authsvc",), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        yield process
        process.kill()


def test_another_python_never_touches_what_runs(
    clone: Path, other_python: Path, running: subprocess.Popen[str]
) -> None:
    """The program goes on in its own environment, the next one gets the new one, and the old one goes when it ended."""
    old = (clone / ".venv").resolve()
    second = install(clone, "runtime", other_python)
    assert second.returncode == 0, second
    new = (clone / ".venv").resolve()

    assert (new != old, old.is_dir()) == (True, True)
    config = (new / "pyvenv.cfg").read_text(encoding="utf-8")
    assert str(other_python) in config
    said, _ = running.communicate("\n", timeout=PATIENCE)
    assert Path(said.strip()).is_relative_to(old)
    assert install(clone, "dev", other_python).returncode == 0
    assert not old.exists()
    assert not new.exists()
    assert (clone / ".venv/installed-dev").is_file()


def test_it_is_made_once(clone: Path) -> None:
    """A second call finds it, as does one for what the development environment has anyway."""
    assert install(clone, "dev").returncode == 0
    before = (clone / ".venv").readlink()
    for which in ("dev", "runtime"):
        again = install(clone, which)
        assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert (clone / ".venv").readlink() == before


def test_an_environment_of_an_earlier_version_is_replaced_when_nothing_uses_it(clone: Path) -> None:
    """It was a folder; while something runs in it, the reason and what to do is said."""
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", clone / ".venv"), check=True, timeout=PATIENCE)
    with subprocess.Popen((clone / ".venv/bin/python", "-c", "input()"), stdin=subprocess.PIPE) as process:
        refused = install(clone)
        assert (refused.returncode, "is in use" in refused.stderr) == (1, True), refused
        assert (clone / ".venv/bin/python").exists()
        process.kill()
    assert install(clone).returncode == 0
    assert (clone / ".venv").is_symlink()
