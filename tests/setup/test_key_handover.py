"""The service keys of an earlier version go to the key service: all of them, once, wherever the way is cut off."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authsvc.errors import SecretsRefused, SetupRefused
from authsvc.keys.client import KeyServiceClient
from authsvc.keys.file_names import LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY, SERVICE_KEYS
from authsvc.keys.secrets_dir import create_missing
from authsvc.keys.service_keys import install_service_key, present_keys, rotate_license_key
from authsvc.public_url import parse_public_url
from authsvc.setup import key_handover
from authsvc.setup.compose import KEY_ADMIN_SOCKET, VOLUMES, init_compose, parse_options
from authsvc.setup.key_handover import hand_over, missing_service_keys
from tests.support.key_service import key_service_of_volumes
from tests.support.stack import short_folder

CREATED = {LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY}


class CutOff(Exception):
    """The power goes."""


@pytest.fixture
def root() -> Iterator[Path]:
    """Yield the folder of the volumes."""
    with short_folder() as made:
        yield made


@pytest.fixture
def keys(root: Path) -> Iterator[Path]:
    """Yield the directory of a key service that has no keys yet."""
    with key_service_of_volumes(root) as directory:
        yield directory


@pytest.fixture
def old(root: Path) -> Path:
    """Return the secrets directory of an earlier version, which had no sealing key, after a change of keys."""
    secrets = root / "secrets"
    create_missing(secrets, datetime.now(UTC))
    rotate_license_key(secrets)
    (secrets / SEALING_KEY).unlink()
    return secrets


def content(*directories: Path) -> dict[str, bytes]:
    """Return the service keys that are in some directories."""
    return {name: (folder / name).read_bytes() for folder in directories for name in present_keys(folder)}


def test_keys_are_moved(root: Path, keys: Path, old: Path) -> None:
    """All that were there are in the new place and nowhere else, and the sealing key is new; again changes nothing."""
    before, others = content(old), {path.name for path in old.iterdir()} - set(SERVICE_KEYS)
    foretold = missing_service_keys(root / KEY_ADMIN_SOCKET, old)
    done = hand_over(root / KEY_ADMIN_SOCKET, old)

    assert sorted(foretold) == sorted(done) == sorted(SERVICE_KEYS)
    assert before.items() < content(keys).items()
    assert {path.name for path in old.iterdir()} == others
    assert all((keys / name).stat().st_mode & 0o777 == 0o600 for name in SERVICE_KEYS)
    after = content(keys)
    assert missing_service_keys(root / KEY_ADMIN_SOCKET, old) == hand_over(root / KEY_ADMIN_SOCKET, old) == ()
    assert content(keys) == after


def test_a_fresh_installation(root: Path, keys: Path) -> None:
    """Where nothing was, the key service creates its keys, and the secrets directory never has them."""
    create_missing(root / "secrets", datetime.now(UTC), service_keys=False)
    done = hand_over(root / KEY_ADMIN_SOCKET, root / "secrets")

    assert set(done) == CREATED == set(present_keys(keys))
    assert present_keys(root / "secrets") == ()


@pytest.mark.parametrize("step", range(14))
def test_cut_off_anywhere(root: Path, keys: Path, old: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before and after every message and every removal: no key is lost, and the next run brings all to its end."""
    before, steps = content(old), iter(range(100))
    real_call, real_unlink = KeyServiceClient._call, Path.unlink

    def count() -> None:
        if next(steps) == step:
            raise CutOff

    async def call(self: KeyServiceClient, operation: object) -> object:
        count()
        result = await real_call(self, operation)  # type: ignore[arg-type]
        count()
        return result

    def unlink(self: Path, missing_ok: bool = False) -> None:
        count()
        real_unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(KeyServiceClient, "_call", call)
    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(CutOff):
        hand_over(root / KEY_ADMIN_SOCKET, old)
    monkeypatch.undo()
    assert before.items() <= content(keys, old).items()
    assert content(old) == before or before.items() <= content(keys).items(), "removed before all were there"
    hand_over(root / KEY_ADMIN_SOCKET, old)

    assert before.items() < content(keys).items()
    assert present_keys(old) == ()


