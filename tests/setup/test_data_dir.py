"""Which directory becomes a data directory: an empty one, or one of ours, and no other is touched."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authsvc.errors import SetupRefused
from authsvc.keys.file_names import LICENSE_SIGNING_KEY, TOKEN_ROOT_CERTIFICATE
from authsvc.listen_address import parse_listen
from authsvc.public_url import parse_public_url
from authsvc.setup.compose import VOLUMES, init_compose, parse_options
from authsvc.setup.data_dir import MARKER, check, prepare, recognise
from authsvc.setup.init import Site, init
from authsvc.setup.layout import FOLDERS, Layout
from tests.support.key_service import key_service_of_volumes
from tests.support.waiting import PATIENCE

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SITE = Site(
    parse_listen("127.0.0.1:5000"), parse_public_url("http://localhost:5000"), "127.0.0.1:8080", "127.0.0.1:8081"
)
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become another user")
SOMEBODY_ELSE = 4_000_000_000


def state(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return owner, mode and content of everything in a directory, and of itself."""
    return {
        str(path): (status.st_uid, status.st_mode, path.read_bytes() if path.is_file() else b"")
        for path in (root, *root.rglob("*"))
        for status in (path.lstat(),)
    }


def refused(path: Path, sentence: str) -> None:
    """Require that a directory is refused by whatever looks at it, and stays as it is."""
    before = state(path)
    for look in (prepare, check):
        with pytest.raises(SetupRefused, match=sentence):
            look(path)
    assert before == state(path)


def of_an_earlier_version(path: Path) -> Layout:
    """Return a data directory as it was before there was a marker."""
    layout = prepare(path)
    init(layout, SITE, NOW)
    (path / MARKER).unlink()
    return layout


def test_prepare_makes_private_folders(folder: Path) -> None:
    """Every folder is there and closed to others, also when it was opened since."""
    layout = prepare(folder / "data")
    (layout.root / "log").chmod(0o777)

    assert layout == prepare(folder / "data")
    assert {*FOLDERS, MARKER} == {entry.name for entry in layout.root.iterdir()}
    assert {0o700} == {path.stat().st_mode & 0o777 for path in (layout.root, *map(layout.root.joinpath, FOLDERS))}


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
    (prepare(folder / "data").root / "run").rmdir()
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


@AS_ROOT
def test_an_unwritable_directory_is_refused(folder: Path) -> None:
    """Another user's directory is refused with one sentence (seen by an ordinary user: root may write anywhere)."""
    (folder / "data").mkdir(mode=0o755)
    folder.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; from authsvc.setup.data_dir import prepare\n"
        "os.setuid(65534)\n"
        "try: prepare(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )

    def refusal(path: Path) -> str:
        command = [sys.executable, "-c", code, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout

    assert "SetupRefused the data directory" in refusal(folder / "data")
    assert "belongs to another user (uid 0" in refusal(folder / "data")
    assert "cannot be made: Permission denied" in refusal(folder / "data" / "below")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_name_of_ours_does_not_make_a_directory_ours(folder: Path, name: str) -> None:
    """/var has `run` and `log`, and /etc may have `redis` and `nginx`."""
    (folder / name).mkdir()
    (folder / name / "theirs").touch()
    folder.chmod(0o755)
    refused(folder, "not empty and not a data directory of authsvc")


def test_all_our_names_do_not_make_a_directory_ours(folder: Path) -> None:
    """Folders that are open to others are not those that we made."""
    for name in FOLDERS:
        (folder / name).mkdir(mode=0o755)
    refused(folder, "not empty and not a data directory of authsvc")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_link_inside_is_not_followed(folder: Path, name: str) -> None:
    """What it names would become 0700 and be written to."""
    layout, elsewhere = prepare(folder / "data"), folder / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    (layout.root / name).rmdir()
    (layout.root / name).symlink_to(elsewhere)

    refused(layout.root, "symbolic link")
    with pytest.raises(SetupRefused, match="symbolic link"):
        recognise(layout.root)
    assert (elsewhere.stat().st_mode & 0o777, list(elsewhere.iterdir())) == (0o755, [])


def test_a_marker_that_is_a_link_is_none(folder: Path) -> None:
    """Only a file that we wrote marks."""
    (folder / "theirs").touch()
    (folder / MARKER).symlink_to(folder / "theirs")
    refused(folder, "not empty and not a data directory of authsvc")


@AS_ROOT
@pytest.mark.parametrize("what", ["", MARKER, "run"])
def test_what_another_user_owns_is_refused_by_root_too(folder: Path, what: str) -> None:
    """Root may write anywhere, and would take a planted marker, folder or key for its own."""
    layout = prepare(folder / "data")
    (layout.root / "note").touch()
    os.chown(layout.root / what, SOMEBODY_ELSE, -1)
    refused(layout.root, "another user" if what != MARKER else "not a data directory")


def test_an_empty_directory_of_everybody_is_refused(folder: Path) -> None:
    """An empty /tmp is empty, and is not ours to close."""
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    refused(folder / "tmp", "everybody may write")


def test_an_empty_disk_is_taken(folder: Path) -> None:
    """A new file system has one folder in it."""
    (folder / "lost+found").mkdir()
    assert check(folder) == prepare(folder)


def test_a_directory_of_an_earlier_version_goes_on(folder: Path) -> None:
    """It has our keys and our rendered configuration, and whatever else somebody put there; it gets its marker."""
    layout = of_an_earlier_version(folder / "data")
    (layout.root / "notes.txt").touch()

    assert recognise(layout.root) == check(layout.root) == prepare(layout.root) == layout
    assert (layout.root / MARKER).is_file()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda layout: (layout.secrets / TOKEN_ROOT_CERTIFICATE).unlink(),
        lambda layout: (layout.secrets / LICENSE_SIGNING_KEY).unlink(),
        lambda layout: layout.config.joinpath("authsvc.toml").unlink(),
        lambda layout: layout.config.joinpath("authsvc.toml").write_text("[server]\n"),
        lambda layout: layout.secrets.rename(layout.root / "keys"),
    ],
    ids=["no root", "no license key", "no configuration", "another configuration", "no secrets"],
)
def test_half_of_what_we_make_is_not_ours(folder: Path, spoil: Callable[[Layout], object]) -> None:
    """Beside other things, both our keys and our configuration must be there."""
    layout = of_an_earlier_version(folder / "data")
    (layout.root / "notes.txt").touch()
    spoil(layout)
    refused(layout.root, "not a data directory of authsvc")


