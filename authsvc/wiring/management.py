"""The use cases of management on a checked store, for the command line.

Each is made when it is first used, and so is every key: ``team list`` opens no private key and imports no registry
client.
"""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from authsvc.manage.actor import Actor
from authsvc.manage.operation import Operation
from authsvc.manage.use_cases import UseCases
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.store.server_check import check_server
from authsvc.wiring import clock
from authsvc.wiring.on_demand import (
    DirectHasher,
    KeysOnDemand,
    OperatorDeletions,
    ReceiverChecksOnDemand,
    RegistryChecksOnDemand,
    RegistryOnDemand,
)
from authsvc.wiring.stores import make_stores

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from authsvc.audit.entry import ChangeLog
    from authsvc.manage.image_deletions import RegistryDeletions
    from authsvc.manage.images import RegistryImages
    from authsvc.manage.keys import Keys
    from authsvc.manage.new_passwords import PasswordHasher
    from authsvc.manage.upstream_checks import UpstreamChecks
    from authsvc.manage.webhook_checks import WebhookChecks
    from authsvc.settings import Settings
    from authsvc.wiring.service_keys import ServiceKeys

OPERATION_ID_BYTES = 16

MOST_EXAMINED = 100_000
"""Most licenses that a command examines to report whom it affects: exact numbers are worth the seconds that they
take."""

PATIENCE = 15.0
"""Seconds that an operation of the command line may take: a person waits longer than a client for its token."""


@frozen(slots=False, eq=False, repr=False)
class Management(UseCases):
    """The use cases as the command line calls them.

    Attributes:
        settings: of the installation.
        connection: to its Redis, which was checked.
        log: where changes are written once they are durable.
        actor: the caller: the operator, for the command line.
    """

    settings: Settings
    connection: Connection
    log: ChangeLog
    actor: Actor = field(factory=Actor.operator)

    @cached_property
    def keys(self) -> Keys:
        """The signer of license files."""
        from authsvc.store.workers import RedisWorkerRegistry
        from authsvc.wiring.keys import make_keys

        return make_keys(self.settings, RedisWorkerRegistry(self.connection, Codec(), self.log))

    async def on_behalf_of(self, email: str) -> Management:
        """Return the same use cases for the operator on behalf of a member: the audit names both.

        Raises:
            InputRefused: it is not an address.
            NotFound: no member has it.
            Conflict: the member is disabled.
            StoreUnavailable: Redis does not answer.
        """
        return evolve(self, actor=Actor.operator(await self.members.person(self.actor, email)))

    def operation(self) -> Operation:
        """Begin one change."""
        return Operation(self.actor, clock(), secrets.token_hex(OPERATION_ID_BYTES), secrets.token_bytes)


def audit_reader(settings: Settings, connection: Connection) -> RedisAudit:
    """Return the audit of the installation."""
    return RedisAudit(connection, settings.audit_budget * 1024 * 1024)


def server_use_cases(
    settings: Settings,
    connection: Connection,
    codec: Codec,
    keys: ServiceKeys,
    images: RegistryImages,
    deletions: Callable[[Connection], RegistryDeletions],
    checks: UpstreamChecks,
    receivers: WebhookChecks,
    hasher: PasswordHasher,
    log: ChangeLog,
) -> UseCases:
    """Return the use cases as a worker of the server calls them; all are loaded, so that no request waits for that.

    Args:
        settings: of the installation.
        connection: to its Redis.
        codec: decodes its records.
        keys: sign license files and seal secrets; a worker does not have these keys itself.
        images: reads images from the registry.
        deletions: makes the object that deletes from the registry, from the events in Redis.
        checks: sends requests to external registries.
        receivers: sends requests to the receivers of webhooks.
        hasher: hashes new passwords, off the event loop.
        log: where changes are written once they are durable.
    """
    stores = make_stores(Records(connection, codec, log))
    use_cases = UseCases(
        stores,
        keys,
        settings.public_url.authority,
        audit_reader(settings, connection),
        images,
        deletions(connection),
        keys,
        checks,
        receivers,
        hasher,
    )
    _load_all(stores)
    _load_all(use_cases)
    return use_cases


def _load_all(parts: object) -> None:
    """Make all parts now that are otherwise made at their first use.

    A worker does so at its start, so that it keeps running when the files of the package are replaced by another
    version.
    """
    for name, part in vars(type(parts)).items():
        if isinstance(part, cached_property):
            getattr(parts, name)


@asynccontextmanager
async def management(settings: Settings, log: ChangeLog) -> AsyncIterator[Management]:
    """Yield the use cases on a checked store.

    Args:
        settings: of the installation.
        log: where changes are written once they are durable.

    Raises:
        SetupRefused: Redis does not meet the requirements.
        StoreUnavailable: Redis does not answer.
    """
    connection = Connection(settings.redis_url, deadline=max(PATIENCE, settings.redis_deadline))
    keys = KeysOnDemand(settings)
    try:
        await check_server(connection)
        yield Management(
            make_stores(Records(connection, Codec(), log)),
            keys,
            settings.public_url.authority,
            audit_reader(settings, connection),
            RegistryOnDemand(settings),
            OperatorDeletions(settings, connection),
            keys,
            RegistryChecksOnDemand(settings),
            ReceiverChecksOnDemand(settings),
            DirectHasher(),
            settings,
            connection,
            log,
            most_examined=MOST_EXAMINED,
        )
    finally:
        await connection.close()
