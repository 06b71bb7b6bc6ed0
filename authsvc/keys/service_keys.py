"""The keys of the key service in a directory: create, install, rotate, and use them.

These are the license-signing key with the retired public keys, the license-token key and the sealing key (design #24).
Without a key service in a separate container they are in the secrets directory, beside the token root.
"""

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field, frozen
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc import atomic_file, license_file
from authsvc.credentials.machine_secret import MachineSecret, derive_license_token, is_id
from authsvc.errors import Conflict, InputRefused, SecretsRefused
from authsvc.keys import sealing
from authsvc.keys.file_names import (
    LICENSE_SIGNING_KEY,
    LICENSE_TOKEN_KEY,
    RETIRED_LICENSE_KEYS,
    SEALING_KEY,
    SERVICE_KEYS,
)
from authsvc.keys.files import changing, create, new_key_pem, public_pem, read, replace
from authsvc.keys.seal_context import SealContext
from authsvc.keys.sealing import NONCE_BYTES, sealing_key_id
from authsvc.keys.service_key_files import (
    load_license_public_keys,
    load_license_signing_key,
    load_license_token_key,
    load_sealing_keys,
    new_hex_key,
)
from authsvc.signing import license_keys

MAX_GENERATION = 2**31
"""Largest generation of a license's registry token."""


def present_keys(directory: Path) -> tuple[str, ...]:
    """Return the names of the key files that are in ``directory``.

    A symbolic link does not count: it marks where a key was moved, and this process may not have access to its target.
    """
    return tuple(
        name for name in SERVICE_KEYS if os.path.lexists(directory / name) and not (directory / name).is_symlink()
    )


def create_service_keys(directory: Path) -> tuple[str, ...]:
    """Create the key files that are missing and return their names.

    Raises:
        SecretsRefused: the directory cannot be written, or a file in it is unusable.
    """
    check_service_keys(directory)
    made = ((LICENSE_TOKEN_KEY, new_hex_key), (SEALING_KEY, new_hex_key), (LICENSE_SIGNING_KEY, new_key_pem))
    created = tuple(name for name, make in made if create(directory / name, make))
    check_service_keys(directory)
    return created


def check_service_keys(directory: Path) -> None:
    """Check every existing key file.

    Raises:
        SecretsRefused: one is unusable.
    """
    checks: dict[str, Callable[[], object]] = {
        LICENSE_SIGNING_KEY: lambda: load_license_public_keys(directory),
        LICENSE_TOKEN_KEY: lambda: load_license_token_key(directory),
        SEALING_KEY: lambda: load_sealing_keys(directory),
    }
    for name in present_keys(directory):
        if name in checks:
            checks[name]()


def install_service_key(directory: Path, name: str, content: bytes) -> bool:
    """Write a key file from another directory unless it exists; return whether it was written.

    Raises:
        Conflict: the file exists with other content.
        InputRefused: it is not the name of a key file.
        SecretsRefused: the directory cannot be written.
    """
    if name not in SERVICE_KEYS:
        raise InputRefused("this is not the name of a key file", code="name_invalid", field="name")
    path = directory / name
    if create(path, lambda: content):
        return True
    if secrets.compare_digest(read(path), content):
        return False
    raise Conflict(
        f"{path} holds another key than the file of that name in the old place; look which of the two is right, and "
        "remove the other one",
        code="key_file_differs",
    )


def rotate_license_key(directory: Path) -> str:
    """Put a new license-signing key in use and return its ``kid``; the old public key stays published.

    Raises:
        Conflict: another process is changing keys.
        SecretsRefused: something is unusable or cannot be written.
    """
    with changing(directory):
        known = load_license_public_keys(directory)
        # A crash between the two writes leaves the old key in use and also listed as retired, which is harmless.
        replace(directory / RETIRED_LICENSE_KEYS, b"".join(map(public_pem, known)))
        replace(directory / LICENSE_SIGNING_KEY, new_key_pem())
        return license_keys.key_id(load_license_signing_key(directory).public_key())


def rotate_sealing_key(directory: Path) -> str:
    """Seal under a new key from now on and return its name; the old ones can still unseal.

    Raises:
        Conflict: another process is changing keys.
        SecretsRefused: something is unusable or cannot be written.
    """
    with changing(directory):
        load_sealing_keys(directory)
        replace(directory / SEALING_KEY, new_hex_key() + read(directory / SEALING_KEY))
        return sealing_key_id(load_sealing_keys(directory)[0])


