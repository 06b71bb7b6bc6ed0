"""The public license keys of a key service in another container, as the parent publishes them."""

from pathlib import Path
from typing import Any

from attrs import define, field

from authsvc.errors import AuthsvcError, SignerUnavailable
from authsvc.keys.client import KeyServiceClient
from authsvc.logs import Logger

DEADLINE = 2.0
"""Seconds; less than a worker waits for its certificate, which comes with the keys."""


@define(eq=False, repr=False)
class RemoteLicenseKeys:
    """Queries the key service, and uses its last answer while it is down.

    Attributes:
        client: of the key service.
        logger: the server's.
    """

    client: KeyServiceClient
    logger: Logger
    _last: dict[str, Any] = field(factory=lambda: {"keys": []})

    @classmethod
    def at(cls, path: Path, logger: Logger) -> "RemoteLicenseKeys":
        """Return the keys of the key service that listens at ``path``."""
        return cls(KeyServiceClient.at(path, deadline=DEADLINE), logger)

    def ask_at(self, path: Path) -> None:
        """Ask the key service that listens at ``path`` from now on."""
        self.client = KeyServiceClient.at(path, deadline=DEADLINE)

    async def published(self) -> dict[str, Any]:
        """Return the JWK set to publish; without keys while the key service never answered."""
        try:
            self._last = {"keys": await self.client.license_keys()}
        except AuthsvcError as error:  # a key service of another version may also refuse
            detail = error.detail if isinstance(error, SignerUnavailable) else None
            self.logger.error("key_service.unavailable", reason=detail or str(error))
        return self._last
