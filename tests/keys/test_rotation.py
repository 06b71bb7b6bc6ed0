"""How keys change on the disk: what a crash leaves, and what is refused."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.errors import Conflict, SecretsRefused
from authsvc.keys import service_keys
from authsvc.keys.authority import load_authority
from authsvc.keys.file_names import (
    CHANGING,
    LICENSE_SIGNING_KEY,
    LICENSE_TOKEN_KEY,
    NEXT_ROOT_KEY,
    NGINX_SECRET,
    REDIS_SECRET,
    REGISTRY_EVENTS_SECRET,
    REGISTRY_HTTP_SECRET,
    RETIRED_LICENSE_KEYS,
    SEALING_KEY,
    TOKEN_ROOT_CERTIFICATE,
    TOKEN_ROOT_KEY,
)
from authsvc.keys.files import changing, public_pem, replace
from authsvc.keys.rotation import drop_old_roots, prepare_root, switch_root
from authsvc.keys.secrets_dir import create_missing, load_next_root, load_roots, load_token_root, redis_secret
from authsvc.keys.service_key_files import load_license_public_keys, load_license_signing_key
from authsvc.keys.service_keys import rotate_license_key
from authsvc.signing.license_keys import key_id
from tests.support.builders import NOW


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a secrets directory with everything in it."""
    create_missing(tmp_path / "secrets", NOW)
    return tmp_path / "secrets"


def names(directory: Path) -> list[str]:
    """Return the names of the published license keys."""
    return [key_id(key) for key in load_license_public_keys(directory)]


def test_every_license_key_stays_published(directory: Path) -> None:
    """Rotating three times publishes four keys, the newest first, and only the newest signs."""
    known = names(directory)
    for _ in range(3):
        known.insert(0, rotate_license_key(directory))
    assert known == names(directory)
    assert known[0] == key_id(load_license_signing_key(directory).public_key())


def test_files_of_keys_are_for_the_owner_alone(directory: Path) -> None:
    """Everything that a rotation writes is 0600, and no draft stays behind."""
    rotate_license_key(directory)
    prepare_root(directory, NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert {0o600} == set(modes.values())
    assert [".changing"] == [name for name in modes if name.startswith(".")]


@pytest.mark.parametrize("crash_at", [1, 2])
def test_a_crash_loses_no_license_key(directory: Path, crash_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a rotation ends, the old key is published, and rotating again completes."""
    (old,) = names(directory)
    writes = 0

    def crash(path: Path, content: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == crash_at:
            raise SecretsRefused("the disk is full")
        replace(path, content)

    with monkeypatch.context() as broken:
        broken.setattr(service_keys, "replace", crash)
        with pytest.raises(SecretsRefused):
            rotate_license_key(directory)
    assert [old] == names(directory)
    new = rotate_license_key(directory)
    assert [new, old] == names(directory)


def test_a_prepared_root_signs_nothing_yet(directory: Path) -> None:
    """Both certificates are in the bundle, the old one issues; preparing twice is the same as once."""
    old = load_token_root(directory)[0]
    new = prepare_root(directory, NOW)
    assert new == prepare_root(directory, NOW)
    assert ([old, new], old) == (load_roots(directory), load_authority(directory, directory, offline=False).root)


def test_a_switched_root_signs_and_the_old_one_stays_trusted(directory: Path) -> None:
    """After the switch the new root issues, the old key is gone, and dropping leaves the new one alone."""
    old, old_key = load_token_root(directory)
    new = prepare_root(directory, NOW)
    assert new == switch_root(directory)
    assert (new, [old, new], None) == (
        load_token_root(directory)[0],
        load_roots(directory),
        load_next_root(directory),
    )
    assert old_key.public_key() != load_token_root(directory)[1].public_key()
    assert ([old], [new]) == (drop_old_roots(directory), load_roots(directory))


def test_dropping_keeps_a_prepared_root(directory: Path) -> None:
    """What is prepared is not old."""
    old, new = load_token_root(directory)[0], prepare_root(directory, NOW)
    assert ([], [old, new]) == (drop_old_roots(directory), load_roots(directory))


def test_steps_out_of_order_are_refused(directory: Path) -> None:
    """There is nothing to switch to before something is prepared."""
    with pytest.raises(Conflict, match="no next root is prepared"):
        switch_root(directory)


def test_one_change_at_a_time(directory: Path) -> None:
    """While somebody changes keys nobody else does; then it works."""
    with changing(directory), pytest.raises(Conflict, match="another process"):
        rotate_license_key(directory)
    rotate_license_key(directory)


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n",
        public_pem(ec.generate_private_key(ec.SECP256R1()).public_key()).replace(b"M", b"!"),
    ],
)
def test_damaged_retired_keys_are_refused(directory: Path, content: bytes) -> None:
    """A start with an unreadable list of retired keys is refused: old files would stop verifying in silence."""
    path = directory / RETIRED_LICENSE_KEYS
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SecretsRefused, match="PEM public keys only"):
        names(directory)


def test_a_missing_root_key_makes_no_new_one(directory: Path) -> None:
    """A certificate without its key means that the key is elsewhere: none is made, all else works."""
    (directory / TOKEN_ROOT_KEY).unlink()
    assert () == create_missing(directory, NOW)
    assert None is load_authority(directory, directory, offline=True).root_key
    with pytest.raises(SecretsRefused):
        load_authority(directory, directory, offline=False)


def test_new_secrets_survive_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is on the disk before it has its name, and its name, and the directory's, before anybody uses it."""
    done: list[str] = []
    link, fsync = os.link, os.fsync

    def links(draft: Path, path: Path) -> None:
        done.append(path.name)
        link(draft, path)

    def syncs(descriptor: int) -> None:
        done.append(str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path)))
        fsync(descriptor)

    monkeypatch.setattr(os, "link", links)
    monkeypatch.setattr(os, "fsync", syncs)
    created = create_missing(tmp_path / "made" / "secrets", NOW)

    assert [".", "made"] == done[:2]
    for name in created:
        place = done.index(name)
        assert done[place - 1].startswith(f"made/secrets/.{name}.")
        assert done[place + 1] == "made/secrets"


