"""One file that runs on a bare Python, back to 3.9."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.license_files import FACTS, put_file, put_keys
from tests.support.stack import Ran, run
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
FACT = "import sys; print('.'.join(map(str, sys.version_info[:2])))"


def pythons() -> dict[str, str]:
    """Return the Pythons on this machine from 3.9 on, by version: on PATH, and where pyenv keeps them."""
    found: dict[str, str] = {}
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    names = [f"python3.{minor}" for minor in range(9, 20)]
    candidates = [sys.executable, "/usr/bin/python3", *(p for name in names if (p := shutil.which(name)))]
    candidates += [str(path) for path in sorted(kept.glob("3.*/bin/python3"))]
    for path in candidates:
        done = (
            subprocess.run((path, "-c", FACT), capture_output=True, text=True, timeout=PATIENCE, check=False)
            if Path(path).exists()
            else None
        )
        if done and done.returncode == 0 and tuple(map(int, done.stdout.strip().split("."))) >= (3, 9):
            found.setdefault(done.stdout.strip(), path)
    return found


PYTHONS = pythons()


@pytest.fixture(scope="module")
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the zipapp, made as ``make dist`` makes it."""
    target = tmp_path_factory.mktemp("dist") / "authsvc-license.pyz"
    subprocess.run(
        (sys.executable, ROOT / ".ci/make-zipapp", target), timeout=PATIENCE, check=True, capture_output=True
    )
    return target


def test_it_holds_the_tools_alone(zipapp: Path) -> None:
    """Nothing of the server is in the file, and PyYAML without its C part and with its licence; it is small."""
    archive = zipfile.ZipFile(zipapp)
    names = archive.namelist()

    assert {"__main__.py", "authsvc/__init__.py", "authsvc/license_file.py", "authsvc/spec/reference.py"} < set(names)
    assert {"yaml/__init__.py", "yaml/composer.py"} < set(names)
    assert "Copyright (c) 2017-2021 Ingy d" in archive.read("yaml/LICENSE").decode()
    ours = r"__main__|authsvc/(installer/|printable|atomic_file|license_file|__init__|spec/)"
    allowed = rf"{ours}|yaml/(?!cyaml)[a-z_]+\.py$|yaml/LICENSE$"
    others = [name for name in names if not re.match(allowed, name)]
    assert [] == others
    assert zipapp.stat().st_size < 150_000


def test_the_same_sources_give_the_same_file(zipapp: Path, tmp_path: Path) -> None:
    """Whoever builds it again gets the same bytes."""
    again = tmp_path / "again.pyz"
    subprocess.run((sys.executable, ROOT / ".ci/make-zipapp", again), timeout=PATIENCE, check=True, capture_output=True)

    assert zipapp.read_bytes() == again.read_bytes()


def test_every_line_is_python_3_9(zipapp: Path) -> None:
    """The grammar of 3.9 accepts all of it, whatever Pythons this machine has."""
    archive = zipfile.ZipFile(zipapp)
    for name in filter(lambda name: name.endswith(".py"), archive.namelist()):
        ast.parse(archive.read(name), name, feature_version=(3, 9))


@pytest.mark.parametrize("version", sorted(PYTHONS))
def test_it_runs_on_a_bare_python(
    zipapp: Path, tmp_path: Path, home: Path, environ: dict[str, str], version: str
) -> None:
    """Both tools do their work with the standard library alone, checking signatures included."""
    # -I and -S: no site-packages, so no cryptography.
    python = (PYTHONS[version], "-I", "-S")
    file, key = put_file(tmp_path / "a.license.json"), put_keys(tmp_path / "key.json")

    def call(*words: str | Path, program: Path = zipapp, stdin: str = "") -> Ran:
        return run(*python, str(program), *map(str, words), environ=environ, cwd=home, stdin=stdin)

    verified = call("verify", "--key", key, file)
    assert (0, "") == (verified.code, verified.err), verified
    file.write_text(file.read_text().replace("Globex", "Initech", 1))
    assert "the field 'customer' was edited" in call("verify", "--key", key, file).err
    put_file(file)
    for words in (
        ("show", file),
        ("docker-config", file),
        ("pull-secret", file),
        ("kubelet-provider", "--config", file),
    ):
        assert 0 == call(*words).code, words
    assert 0 == call("login", file).code
    helper = tmp_path / "docker-credential-authsvc"
    helper.symlink_to(zipapp)
    assert FACTS["registry_token"] in call("get", program=helper, stdin=FACTS["registry"]).out
    # The manifest is read before the server is asked.
    manifest = tmp_path / "pod.yaml"
    manifest.write_text("spec: {containers: [{image: &image localhost:1/myapp/worker}]}\n")
    refused = call("preflight", put_file(tmp_path / "b.json", registry="localhost:1"), manifest)
    assert "no answer from localhost:1" in refused.err
    manifest.write_text("args: [--reloader=nothing]")
    assert "no image was found in" in call("preflight", tmp_path / "b.json", manifest).err


def test_it_runs_by_its_name(zipapp: Path, tmp_path: Path, environ: dict[str, str]) -> None:
    """Copied to a folder on PATH under both names it is both programs."""
    for name in ("authsvc-license", "docker-credential-authsvc"):
        shutil.copy(zipapp, tmp_path / name)
    given = {**environ, "PATH": f"{tmp_path}:/usr/bin:/bin"}

    assert run("authsvc-license", "--version", environ=given, cwd=tmp_path).out.startswith("authsvc-license ")
    listed = run("docker-credential-authsvc", "list", environ=given, cwd=tmp_path)
    assert (0, "{}\n") == (listed.code, listed.out)


@pytest.mark.system
def test_a_mounted_file_on_a_read_only_system(tmp_path: Path) -> None:
    """The helper writes nothing at all: it answers where every file system is read-only and home does not exist."""
    file, key = put_file(tmp_path / "mounted/acme.license.json"), put_keys(tmp_path / "mounted/key.json")
    script = (
        "mount -o remount,ro,bind / 2>/dev/null || mount --bind / / && mount -o remount,ro,bind / ; "
        f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}; "
        f"touch {tmp_path}/x 2>/dev/null && exit 9; "
        f"echo {FACTS['registry']} | docker-credential-authsvc get && "
        f"authsvc-license verify --key {key} {file}"
    )
    bin_folder = Path(sys.executable).parent
    given = {
        "PATH": f"{bin_folder}:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/nonexistent",
        "AUTHSVC_LICENSE": str(file),
    }

    ran = run("unshare", "-m", "sh", "-c", script, environ=given, cwd=Path("/"))

    assert 0 == ran.code, ran
    assert f"docker-credential-authsvc: signature not checked: {file}: no key of the vendor is here\n" == ran.err
    assert FACTS["registry_token"] in ran.out
    assert "genuine, in force" in ran.out
