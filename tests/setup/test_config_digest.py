"""A container notices what another version rendered for it, and only that; follow.sh is run by this machine's shell."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from authsvc.keys.file_names import TOKEN_ROOT_CERTIFICATE
from authsvc.setup import config_digest
from tests.support.waiting import PATIENCE, until

SCRIPT = Path(__file__).parents[2] / "registry-config" / "follow.sh"
FILES = {
    "registry/config.yml": "a: 1\n",
    f"registry/{TOKEN_ROOT_CERTIFICATE}": "root",
    "nginx/nginx.conf": "events {}\n",
}
SETTINGS = {config_digest.RENDERED_FOR: "http://localhost:5000   \t acme"}


def renderings(files: dict[str, str]) -> dict[str, str]:
    """Return what follow.sh reads, by folder."""
    made = config_digest.with_digests(files, SETTINGS)
    return {folder: made[f"{folder}/rendering"] for folder in config_digest.FOLDERS}


def test_each_folder_has_the_script_and_its_rendering_at_the_end() -> None:
    """Written last, it never speaks of a file that is not there yet; the settings stay in one line."""
    made = config_digest.with_digests(FILES, SETTINGS)

    assert [*made][-3:] == [f"{folder}/rendering" for folder in config_digest.FOLDERS]
    assert {made[f"{folder}/follow.sh"] for folder in config_digest.FOLDERS} == {SCRIPT.read_text()}
    assert made["nginx/rendering"].splitlines()[0] == "http://localhost:5000 acme"
    assert FILES.items() <= made.items()


@pytest.mark.parametrize(
    ("changed", "folders"),
    [
        ({}, set()),
        ({"registry/config.yml": "a: 2\n"}, {"registry"}),
        ({"nginx/nginx.sh": ""}, {"nginx"}),
        # It has steps of its own: `init --token-root`, and a restart of the registry.
        ({f"registry/{TOKEN_ROOT_CERTIFICATE}": "another"}, set()),
    ],
)
def test_only_the_folder_that_changed_has_another_rendering(changed: dict[str, str], folders: set[str]) -> None:
    """Nginx is not bothered by a change of the registry's."""
    before, after = renderings(FILES), renderings({**FILES, **changed})

    assert {folder for folder in before if before[folder] != after[folder]} == folders


def children(pid: int) -> list[str]:
    """Return the names of a process' children."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    names = (Path(f"/proc/{child}/comm") for child in pids)
    return [name.read_text().strip() for name in names if name.exists()]


@contextmanager
def followed(folder: Path, *check: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a program that SIGUSR1 ends, with follow.sh beside it, until the end of the block."""
    program = subprocess.Popen(["sleep", "3600"])
    command = ["sh", str(SCRIPT), str(folder), str(program.pid), "USR1", *check]
    follower = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until(lambda: "sleep" in children(follower.pid), "the first look")
        yield program
    finally:
        for process in (program, follower):
            process.kill()
            process.wait(PATIENCE)


def render(folder: Path, settings: str, digest: str) -> None:
    """Write a rendering whole, as `init` does."""
    (folder / ".new").write_text(f"{settings}\n{digest}\n")
    (folder / ".new").replace(folder / "rendering")


def test_another_rendering_for_the_same_settings_is_told(tmp_path: Path) -> None:
    """The program gets its signal."""
    render(tmp_path, "http://a b", "1")
    with followed(tmp_path) as program:
        render(tmp_path, "http://a b", "2")

        assert program.wait(PATIENCE) == -signal.SIGUSR1


def test_a_rendering_for_other_settings_is_not(tmp_path: Path) -> None:
    """`init` that is run with another .env reaches nothing that runs; the check shows that a look was taken."""
    render(tmp_path, "http://a", "1")
    looks = tmp_path / "looks"
    with followed(tmp_path, "touch", str(looks)) as program:
        render(tmp_path, "http://b", "2")
        with pytest.raises(subprocess.TimeoutExpired):
            program.wait(2.5)
        assert not looks.exists()
        render(tmp_path, "http://a", "3")

        assert program.wait(PATIENCE) == -signal.SIGUSR1
    assert looks.exists()


def test_a_configuration_that_does_not_pass_its_check_is_not(tmp_path: Path) -> None:
    """Nginx goes on with what it has, and takes up the next one that passes."""
    render(tmp_path, "http://a", "1")
    good, looks = tmp_path / "good", tmp_path / "looks"
    check = ("sh", "-c", f"touch {looks}; test -e {good}")
    with followed(tmp_path, *check) as program:
        render(tmp_path, "http://a", "2")
        until(looks.exists, "the check")
        assert program.poll() is None
        good.touch()
        render(tmp_path, "http://a", "3")

        assert program.wait(PATIENCE) == -signal.SIGUSR1
