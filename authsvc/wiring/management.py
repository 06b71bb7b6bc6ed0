"""The use cases of management on a checked store: what the command line calls.

Each is built when it is first asked for, and so is every key: ``team list`` opens no private key.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property

from attrs import evolve, field, frozen

from authsvc.audit.entry import ChangeLog
from authsvc.manage.actor import Actor
from authsvc.manage.audit import Audit
from authsvc.manage.customers import Customers
from authsvc.manage.keys import Keys
from authsvc.manage.license_renewal import LicenseRenewal
from authsvc.manage.licenses import Licenses
from authsvc.manage.links import Links
from authsvc.manage.members import Members
from authsvc.manage.operation import Operation
from authsvc.manage.service_accounts import ServiceAccounts
from authsvc.manage.stores import Stores
from authsvc.manage.teams import Teams
from authsvc.manage.tokens import Tokens
from authsvc.settings import Settings
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.store.server_check import check_server
from authsvc.store.workers import RedisWorkerRegistry
from authsvc.tenancy.records import App
from authsvc.wiring import clock
from authsvc.wiring.keys import license_signer, make_keys
from authsvc.wiring.stores import make_stores

OPERATION_ID_BYTES = 16

PATIENCE = 15.0
"""Seconds that an operation of the command line may take: a person waits longer than a client for its token."""


@frozen(slots=False)
class Management:
    """The use cases of one installation.

    Attributes:
        settings: of the installation.
        connection: to its Redis, which was checked.
        log: where changes are written once they are durable.
        actor: who calls them: the operator, for the command line.
    """

    settings: Settings
    connection: Connection
    log: ChangeLog
    actor: Actor = field(factory=Actor.operator)

    @cached_property
    def _stores(self) -> Stores:
        return make_stores(Records(self.connection, Codec(), self.log))

    @cached_property
    def teams(self) -> Teams:
        """Teams and apps."""
        return Teams(self._stores)

    @cached_property
    def members(self) -> Members:
        """The people in them."""
        return Members(self._stores)

    @cached_property
    def links(self) -> Links:
        """Invitations and resets."""
        return Links(self._stores)

    @cached_property
    def tokens(self) -> Tokens:
        """Personal tokens and sign-ins."""
        return Tokens(self._stores)

    @cached_property
    def service_accounts(self) -> ServiceAccounts:
        """Machines' own accounts."""
        return ServiceAccounts(self._stores)

    @cached_property
    def customers(self) -> Customers:
        """Whom licenses are made out to."""
        return Customers(self._stores)

    def renewal(self, app: App) -> LicenseRenewal:
        """Return the use cases that give many licenses of an app another end."""
        return LicenseRenewal(self._stores, app)

    @cached_property
    def licenses(self) -> Licenses:
        """Licenses. What makes or checks a file raises SetupRefused when a key is unusable."""
        return Licenses(self._stores, license_signer(self.settings), self.registry)

    @cached_property
    def audit(self) -> Audit:
        """What was decided and changed."""
        return Audit(RedisAudit(self.connection, self.settings.audit_budget * 1024 * 1024), self._stores.apps)

    @cached_property
    def keys(self) -> Keys:
        """What signs."""
        return make_keys(self.settings, RedisWorkerRegistry(self.connection, Codec(), self.log))

    @property
    def registry(self) -> str:
        """Host and port that clients log in to."""
        return self.settings.public_url.authority

    async def on_behalf_of(self, email: str) -> "Management":
        """Return the same use cases for the operator who acts for a member: the audit names both.

        Raises:
            InputRefused: it is no address.
            NotFound: no member has it.
            Conflict: the member is disabled.
            StoreUnavailable: Redis does not answer.
        """
        return evolve(self, actor=Actor.operator(await self.members.person(self.actor, email)))

    def operation(self) -> Operation:
        """Begin one change."""
        return Operation(self.actor, clock(), secrets.token_hex(OPERATION_ID_BYTES), secrets.token_bytes)


@asynccontextmanager
async def management(settings: Settings, log: ChangeLog) -> AsyncIterator[Management]:
    """Yield the use cases on a checked store.

    Args:
        settings: of the installation.
        log: where changes are written once they are durable.

    Raises:
        SetupRefused: Redis is not one to trust.
        StoreUnavailable: Redis does not answer.
    """
    connection = Connection(settings.redis_url, deadline=max(PATIENCE, settings.redis_deadline))
    try:
        await check_server(connection)
        yield Management(settings, connection, log)
    finally:
        await connection.close()
