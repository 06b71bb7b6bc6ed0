"""The use cases of management on a checked store: what the command line calls."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attrs import frozen

from authsvc.keys.secrets_dir import load_license_public_keys, load_license_signing_key, load_license_token_key
from authsvc.manage.audit import Audit
from authsvc.manage.keys import Keys
from authsvc.manage.licenses import LicenseKeys, Licenses
from authsvc.manage.links import Links
from authsvc.manage.members import Members
from authsvc.manage.operation import ChangeLog, Operation
from authsvc.manage.service_accounts import ServiceAccounts
from authsvc.manage.teams import Teams
from authsvc.manage.tokens import Tokens
from authsvc.settings import Settings
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.credential_directory import RedisCredentials
from authsvc.store.directory import RedisDirectory
from authsvc.store.server_check import check_server
from authsvc.store.workers import RedisWorkerRegistry
from authsvc.wiring import clock
from authsvc.wiring.keys import make_keys

OPERATION_ID_BYTES = 16

PATIENCE = 15.0
"""Seconds that an operation of the command line may take: a person waits longer than a client for its token."""


@frozen
class Management:
    """The use cases, ready to call.

    Attributes:
        teams: teams and apps.
        members: the people in them.
        links: invitations and resets.
        tokens: personal tokens and sign-ins.
        service_accounts: machines' own accounts.
        licenses: licenses.
        audit: what was decided and changed.
        keys: what signs.
        registry: host and port that clients log in to.
        operation: starts one act of the given actor.
    """

    teams: Teams
    members: Members
    links: Links
    tokens: Tokens
    service_accounts: ServiceAccounts
    licenses: Licenses
    audit: Audit
    keys: Keys
    registry: str
    operation: Callable[[str], Operation]


@asynccontextmanager
async def management(settings: Settings, journal: ChangeLog) -> AsyncIterator[Management]:
    """Yield the use cases on a checked store.

    Raises:
        SetupRefused: a secret is unusable, or Redis is not one to trust.
        StoreUnavailable: Redis does not answer.
    """
    folder = settings.secrets_dir
    keys = LicenseKeys(
        load_license_signing_key(folder), load_license_token_key(folder), tuple(load_license_public_keys(folder))
    )
    connection = Connection(settings.redis_url, deadline=max(PATIENCE, settings.redis_deadline))
    try:
        await check_server(connection)
        directory, credentials = RedisDirectory(connection, Codec()), RedisCredentials(connection, Codec())
        yield Management(
            Teams(directory, credentials, journal),
            Members(directory, credentials, journal),
            Links(directory, credentials, journal),
            Tokens(credentials, journal),
            ServiceAccounts(directory, credentials, journal),
            Licenses(directory, journal, keys, settings.public_url.authority),
            Audit(RedisAudit(connection, settings.audit_budget * 1024 * 1024)),
            make_keys(settings, RedisWorkerRegistry(connection, Codec()), journal),
            settings.public_url.authority,
            lambda actor: Operation(actor, clock(), secrets.token_hex(OPERATION_ID_BYTES), secrets.token_bytes),
        )
    finally:
        await connection.close()
