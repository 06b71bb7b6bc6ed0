"""What the use cases ask beside Redis, as a command of the operator has it: imported and opened for each question.

Most commands ask none of it. What signs, the client of the registry and the rules for external servers take longer to
import than such a command runs.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from authsvc.errors import RegistryUnavailable
from authsvc.wiring import NO_REGISTRY, clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from authsvc.credentials.machine_secret import MachineSecret
    from authsvc.images.summary import DescribedImage
    from authsvc.keys.seal_context import SealContext
    from authsvc.redaction import Secret
    from authsvc.registries.deletion import Deletion
    from authsvc.registries.image_reader import ImageReader
    from authsvc.registries.tag_deletion import RepositoryLock
    from authsvc.settings import Settings
    from authsvc.store.connection import Connection
    from authsvc.upstreams.link import UpstreamLink
    from authsvc.upstreams.origin import Origin
    from authsvc.upstreams.probe import ProbeStep
    from authsvc.webhooks.delivery import DeliveryAttempt
    from authsvc.webhooks.event import WebhookEvent
    from authsvc.webhooks.webhook import Webhook
    from authsvc.wiring.service_keys import ServiceKeys


@frozen(slots=False)
class KeysOnDemand:
    """Signs license files and seals secrets; see :func:`authsvc.wiring.service_keys.license_signer`.

    Attributes:
        settings: of the installation.
    """

    settings: Settings

    @cached_property
    def _keys(self) -> ServiceKeys:
        from authsvc.wiring.service_keys import license_signer

        return license_signer(self.settings)

    async def sign_license(self, payload: bytes) -> str:
        """Return the signature of a license file, a compact JWS."""
        return await self._keys.sign_license(payload)

    async def derive_license_token(self, license_id: str, generation: int) -> MachineSecret:
        """Return the registry token of a license."""
        return await self._keys.derive_license_token(license_id, generation)

    async def license_keys(self) -> list[dict[str, Any]]:
        """Return the public license keys as JWKs."""
        return await self._keys.license_keys()

    async def seal(self, secret: bytes, context: SealContext) -> str:
        """Return ``secret`` sealed for ``context``."""
        return await self._keys.seal(secret, context)

    async def unseal(self, sealed: str, context: SealContext) -> bytes:
        """Return the secret in ``sealed``."""
        return await self._keys.unseal(sealed, context)


@frozen
class DirectHasher:
    """Hashes new passwords at once: in the process of a command nobody else waits."""

    async def hash(self, password: Secret, names: Collection[str], salt: bytes) -> Secret:
        """Return the hash of an acceptable password.

        Raises:
            InputRefused: it is not.
        """
        from authsvc.credentials.password import hash_new_password

        return hash_new_password(password, names, salt)


@frozen
class RegistryOnDemand:
    """The registry as a command asks it: with a connection, and a leaf of the operator, for each question.

    Attributes:
        settings: of the installation.
    """

    settings: Settings

    async def find(self, repository: str, reference: str) -> DescribedImage | None:
        """Return what is under a tag or digest; None when nothing is."""
        async with self._images() as images:
            return await images.find(repository, reference)

    async def count_tags(self, repository: str) -> int:
        """Return how many tags a repository has."""
        async with self._images() as images:
            return await images.count_tags(repository)

    @asynccontextmanager
    async def _images(self) -> AsyncIterator[ImageReader]:
        """Yield what reads the registry.

        Raises:
            RegistryUnavailable: it is not known where it is.
            SecretsRefused: there is no leaf.
        """
        if self.settings.registry_url is None:
            raise RegistryUnavailable(NO_REGISTRY)
        from authsvc.registries.session import RegistrySession
        from authsvc.wiring.images import image_reader
        from authsvc.wiring.keys import operator_leaf, system_tokens

        tokens = system_tokens(self.settings, operator_leaf(self.settings, clock()))
        async with RegistrySession(self.settings.registry_url) as session:
            yield image_reader(session, tokens)


@frozen
class OperatorDeletions:
    """Deletes as a command of the operator: with a session, and a leaf of the operator, for each repository.

    Attributes:
        settings: of the installation.
        connection: to Redis, where the registry's events are.
    """

    settings: Settings = field(repr=False)
    connection: Connection = field(repr=False)

    @asynccontextmanager
    async def repository(
        self, name: str, lock: RepositoryLock, entropy: Callable[[int], bytes]
    ) -> AsyncIterator[Deletion]:
        """Yield what deletes from a repository, whose lock is held.

        Raises:
            RegistryUnavailable: it is not known where the registry is.
            SecretsRefused: there is no leaf.
        """
        if self.settings.registry_url is None:
            raise RegistryUnavailable(NO_REGISTRY)
        from authsvc.registries.session import RegistrySession
        from authsvc.wiring.image_deletions import SessionDeletions
        from authsvc.wiring.keys import operator_leaf, system_tokens

        tokens = system_tokens(self.settings, operator_leaf(self.settings, clock()))
        async with (
            RegistrySession(self.settings.registry_url) as session,
            SessionDeletions(session, tokens, self.connection).repository(name, lock, entropy) as deletion,
        ):
            yield deletion


@frozen
class RegistryChecksOnDemand:
    """Checks addresses of external registries and tests links to them.

    Every method raises SetupRefused when the file of certificates cannot be read.

    Attributes:
        settings: of the installation.
    """

    settings: Settings

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Accept where an upstream may be.

        Raises:
            InputRefused: it leads where no upstream may be.
        """
        from authsvc.wiring.upstreams import registry_checks

        async with registry_checks(self.settings) as checker:
            await checker.vet_host(origin, team)

    async def probe(self, link: UpstreamLink, secret: Secret | None, repository: str | None) -> Sequence[ProbeStep]:
        """Return what a test of a link finds."""
        from authsvc.wiring.upstreams import registry_checks

        async with registry_checks(self.settings) as checker:
            return await checker.probe(link, secret, repository)


@frozen
class ReceiverChecksOnDemand:
    """Checks addresses of the receivers of webhooks and sends test events.

    Every method raises SetupRefused when the file of certificates cannot be read.

    Attributes:
        settings: of the installation.
    """

    settings: Settings

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Accept where a receiver may be.

        Raises:
            InputRefused: it leads where no receiver may be.
        """
        from authsvc.wiring.webhook_checks import receiver_checks

        async with receiver_checks(self.settings) as checks:
            await checks.vet_host(origin, team)

    async def send(self, webhook: Webhook, secrets: Sequence[Secret], event: WebhookEvent) -> DeliveryAttempt:
        """Return what came of sending an event once."""
        from authsvc.wiring.webhook_checks import receiver_checks

        async with receiver_checks(self.settings) as checks:
            return await checks.send(webhook, secrets, event)
