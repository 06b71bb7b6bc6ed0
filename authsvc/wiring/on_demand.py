"""Dependencies of the use cases other than Redis, for commands of the operator: imported and opened at each use.

Most commands need none of them. The signer, the registry client and the rules for external servers take longer to
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


@frozen(slots=False, eq=False, repr=False)
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


@frozen(eq=False, repr=False)
class DirectHasher:
    """Hashes new passwords directly, since the process of a command serves no other requests."""

    async def hash(self, password: Secret, names: Collection[str], salt: bytes) -> Secret:
        """Return the hash of an acceptable password.

        Raises:
            InputRefused: it is not.
        """
        from authsvc.credentials.password import hash_new_password

        return hash_new_password(password, names, salt)


@frozen(eq=False, repr=False)
class RegistryOnDemand:
    """The registry for commands: makes a connection, and a leaf of the operator, for each request.

    Attributes:
        settings: of the installation.
    """

    settings: Settings

    async def find(self, repository: str, reference: str) -> DescribedImage | None:
        """Return the image under a tag or digest; None without one."""
        async with self._images() as images:
            return await images.find(repository, reference)

    async def count_tags(self, repository: str) -> int:
        """Return how many tags a repository has."""
        async with self._images() as images:
            return await images.count_tags(repository)

    @asynccontextmanager
    async def _images(self) -> AsyncIterator[ImageReader]:
        """Yield a reader of the registry.

        Raises:
            RegistryUnavailable: its URL is not configured.
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


@frozen(eq=False, repr=False)
class OperatorDeletions:
    """Deletes for commands of the operator: makes a session, and a leaf of the operator, for each repository.

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
            RegistryUnavailable: the URL of the registry is not configured.
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


@frozen(eq=False, repr=False)
class RegistryChecksOnDemand:
    """Checks addresses of external registries and tests links to them.

    Every method raises SetupRefused when the file of certificates cannot be read.

    Attributes:
        settings: of the installation.
    """

    settings: Settings

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Check that an upstream may have this address.

        Raises:
            InputRefused: its address is in a network where upstreams are not allowed.
        """
        from authsvc.wiring.upstreams import registry_checks

        async with registry_checks(self.settings) as checker:
            await checker.vet_host(origin, team)

    async def probe(self, link: UpstreamLink, secret: Secret | None, repository: str | None) -> Sequence[ProbeStep]:
        """Test a link and return the results."""
        from authsvc.wiring.upstreams import registry_checks

        async with registry_checks(self.settings) as checker:
            return await checker.probe(link, secret, repository)


@frozen(eq=False, repr=False)
class ReceiverChecksOnDemand:
    """Checks addresses of the receivers of webhooks and sends test events.

    Every method raises SetupRefused when the file of certificates cannot be read.

    Attributes:
        settings: of the installation.
    """

    settings: Settings

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Check that a receiver may have this address.

        Raises:
            InputRefused: its address is in a network where receivers are not allowed.
        """
        from authsvc.wiring.webhook_checks import receiver_checks

        async with receiver_checks(self.settings) as checks:
            await checks.vet_host(origin, team)

    async def send(self, webhook: Webhook, secrets: Sequence[Secret], event: WebhookEvent) -> DeliveryAttempt:
        """Send an event once and return the result."""
        from authsvc.wiring.webhook_checks import receiver_checks

        async with receiver_checks(self.settings) as checks:
            return await checks.send(webhook, secrets, event)
