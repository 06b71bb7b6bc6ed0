"""The data directory: made, refused, held."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from authsvc.errors import SetupRefused
from authsvc.stack.layout import Layout, held, prepare, write_file


def test_prepare_makes_private_folders(folder: Path) -> None:
    """Every folder is there and closed to others, also when it was made wide open."""
    (folder / "data" / "log").mkdir(parents=True, mode=0o777)

    layout = prepare(folder / "data")

    assert layout == prepare(folder / "data")
    assert {"config", "log", "nginx", "redis", "registry", "run", "secrets"} == {
        entry.name for entry in layout.root.iterdir()
    }
    assert {0o700} == {path.stat().st_mode & 0o777 for path in (layout.root, *layout.root.iterdir())}


def test_a_relative_path_becomes_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Children work elsewhere, so they get absolute paths."""
    monkeypatch.chdir(folder)

    assert folder / "authsvc-data" == prepare(Path("./authsvc-data")).root


def test_a_file_is_refused(folder: Path) -> None:
    """A file where the directory should be is said, and stays."""
    (folder / "data").write_text("mine")

    with pytest.raises(SetupRefused, match="is a file"):
        prepare(folder / "data")

    assert (folder / "data").read_text() == "mine"
    with pytest.raises(SetupRefused, match="a part of its path is a file"):
        prepare(folder / "data" / "below")


def test_a_file_in_place_of_a_folder_is_refused(folder: Path) -> None:
    """The same inside the data directory."""
    (folder / "data" / "config").mkdir(parents=True)
    (folder / "data" / "run").write_text("")

    with pytest.raises(SetupRefused, match=r"data/run is a file"):
        prepare(folder / "data")


def test_somebody_elses_directory_is_refused_untouched(folder: Path) -> None:
    """A home directory must not become 0700 by a slip of the hand."""
    folder.chmod(0o755)
    (folder / "holiday.jpg").touch()

    with pytest.raises(SetupRefused, match=r"not empty.*holiday\.jpg"):
        prepare(folder)

    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_long_path_is_refused(folder: Path) -> None:
    """Socket paths end at 107 bytes; the refusal says how much is too long and makes nothing."""
    fitting = 107 - len(os.fsencode(folder / "x" / "run" / "registry.sock")) + 1

    with pytest.raises(SetupRefused, match="2 bytes too long"):
        prepare(folder / ("ü" * (fitting // 2) + "x" * (fitting % 2 + 2)))
    assert list(folder.iterdir()) == []
    prepare(folder / ("x" * fitting))


def test_control_characters_are_refused(folder: Path) -> None:
    """A line break in the name would end a line of somebody's configuration."""
    with pytest.raises(SetupRefused, match="control characters"):
        prepare(folder / "a\nb")


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become another user")
def test_an_unwritable_directory_is_refused(folder: Path) -> None:
    """Another user's directory is refused with one sentence (seen by an ordinary user: root may write anywhere)."""
    (folder / "data").mkdir(mode=0o755)
    folder.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; from authsvc.stack.layout import prepare\n"
        "os.setuid(65534)\n"
        "try: prepare(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    def refusal(path: Path) -> str:
        command = [sys.executable, "-c", code, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    assert "SetupRefused the data directory" in refusal(folder / "data")
    assert "belongs to another user (uid 0)" in refusal(folder / "data")
    assert "can not be made: Permission denied" in refusal(folder / "data" / "below")


def test_one_holder_at_a_time(layout: Layout) -> None:
    """A second holder is refused and told who holds; the end of the first frees the directory."""
    with held(layout):
        with (
            pytest.raises(SetupRefused, match=rf"another `authsvc up` \(pid {os.getpid()}\) is running"),
            held(layout),
        ):
            pytest.fail("held twice")
        with pytest.raises(SetupRefused, match=rf"pid {os.getpid()}"), held(layout):
            pytest.fail("held twice")

    with held(layout):
        pass


def test_write_file(folder: Path) -> None:
    """A file is written privately, once, and again when its text or mode has changed."""
    path = folder / "file"

    assert write_file(path, "a")
    assert not write_file(path, "a")
    assert write_file(path, "b")
    path.chmod(0o644)
    assert write_file(path, "b")

    assert (path.read_text(), path.stat().st_mode & 0o777) == ("b", 0o600)
    assert [path] == list(folder.iterdir())