def test_what_a_backup_holds_is_enough(folder: Path) -> None:
    """A restore of keys, records and images has neither the marker nor a rendered configuration."""
    layout = of_an_earlier_version(folder / "data")
    for name in ("config", "run", "log", "nginx"):
        shutil.rmtree(layout.root / name)
    assert prepare(layout.root) == layout


def test_an_interrupted_first_start_goes_on(folder: Path) -> None:
    """A version without a marker left its folders and nothing in them."""
    (prepare(folder / "data").root / MARKER).unlink()
    assert check(folder / "data") == prepare(folder / "data")


def test_what_does_not_exist_is_not_made_by_a_look(folder: Path) -> None:
    """The look finds what would stand in the way, and makes nothing."""
    check(folder / "a" / "b")
    (folder / "file").touch()
    with pytest.raises(SetupRefused, match="a part of its path is a file"):
        check(folder / "file" / "b")
    assert [folder / "file"] == list(folder.iterdir())


@pytest.fixture
def volumes(folder: Path) -> Iterator[Path]:
    """Yield the folder of compose's volumes, each empty, with a key service that has no keys yet."""
    for name in VOLUMES:
        (folder / name).mkdir(parents=True, mode=0o700)
    with key_service_of_volumes(folder):
        yield folder


def compose(root: Path) -> tuple[str, ...]:
    """Run what the service `init` of compose.yaml runs."""
    url = parse_public_url("http://localhost:5000")
    return init_compose(parse_options(root, url, "", "sentinel", None, "198.18.213"), {}, NOW)


def test_volumes_are_marked_and_go_on(volumes: Path) -> None:
    """Each is a mount of its own; volumes of an earlier version have our files and no marker."""
    assert compose(volumes)
    assert all((volumes / name / MARKER).is_file() for name in VOLUMES)
    for name in VOLUMES:
        (volumes / name / MARKER).unlink()
    (volumes / "secrets" / LICENSE_SIGNING_KEY).unlink()
    (volumes / "secrets" / ".changing").touch()
    (volumes / "config/redis" / ".redis.conf.new").touch()
    assert compose(volumes) == ()
    assert all((volumes / name / MARKER).is_file() for name in VOLUMES)


@pytest.mark.parametrize("volume", VOLUMES)
def test_a_volume_with_other_files_is_refused(volumes: Path, volume: str) -> None:
    """Nothing is written to any volume when one of them holds something else."""
    (volumes / volume / ".bashrc").touch()
    before = state(volumes)
    with pytest.raises(SetupRefused, match=r"\.bashrc"):
        compose(volumes)
    assert before == state(volumes)


@pytest.mark.parametrize("volume", VOLUMES)
def test_a_link_in_a_volume_is_refused(volumes: Path, volume: str) -> None:
    """A name of ours that leads elsewhere is not ours."""
    (volumes / volume / min(VOLUMES[volume])).symlink_to("/etc/passwd")
    before = state(volumes)
    with pytest.raises(SetupRefused, match="is a link"):
        compose(volumes)
    assert before == state(volumes)
