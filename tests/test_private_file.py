"""Files and directories that only their owner may read or change: every kind of other file is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from authsvc.errors import SecretsRefused, SetupRefused
from authsvc.private_file import private_directory, read_secret, read_secret_in, read_trusted

SOMEBODY_ELSE = 4_000_000_000


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a file that is as it must be, in a directory that is, too."""
    tmp_path.chmod(0o700)
    file = tmp_path / "key"
    file.write_bytes(b"content")
    file.chmod(0o600)
    return file


def in_folder(path: Path) -> bytes:
    """Read a file together with its directory."""
    return read_secret_in(path.parent, path.name)


READERS: list[Callable[[Path], bytes]] = [read_secret, in_folder, read_trusted]
STRICT: list[Callable[[Path], bytes]] = [read_secret, in_folder]


@pytest.mark.parametrize("read", READERS)
def test_our_own_file_is_read(secret: Path, read: Callable[[Path], bytes]) -> None:
    """What is ours alone is read."""
    assert read(secret) == b"content"


@pytest.mark.parametrize("read", STRICT)
def test_another_users_file_is_refused(
    secret: Path, read: Callable[[Path], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its mode: who owns a file can change what is in it. That also holds for a process of root."""
    if os.geteuid() == 0:
        os.chown(secret, SOMEBODY_ELSE, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY_ELSE)

    with pytest.raises(SetupRefused, match="belongs to another user"):
        read(secret)


def test_root_trusts_no_file_of_another_user(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who could change what root reads could become root."""
    os.chown(secret, SOMEBODY_ELSE, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 0)

    with pytest.raises(SetupRefused, match="belongs to another user"):
        read_trusted(secret)


def test_a_mounted_file_keeps_the_owner_that_it_has_on_the_host(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file behind a secret of compose belongs to whoever deploys, whom the container does not know."""
    secret.chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY_ELSE)

    assert b"content" == read_trusted(secret)


def test_another_users_directory_is_refused(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the directory can put another file in the place of ours."""
    if os.geteuid() == 0:
        os.chown(secret.parent, SOMEBODY_ELSE, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY_ELSE)

    with pytest.raises(SecretsRefused, match=r"the directory .* belongs to another user"):
        in_folder(secret)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610, 0o602])
@pytest.mark.parametrize("read", STRICT)
def test_a_secret_that_is_open_to_others_is_refused(secret: Path, read: Callable[[Path], bytes], mode: int) -> None:
    """Any right of any other user is one too many."""
    secret.chmod(mode)
    with pytest.raises(SecretsRefused, match=f"mode {mode:04o}"):
        read(secret)


def test_a_directory_that_is_open_to_others_is_refused(secret: Path) -> None:
    """The same for the directory."""
    secret.parent.chmod(0o750)
    with pytest.raises(SecretsRefused, match="chmod 700"):
        in_folder(secret)


def test_trusted_files_may_be_read_by_others_and_not_written(secret: Path) -> None:
    """As platforms mount them: readable, and a symbolic link."""
    link = secret.with_name("link")
    link.symlink_to(secret)
    secret.chmod(0o644)
    assert read_trusted(link) == b"content"
    for mode in (0o664, 0o646):
        secret.chmod(mode)
        with pytest.raises(SetupRefused, match="others may write"):
            read_trusted(link)


@pytest.mark.parametrize("read", STRICT)
def test_a_link_is_not_followed(secret: Path, read: Callable[[Path], bytes]) -> None:
    """It could name any other file of ours."""
    link = secret.with_name("link")
    link.symlink_to(secret)
    with pytest.raises(SecretsRefused, match="symbolic link"):
        read(link)


def test_a_link_to_a_directory_is_not_followed(secret: Path) -> None:
    """The same for the directory, and a file is not a directory."""
    link = secret.parent / "link"
    link.symlink_to(secret.parent, target_is_directory=True)
    with pytest.raises(SecretsRefused, match="symbolic link"), private_directory(link):
        pass
    with pytest.raises(SecretsRefused, match="not a directory"), private_directory(secret):
        pass


@pytest.mark.parametrize("read", READERS)
def test_a_pipe_is_refused_at_once(secret: Path, read: Callable[[Path], bytes]) -> None:
    """Opening a pipe that nobody writes to would wait for ever."""
    secret.unlink()
    os.mkfifo(secret, 0o600)
    with pytest.raises(SetupRefused, match="not a regular file"):
        read(secret)


@pytest.mark.parametrize("read", READERS)
def test_a_file_without_end_is_refused(secret: Path, read: Callable[[Path], bytes]) -> None:
    """No more is read than a key may have."""
    os.truncate(secret, 1024 * 1024 + 1)
    with pytest.raises(SetupRefused, match="longer than"):
        read(secret)
