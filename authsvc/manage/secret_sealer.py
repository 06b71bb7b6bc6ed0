"""Interface for sealing secrets of others that authsvc must store, with a key that the use cases never see."""

from typing import Protocol

from authsvc.keys.seal_context import SealContext


class SecretSealer(Protocol):
    """Seals and unseals: with the key file where it can be read, otherwise through the key service.

    Every method raises SecretsRefused when the key file is unusable, and SignerUnavailable when the key service does
    not answer.
    """

    async def seal(self, secret: bytes, context: SealContext) -> str:
        """Return ``secret`` sealed for ``context``.

        Raises:
            InputRefused: it is too long.
        """
        ...

    async def unseal(self, sealed: str, context: SealContext) -> bytes:
        """Return the secret in ``sealed``.

        Raises:
            Conflict: it is damaged, was sealed for another context, or its key is gone.
        """
        ...