def test_a_full_disk_leaves_no_drafts(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that could not be written whole does not lie around."""
    before = set(directory.iterdir())

    def refuses(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuses)
    with pytest.raises(SecretsRefused, match="No space left"):
        rotate_license_key(directory)

    assert {*before, directory / CHANGING} == {*directory.iterdir()}


SECRETS = (
    TOKEN_ROOT_KEY,
    TOKEN_ROOT_CERTIFICATE,
    LICENSE_SIGNING_KEY,
    LICENSE_TOKEN_KEY,
    SEALING_KEY,
    REGISTRY_EVENTS_SECRET,
    NGINX_SECRET,
    REGISTRY_HTTP_SECRET,
    REDIS_SECRET,
    NEXT_ROOT_KEY,
    RETIRED_LICENSE_KEYS,
)


@pytest.fixture
def full_directory(directory: Path) -> Path:
    """Return a secrets directory with every file that one can have."""
    rotate_license_key(directory)
    prepare_root(directory, NOW)
    redis_secret(directory)
    return directory


def test_every_secret_is_known_to_this_test(full_directory: Path) -> None:
    """A new secret must be checked as all the others are."""
    assert {*SECRETS, CHANGING} == {path.name for path in full_directory.iterdir()}


def taken_over(path: Path) -> None:
    """Give a file to another user, as one who plants keys does; without root a link does the same harm."""
    if os.geteuid() == 0:
        os.chown(path, 4_000_000_000, -1)
    else:
        planted = path.parent.parent / "planted"
        path.replace(planted)
        path.symlink_to(planted)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "spoil",
    [taken_over, lambda path: path.chmod(0o640), lambda path: path.write_bytes(b"")],
    ids=["owner", "mode", "empty"],
)
def test_init_takes_over_no_secret_that_it_would_not_make(
    full_directory: Path, name: str, spoil: Callable[[Path], None]
) -> None:
    """Each file is checked by owner, mode and content before anything is written."""
    if name == RETIRED_LICENSE_KEYS and spoil is not taken_over:
        (full_directory / name).chmod(0o640)  # an empty list of retired keys is a good one
    else:
        spoil(full_directory / name)
    for missing in (LICENSE_TOKEN_KEY, REGISTRY_HTTP_SECRET, REGISTRY_EVENTS_SECRET, NGINX_SECRET):
        if missing != name:
            (full_directory / missing).unlink()
    before = sorted(path.name for path in full_directory.iterdir())

    with pytest.raises(SecretsRefused):
        create_missing(full_directory, NOW)

    assert before == sorted(path.name for path in full_directory.iterdir())
