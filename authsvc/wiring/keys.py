"""The use cases of keys, on a secrets directory and the list of workers."""

import secrets
from datetime import datetime
from pathlib import Path

from attrs import frozen

from authsvc.errors import SecretsRefused
from authsvc.keys import rotation
from authsvc.keys.authority import load_leaf_files, make_own_leaf
from authsvc.keys.client import KeyServiceClient
from authsvc.keys.secrets_dir import load_next_root, load_roots, load_token_root, root_is_offline
from authsvc.keys.service_keys import LocalKeys
from authsvc.manage.keys import Keys, Root
from authsvc.manage.license_signer import LicenseSigner
from authsvc.registries.ours import accepts
from authsvc.settings import Settings
from authsvc.signing.jws import Leaf, Signer
from authsvc.signing.root import fingerprint
from authsvc.store.workers import RedisWorkerRegistry
from authsvc.system_token import SystemTokens
from authsvc.wiring import clock
from authsvc.wiring.service_keys import key_rotator, license_signer

TOKEN_ID_BYTES = 16


@frozen(eq=False, repr=False)
class Files:
    """One secrets directory.

    Attributes:
        directory: its path.
        signer: has the license keys.
        rotating: changes the keys of the key service.
    """

    directory: Path
    signer: LicenseSigner
    rotating: LocalKeys | KeyServiceClient

    def roots(self) -> list[Root]:
        """Return the roots in the bundle and what each is for."""
        prepared = load_next_root(self.directory)
        roots = load_roots(self.directory)
        used = roots[0] if root_is_offline(self.directory) else load_token_root(self.directory)[0]
        states = {fingerprint(used): "in use"}
        if prepared is not None:
            states[fingerprint(prepared[0])] = "prepared"
        return [
            Root(name, root.not_valid_after_utc, states.get(name, "old"))
            for root in roots
            for name in (fingerprint(root),)
        ]

    async def license_keys(self) -> list[str]:
        """Return the names of the published license keys; the first one signs."""
        return [str(key["kid"]) for key in await self.signer.license_keys()]

    async def rotate_license_key(self) -> str:
        """Put a new license-signing key in use and return its name."""
        return await self.rotating.rotate_license_key()

    async def rotate_sealing_key(self) -> str:
        """Put a new sealing key in use and return its name."""
        return await self.rotating.rotate_sealing_key()

    def prepare_root(self, now: datetime) -> str:
        """Make the next root and return its fingerprint."""
        return fingerprint(rotation.prepare_root(self.directory, now))

    def switch_root(self) -> str:
        """Put the next root in use and return its fingerprint."""
        return fingerprint(rotation.switch_root(self.directory))

    def drop_old_roots(self) -> list[str]:
        """Take old roots out of the bundle and return their fingerprints."""
        return [fingerprint(root) for root in rotation.drop_old_roots(self.directory)]


def system_tokens(settings: Settings, signer: Signer) -> SystemTokens:
    """Return the maker of tokens for our own requests to the registry, signed by ``signer``."""
    return SystemTokens(signer, settings.public_url.authority, lambda: secrets.token_hex(TOKEN_ID_BYTES))


def operator_leaf(settings: Settings, now: datetime) -> Leaf:
    """Return the leaf with which a command of the operator signs tokens for its requests to the registry.

    It is made with the root key, or read from the server's files if the root is kept offline.

    Raises:
        SecretsRefused: neither can be read here.
    """
    directory = settings.secrets_dir
    if not root_is_offline(directory):
        return make_own_leaf(*load_token_root(directory), now)
    if settings.leaf_files is None:
        raise SecretsRefused(
            "the root key is kept offline and AUTHSVC_LEAF_KEY and AUTHSVC_LEAF_CERTIFICATE are not set here, so this "
            "command cannot sign a question to the registry; run it with the settings of the server"
        )
    return load_leaf_files(*settings.leaf_files, load_roots(directory))


def make_keys(settings: Settings, workers: RedisWorkerRegistry) -> Keys:
    """Return the use cases of one installation."""

    async def next_root_accepted() -> bool | None:
        prepared = load_next_root(settings.secrets_dir)
        if prepared is None or settings.registry_url is None:
            return None
        now = clock()
        tokens = system_tokens(settings, make_own_leaf(*prepared, now))
        return await accepts(settings.registry_url, tokens.for_probe(now))

    longest = max(settings.pull_token_life, settings.push_token_life)
    files = Files(settings.secrets_dir, license_signer(settings), key_rotator(settings))
    return Keys(files, workers, next_root_accepted, longest, clock)
