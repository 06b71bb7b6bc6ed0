"""Deletion of images from our registry, by a worker and by commands of the operator."""

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
from authsvc.store.connection import Connection
from authsvc.store.tag_events import RedisTagEvents
from authsvc.system_token import SystemTokens
from authsvc.wiring import NO_REGISTRY, clock


@frozen(eq=False, repr=False)
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
        """Yield an object that deletes from a repository, whose lock must be held.

        Raises:
            RegistryUnavailable: the URL of the registry is not configured.
        """
        if self.session is None:
            raise RegistryUnavailable(NO_REGISTRY)
        access = RegistryAccess(self.tokens, clock)
        writer = RepositoryWriter(self.session, access, name)
        reading = RepositoryReader(RegistryReader(self.session, access), writer)
        yield Deletion(reading, lock, entropy, RedisTagEvents(self.connection))