@frozen
class _Loaded:
    signing: ec.EllipticCurvePrivateKey = field(repr=False)
    kid: str
    token: bytes = field(repr=False)
    public: tuple[dict[str, str], ...]
    sealing: tuple[bytes, ...] = field(repr=False)


@define(eq=False, repr=False)
class LocalKeys:
    """Uses the keys in a directory; changes of the files take effect with the next use.

    Every method raises SecretsRefused when a file is missing or unusable.

    Attributes:
        directory: folder with the key files.
    """

    directory: Path
    _loaded: _Loaded | None = field(default=None, repr=False)
    _seen: tuple[tuple[int, int, int] | None, ...] = ()

    async def sign_license(self, payload: bytes) -> str:
        """Return the signature of a license file, a compact JWS.

        The header is made here, so that only licenses can be signed.

        Args:
            payload: the ``license`` object as JSON, at most as long as a license file.

        Raises:
            InputRefused: it is not.
        """
        try:
            right = len(payload) <= license_file.MAX_BYTES and isinstance(json.loads(payload), dict)
        except (ValueError, RecursionError):
            right = False
        if not right:
            raise InputRefused("only the object of a license can be signed", code="license_invalid", field="payload")
        keys = self._keys()
        return license_keys.sign_license(keys.signing, keys.kid, payload)

    async def derive_license_token(self, license_id: str, generation: int) -> MachineSecret:
        """Return the registry token of a license.

        Raises:
            InputRefused: the id is not one, or the generation not from 1 to 2^31.
        """
        if not is_id(license_id) or not 0 < generation <= MAX_GENERATION:
            raise InputRefused("this is not a license", code="license_invalid", field="license_id")
        return derive_license_token(self._keys().token, license_id, generation)

    async def license_keys(self) -> list[dict[str, Any]]:
        """Return the public license keys as JWKs: the one in use, then retired ones, newest first."""
        return list(self._keys().public)

    async def seal(self, secret: bytes, context: SealContext) -> str:
        """Return ``secret`` sealed for ``context``.

        Raises:
            InputRefused: the secret is too long.
        """
        return sealing.seal(self._sealing()[0], secret, context, secrets.token_bytes(NONCE_BYTES))

    async def unseal(self, sealed: str, context: SealContext) -> bytes:
        """Return the secret in ``sealed``.

        Raises:
            Conflict: it cannot be unsealed; see :func:`authsvc.keys.sealing.unseal`.
        """
        return sealing.unseal(self._sealing(), sealed, context)

    async def rotate_license_key(self) -> str:
        """Sign license files with a new key; the old public key stays published. Return its name.

        Raises:
            Conflict: another process is changing keys.
        """
        return rotate_license_key(self.directory)

    async def rotate_sealing_key(self) -> str:
        """Seal under a new key; old ones can still unseal. Return its name.

        Raises:
            Conflict: another process is changing keys.
        """
        return rotate_sealing_key(self.directory)

    def _sealing(self) -> tuple[bytes, ...]:
        keys = self._keys().sealing
        return keys or load_sealing_keys(self.directory)  # which raises that the file is missing

    def _keys(self) -> _Loaded:
        seen = tuple(_identity(os.path.join(self.directory, name)) for name in SERVICE_KEYS)  # noqa: PTH118  as below
        if self._loaded is None or seen != self._seen:
            self._loaded, self._seen = _load(self.directory), seen
        return self._loaded


def _load(directory: Path) -> _Loaded:
    signing = load_license_signing_key(directory)
    public = tuple(license_keys.jwk(key) for key in load_license_public_keys(directory))
    # Installations whose `init` was run by an earlier version have no sealing key.
    sealing_keys = load_sealing_keys(directory) if (directory / SEALING_KEY).exists() else ()
    return _Loaded(
        signing,
        license_keys.key_id(signing.public_key()),
        load_license_token_key(directory),
        public,
        sealing_keys,
    )


def _identity(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  a Path costs as much again, for each of many licenses
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def remove_service_keys(directory: Path) -> None:
    """Remove the key files from a directory, after they have been installed elsewhere and are on the disk there.

    Raises:
        SecretsRefused: one cannot be removed.
    """
    try:
        for name in SERVICE_KEYS:
            (directory / name).unlink(missing_ok=True)
        atomic_file.sync_folder(directory)
    except OSError as error:
        raise SecretsRefused(f"cannot remove the old keys from {directory}: {error.strerror}") from error
