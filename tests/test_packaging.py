"""What gets installed: the locked versions, the wheel, and the command on PATH."""

import importlib.resources
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
LOCKS = [ROOT / ".ci/lock/runtime.txt", ROOT / ".ci/lock/dev.txt"]
# Below these versions there are holes or missing behaviour that authsvc cannot do without.
FLOORS = ["aiohttp>=3.14.4", "pyjwt>=2.13", "redis>=8.1", "cryptography>=50"]


def locked_requirements(lock: Path) -> dict[str, tuple[Requirement, list[str]]]:
    """Read a lock file into package name → its exact requirement and its hashes."""
    locked: dict[str, tuple[Requirement, list[str]]] = {}
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement, *hashes = line.split(" --hash=")
        parsed = Requirement(requirement)
        locked[canonicalize_name(parsed.name)] = (parsed, [found.strip() for found in hashes])
    return locked


def locked_version(lock: Path, name: str) -> str:
    """Give the one version that a lock names for a package."""
    (specifier,) = locked_requirements(lock)[canonicalize_name(name)][0].specifier
    return specifier.version


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_names_exact_versions_with_hashes(lock: Path) -> None:
    """Every locked package has one exact version and at least one SHA-256."""
    locked = locked_requirements(lock)
    assert locked
    for requirement, hashes in locked.values():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="]
        assert hashes
        assert all(found.startswith("sha256:") and len(found) == 71 for found in hashes)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_lock_names_no_host_and_no_path(lock: Path) -> None:
    """A lock works with everybody's own mirror and was made on nobody's machine in particular."""
    text = lock.read_text(encoding="utf-8")
    for trace in ("http://", "https://", "file:", "index-url", "find-links", " @ ", str(ROOT)):
        assert trace not in text


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_locked_versions_keep_the_floors(lock: Path) -> None:
    """The locked versions satisfy the design's floors and everything that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*FLOORS, *project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    if lock.stem == "dev":
        asked += [entry for entry in project["dependency-groups"]["dev"] if isinstance(entry, str)]
    for wanted in map(Requirement, asked):
        assert wanted.specifier.contains(locked_version(lock, wanted.name)), wanted


def test_dev_lock_holds_the_runtime_lock() -> None:
    """Tests run on exactly the versions that `make run` installs."""
    runtime, dev = map(locked_requirements, LOCKS)
    assert {name: runtime[name][0] for name in runtime} == {name: dev[name][0] for name in runtime}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """Build the wheel with the locked build backend and open it."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-build-isolation", "--no-deps"]
    subprocess.run([*pip, "wheel", *offline, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.iterdir()
    return zipfile.Path(built)


def test_wheel_carries_the_registry_config(wheel: zipfile.Path) -> None:
    """The wheel holds the templates themselves, byte for byte, where the code looks for them."""
    source = ROOT / "registry-config"
    expected = {path.name: path.read_bytes() for path in source.iterdir() if path.is_file()}
    assert expected
    packed = wheel / "authsvc" / "registry-config"
    assert {path.name: path.read_bytes() for path in packed.iterdir()} == expected


def test_editable_install_reaches_the_registry_config() -> None:
    """The same expression finds the templates when authsvc runs from a clone."""
    names = {path.name for path in (ROOT / "registry-config").iterdir()}
    assert names == {path.name for path in (importlib.resources.files("authsvc") / "registry-config").iterdir()}


def link_commands(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run .ci/link-commands in a made-up clone, with a home of its own on PATH."""
    for inside, text in {
        ".ci/link-commands": (ROOT / ".ci/link-commands").read_text(encoding="utf-8"),
        ".venv/bin/authsvc": "#!/bin/sh\n",
    }.items():
        path = folder / "clone" / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    home = folder / "home"
    home.joinpath(".local/bin").mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [str(folder / "clone/.ci/link-commands"), "authsvc"],
        env={"HOME": str(home), "PATH": f"{home}/.local/bin{os.pathsep}/usr/bin{os.pathsep}/bin"},
        capture_output=True,
        text=True,
        check=True,
    )


def test_command_is_put_on_path_once(tmp_path: Path) -> None:
    """The first run links the command and says so, the second has nothing to say."""
    link = tmp_path / "home/.local/bin/authsvc"
    assert link_commands(tmp_path).stdout == f"authsvc is now on PATH: {link}\n"
    assert link.readlink() == tmp_path / "clone/.venv/bin/authsvc"
    assert not link_commands(tmp_path).stdout


def test_link_of_a_deleted_clone_is_renewed(tmp_path: Path) -> None:
    """A link that leads into a clone that is gone stands in nobody's way."""
    link = tmp_path / "home/.local/bin/authsvc"
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "gone/.venv/bin/authsvc")
    link_commands(tmp_path)
    assert link.readlink() == tmp_path / "clone/.venv/bin/authsvc"


def test_foreign_command_is_left_alone(tmp_path: Path) -> None:
    """Somebody else's authsvc stays, and the line that reaches ours is printed."""
    foreign = tmp_path / "home/.local/bin/authsvc"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("#!/bin/sh\n# not ours\n", encoding="utf-8")
    foreign.chmod(0o755)
    said = link_commands(tmp_path).stdout
    assert foreign.read_text(encoding="utf-8") == "#!/bin/sh\n# not ours\n"
    assert f"authsvc on PATH is {foreign}" in said
    assert f'export PATH={tmp_path}/clone/.venv/bin:"$PATH"' in said
