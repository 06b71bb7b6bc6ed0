"""Deleting images: our registry, as a worker and as a command of the operator delete from it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attrs import field, frozen

from authsvc.errors import RegistryUnavailable
from authsvc.registries.access import RegistryAccess
from authsvc.registries.deletion import Deletion
from authsvc.registries.reader import RegistryReader
from authsvc.registries.repository_reader import RepositoryReader
from authsvc.registries.session import RegistrySession
from authsvc.registries.tag_deletion import RepositoryLock
from authsvc.registries.writer import RepositoryWriter
from authsvc.settings import Settings
from authsvc.store.connection import Connection
from authsvc.store.tag_events import RedisTagEvents
from authsvc.system_token import SystemTokens
from authsvc.wiring import clock
from authsvc.wiring.images import NO_REGISTRY
from authsvc.wiring.keys import operator_leaf, system_tokens


@frozen
class SessionDeletions:
    """Deletes on an open session.

    Attributes:
        session: to the registry; None when its address is not known.
        tokens: make the tokens for it.
        connection: to Redis, where the registry's events are.
    """

    session: RegistrySession | None = field(repr=False)
    tokens: SystemTokens = field(repr=False)
    connection: Connection = field(repr=False)

    @asynccontextmanager
    async def repository(
        self, name: str, lock: RepositoryLock, entropy: Callable[[int], bytes]
    ) -> AsyncIterator[Deletion]:
        """Yield what deletes from a repository, whose lock is held.

        Raises:
            RegistryUnavailable: it is not known where the registry is.
        """
        if self.session is None:
            raise RegistryUnavailable(NO_REGISTRY)
        access = RegistryAccess(self.tokens, clock)
        writer = RepositoryWriter(self.session, access, name)
        reading = RepositoryReader(RegistryReader(self.session, access), writer)
        yield Deletion(reading, lock, entropy, RedisTagEvents(self.connection))


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
        tokens = system_tokens(self.settings, operator_leaf(self.settings, clock()))
        async with (
            RegistrySession(self.settings.registry_url) as session,
            SessionDeletions(session, tokens, self.connection).repository(name, lock, entropy) as deletion,
        ):
            yield deletion
