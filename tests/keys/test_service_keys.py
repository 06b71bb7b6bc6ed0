"""The keys of the key service in a directory: created, installed, rotated and used."""

import json
from pathlib import Path

import pytest

from authsvc import license_file
from authsvc.credentials.machine_secret import derive_license_token
from authsvc.errors import Conflict, InputRefused, SecretsRefused
from authsvc.keys.file_names import (
    LICENSE_SIGNING_KEY,
    LICENSE_TOKEN_KEY,
    RETIRED_LICENSE_KEYS,
    SEALING_KEY,
    SERVICE_KEYS,
)
from authsvc.keys.seal_context import SealContext
from authsvc.keys.service_key_files import load_license_public_keys, load_license_token_key
from authsvc.keys.service_keys import (
    LocalKeys,
    check_service_keys,
    create_service_keys,
    install_service_key,
    present_keys,
    remove_service_keys,
    rotate_license_key,
    rotate_sealing_key,
)
from tests.support import es256
from tests.support.key_service import make_keys

CONTEXT = SealContext("ecr_token", "acme", "link1", 1)
ID = "0" * 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a directory with new keys."""
    return make_keys(tmp_path / "keys")


def test_keys_are_created_once(folder: Path) -> None:
    """A second call changes nothing; a key that is missing is made, private to its owner."""
    before = {name: (folder / name).read_bytes() for name in present_keys(folder)}
    assert set(before) == {LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY}
    assert create_service_keys(folder) == ()
    assert {name: (folder / name).read_bytes() for name in present_keys(folder)} == before
    (folder / SEALING_KEY).unlink()
    assert create_service_keys(folder) == (SEALING_KEY,)
    assert all((folder / name).stat().st_mode & 0o777 == 0o600 for name in before)


async def test_a_signature_is_a_license(folder: Path) -> None:
    """What is signed verifies with the published key as the signature of a license."""
    keys = LocalKeys(folder)
    payload = b'{"id":"x"}'
    signature = await keys.sign_license(payload)
    public = load_license_public_keys(folder)[0]
    (jwk,) = await keys.license_keys()
    text = json.dumps({"kind": "License", "version": 1, "license": {"id": "x"}, "signature": signature})

    def check(kid: str, data: bytes, mark: bytes) -> bool:
        return kid == jwk["kid"] and es256.verify(public, data, mark)

    assert license_file.verify(text, check) == {"id": "x"}
    assert len(signature) == license_file.signature_length(payload)


@pytest.mark.parametrize("payload", [b"", b"[]", b"x", b"[" * 8000, b'{"a":"' + b"x" * 8192 + b'"}', b"\xff"])
async def test_nothing_else_is_signed(folder: Path, payload: bytes) -> None:
    """Whatever is not the object of a license is refused."""
    with pytest.raises(InputRefused):
        await LocalKeys(folder).sign_license(payload)


async def test_tokens_are_those_of_before(folder: Path) -> None:
    """The registry token is derived as the command line always did."""
    keys = LocalKeys(folder)
    derived = await keys.derive_license_token(ID, 3)

    assert derived == derive_license_token(load_license_token_key(folder), ID, 3)
    for license_id, generation in (("x", 1), (ID, 0), (ID, 2**31 + 1), ("", 1)):
        with pytest.raises(InputRefused):
            await keys.derive_license_token(license_id, generation)


async def test_rotated_keys_count_at_once(folder: Path) -> None:
    """The same object uses new keys after a rotation, and still opens what was sealed before."""
    keys = LocalKeys(folder)
    sealed = await keys.seal(b"secret", CONTEXT)
    name, kid = rotate_sealing_key(folder), rotate_license_key(folder)
    again = await keys.seal(b"secret", CONTEXT)

    assert sealed.split(".")[1] != name == again.split(".")[1]
    assert await keys.unseal(sealed, CONTEXT) == await keys.unseal(again, CONTEXT) == b"secret"
    assert [key["kid"] == kid for key in await keys.license_keys()] == [True, False]


async def test_no_two_seals_are_the_same(folder: Path) -> None:
    """Each has a nonce of its own."""
    keys = LocalKeys(folder)

    assert len({await keys.seal(b"secret", CONTEXT) for _ in range(100)}) == 100


async def test_missing_keys_are_named(folder: Path) -> None:
    """An installation of an earlier version has no sealing key: licenses go on, and sealing says what is missing."""
    (folder / SEALING_KEY).unlink()
    keys = LocalKeys(folder)

    assert await keys.license_keys()
    with pytest.raises(SecretsRefused, match=SEALING_KEY):
        await keys.seal(b"secret", CONTEXT)


def test_files_are_installed_once(folder: Path, tmp_path: Path) -> None:
    """A key that arrives again is no change, and another one in its place is refused."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    rotate_license_key(folder)
    for name in SERVICE_KEYS:
        content = (folder / name).read_bytes()
        assert install_service_key(other, name, content)
        assert not install_service_key(other, name, content)
        with pytest.raises(Conflict, match=name):
            install_service_key(other, name, content + b"\n")
    check_service_keys(other)
    assert set(present_keys(other)) == set(SERVICE_KEYS)
    remove_service_keys(folder)
    remove_service_keys(folder)
    assert present_keys(folder) == ()


@pytest.mark.parametrize("name", ["token-root.key.pem", "../sealing.key", "", "x"])
def test_no_other_file_is_installed(folder: Path, name: str) -> None:
    """Only the files of the key service have names that are accepted."""
    with pytest.raises(InputRefused):
        install_service_key(folder, name, b"x")


def test_damaged_files_are_refused(folder: Path) -> None:
    """A sealing key that is cut off, empty or not random is noticed."""
    for content in (b"", b"ab\n", b"00" * 32 + b"\n"):
        (folder / SEALING_KEY).write_bytes(content)
        with pytest.raises(SecretsRefused, match=SEALING_KEY):
            check_service_keys(folder)
    (folder / SEALING_KEY).unlink()
    (folder / RETIRED_LICENSE_KEYS).write_bytes(b"x-----END PUBLIC KEY-----")
    with pytest.raises(SecretsRefused):
        check_service_keys(folder)


def test_a_link_is_no_key_wherever_it_leads(folder: Path) -> None:
    """What is left in the place of a moved key is not a key, even when what it names may not be looked at."""
    (folder / LICENSE_SIGNING_KEY).unlink()
    (folder / LICENSE_SIGNING_KEY).symlink_to("x" * 300)

    with pytest.raises(OSError, match="File name too long"):
        (folder / LICENSE_SIGNING_KEY).exists()
    assert {LICENSE_TOKEN_KEY, SEALING_KEY} == set(present_keys(folder))