def test_the_test_above_goes_through_all_steps(
    root: Path, keys: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are as many messages and removals as it cuts off at, or more of the last kind."""
    calls: list[str] = []
    real_call = KeyServiceClient._call

    async def call(self: KeyServiceClient, operation: object) -> object:
        calls.append(type(operation).__name__)
        return await real_call(self, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(KeyServiceClient, "_call", call)
    hand_over(root / KEY_ADMIN_SOCKET, old)

    assert calls == ["DescribeKeys", "InstallKey", "InstallKey", "InstallKey", "CreateKeys"]
    assert set(present_keys(keys)) == set(SERVICE_KEYS)


@pytest.mark.parametrize("name", sorted(CREATED - {SEALING_KEY}))
def test_another_key_is_not_overwritten(root: Path, keys: Path, old: Path, name: str) -> None:
    """An old backup that was put back beside newer keys: nothing is removed or replaced, and the file is named."""
    hand_over(root / KEY_ADMIN_SOCKET, old)
    after = content(keys)
    (old / name).write_bytes(after[name].replace(b"a", b"b") + b"\n")
    (old / name).chmod(0o600)
    with pytest.raises(SetupRefused, match=name):
        hand_over(root / KEY_ADMIN_SOCKET, old)

    assert content(keys) == after
    assert present_keys(old) == (name,)


def test_an_open_key_is_refused(root: Path, keys: Path, old: Path) -> None:
    """A key that others can read is not taken over as if it were a secret."""
    (old / LICENSE_TOKEN_KEY).chmod(0o644)
    with pytest.raises(SecretsRefused, match=LICENSE_TOKEN_KEY):
        hand_over(root / KEY_ADMIN_SOCKET, old)

    assert LICENSE_TOKEN_KEY not in present_keys(keys)


def test_without_a_key_service(root: Path, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`init` says who does not answer, and nothing is removed."""
    monkeypatch.setattr(key_handover, "STARTED_WITHIN", 0.3)
    before = content(old)
    with pytest.raises(SetupRefused, match="the key service does not answer"):
        hand_over(root / KEY_ADMIN_SOCKET, old)

    assert content(old) == before


def compose(root: Path) -> tuple[str, ...]:
    """Run what the service `init` of compose.yaml runs."""
    for name in VOLUMES:
        (root / name).mkdir(parents=True, mode=0o700, exist_ok=True)
    url = parse_public_url("http://localhost:5000")
    return init_compose(parse_options(root, url, "", "", None, "198.18.213"), {}, datetime.now(UTC))


def test_an_earlier_version_makes_no_new_keys(root: Path, keys: Path) -> None:
    """It looks for all keys in `secrets`, finds the link in the place of one, and refuses to start."""
    secrets = root / "secrets"
    compose(root)
    with pytest.raises(SecretsRefused, match="is a symbolic link, which is not followed; put what it names"):
        create_missing(secrets, datetime.now(UTC))  # as the earlier version does
    assert not [name for name in SERVICE_KEYS if (secrets / name).exists()]
    assert (secrets / LICENSE_SIGNING_KEY).readlink() == Path("/var/lib/authsvc/keys/license-signing.key.pem")
    assert compose(root) == ()


def test_a_restored_earlier_version_goes_on(root: Path, keys: Path) -> None:
    """Keys that are put back in the place of the link are used there, and are handed over by the next upgrade."""
    secrets = root / "secrets"
    compose(root)
    for name in present_keys(keys):
        (secrets / name).unlink(missing_ok=True)
        install_service_key(secrets, name, (keys / name).read_bytes())
    assert create_missing(secrets, datetime.now(UTC)) == ()
    assert set(compose(root)) == set(present_keys(keys))
    assert present_keys(secrets) == ()
