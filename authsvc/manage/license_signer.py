"""Interface to the license keys, which the use cases never see: signatures and registry tokens of license files."""

from typing import Any, Protocol

from authsvc.credentials.machine_secret import MachineSecret


class LicenseSigner(Protocol):
    """Signs license files: with the key files where they can be read, otherwise through the key service.

    Every method raises SecretsRefused when a key file is unusable, and SignerUnavailable when the key service does not
    answer.
    """

    async def sign_license(self, payload: bytes) -> str:
        """Return the signature of a license's payload, a compact JWS."""
        ...

    async def derive_license_token(self, license_id: str, generation: int) -> MachineSecret:
        """Return the registry token of a license."""
        ...

    async def license_keys(self) -> list[dict[str, Any]]:
        """Return the public keys as JWKs: the one in use, then retired ones."""
        ...
