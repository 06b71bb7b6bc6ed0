"""Management API and portal of a worker, with a separate Redis connection, so that they do not delay tokens."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web
from attrs import frozen

from authsvc.audit.entry import ChangeLog
from authsvc.credentials.authenticator import Authenticator
from authsvc.credentials.facts import CredentialFactsReader
from authsvc.credentials.machine_secret import MachineSecret
from authsvc.credentials.passkeys import PasskeyAuthenticator
from authsvc.credentials.portal_sessions import SessionAuthenticator
from authsvc.credentials.throttled_passwords import ThrottledPasswords
from authsvc.errors import SignerUnavailable
from authsvc.keys.client import KeyServiceClient
from authsvc.keys.seal_context import SealContext
from authsvc.logs import Logger
from authsvc.manage.image_deletions import RegistryDeletions
from authsvc.manage.images import RegistryImages
from authsvc.manage.new_passwords import PasswordHasher
from authsvc.manage.teams import name_of_team
from authsvc.metrics.shared_metrics import Slot
from authsvc.preflight import Preflight
from authsvc.public_url import PublicUrl
from authsvc.settings import Settings
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.facts import RedisCredentialFacts
from authsvc.store.passkey_challenges import RedisPasskeyChallenges
from authsvc.store.throttle import RedisThrottle
from authsvc.web.api import collections
from authsvc.web.api.application import ManagementApi, RecordDenied
from authsvc.web.api.authentication import ApiAuthentication
from authsvc.web.api.document import ApiDocument
from authsvc.web.api.endpoint import PREFIX as API_PREFIX
from authsvc.web.license_page.application import PREFIX as PAGES_PREFIX
from authsvc.web.license_page.application import LicensePage
from authsvc.web.license_page.image_check import ImageCheck
from authsvc.web.metrics import count_api_request
from authsvc.web.portal.application import Portal
from authsvc.web.portal.pages import portal_routes
from authsvc.web.portal.password_check import RecordRefused
from authsvc.web.portal.rendering import Renderer
from authsvc.web.portal.route import PREFIX as PORTAL_PREFIX
from authsvc.wiring import clock
from authsvc.wiring.management import server_use_cases
from authsvc.wiring.pasted_images import PastedTexts
from authsvc.wiring.service_keys import ServiceKeys
from authsvc.wiring.upstreams import registry_checks
from authsvc.wiring.webhook_checks import receiver_checks

if TYPE_CHECKING:
    from authsvc.credentials.relying_party import RelyingParty

NO_KEY_SERVICE = "license files cannot be signed and secrets cannot be kept here: no key service is configured"

DECODED_RECORDS = 4_096
"""Records that stay decoded for the management API."""


@frozen(eq=False, repr=False)
class NoServiceKeys:
    """Stands in for a key service when this worker has none; refuses to sign and seal."""

    async def sign_license(self, payload: bytes) -> str:  # noqa: ARG002  as every signer
        """Refuse."""
        raise SignerUnavailable(NO_KEY_SERVICE)

    async def derive_license_token(self, license_id: str, generation: int) -> MachineSecret:  # noqa: ARG002  the same
        """Refuse."""
        raise SignerUnavailable(NO_KEY_SERVICE)

    async def license_keys(self) -> list[dict[str, Any]]:
        """Refuse."""
        raise SignerUnavailable(NO_KEY_SERVICE)

    async def seal(self, secret: bytes, context: SealContext) -> str:  # noqa: ARG002  the same
        """Refuse."""
        raise SignerUnavailable(NO_KEY_SERVICE)

    async def unseal(self, sealed: str, context: SealContext) -> bytes:  # noqa: ARG002  the same
        """Refuse."""
        raise SignerUnavailable(NO_KEY_SERVICE)


@asynccontextmanager
async def management_applications(
    settings: Settings,
    keys: KeyServiceClient | None,
    images: RegistryImages,
    preflight: Preflight,
    deletions: Callable[[Connection], RegistryDeletions],
    passwords: ThrottledPasswords,
    hasher: PasswordHasher,
    on_use: Callable[[str, datetime], None],
    log: ChangeLog,
    record_denied: RecordDenied,
    record_refused: RecordRefused,
    logger: Logger,
    slot: Slot,
) -> AsyncIterator[Mapping[str, web.Application]]:
    """Yield the applications, by the prefix of their paths.

    Args:
        settings: of the installation.
        keys: client of the key service, or None.
        images: reads images from the registry.
        preflight: predicts the result of a pull.
        deletions: makes the object that deletes from the registry, from the events in Redis.
        passwords: checks passwords of the portal; the API does not accept passwords.
        hasher: hashes new passwords.
        on_use: called for every credential that was accepted.
        log: for changes, once they are durable.
        record_denied: writes denials to the audit.
        record_refused: writes refused passwords to it.
        logger: gets one line for each request.
        slot: of the metrics.
    """
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    try:
        codec = Codec(DECODED_RECORDS)
        facts, throttle = RedisCredentialFacts(connection, codec), RedisThrottle(connection)
        signer: ServiceKeys = NoServiceKeys() if keys is None else keys
        async with registry_checks(settings) as checks, receiver_checks(settings) as receivers:
            use_cases = server_use_cases(
                settings, connection, codec, signer, images, deletions, checks, receivers, hasher, log
            )
            authenticator, count = Authenticator(facts, passwords, throttle, on_use=on_use), count_api_request(slot)
            api = ManagementApi(
                use_cases,
                ApiAuthentication(authenticator),
                collections.ENDPOINTS,
                ApiDocument(collections.document),
                logger,
                clock,
                count=count,
                record_denied=record_denied,
            )
            passkeys = passkey_authenticator(settings.public_url, facts, connection, on_use)
            portal = Portal(
                SessionAuthenticator(facts, on_use),
                portal_routes(use_cases, authenticator, passkeys, record_refused, settings.public_url),
                settings.public_url,
                Renderer(settings.public_url.authority),
                logger,
                clock,
                partial(name_of_team, use_cases.stores),
                count=count,
                record_denied=record_denied,
            )
            pages = LicensePage(
                use_cases.license_by_link,
                ImageCheck(PastedTexts(settings.public_url.authority), preflight),
                throttle,
                settings.public_url,
                Renderer(settings.public_url.authority),
                logger,
                clock,
                count=count,
            )
            yield {
                API_PREFIX: api.application(),
                PORTAL_PREFIX: portal.application(),
                PAGES_PREFIX: pages.application(),
            }
    finally:
        await connection.close()


def passkey_authenticator(
    public_url: PublicUrl, facts: CredentialFactsReader, connection: Connection, on_use: Callable[[str, datetime], None]
) -> PasskeyAuthenticator | None:
    """Return the authenticator for passkeys; None if browsers make none for the public URL."""
    host = public_url.passkey_host
    if host is None:
        return None

    made: list[RelyingParty] = []

    async def party() -> "RelyingParty":
        # Its import with the first passkey takes 40 ms: in a thread, so that other requests go on meanwhile.
        if not made:
            made.append(await asyncio.to_thread(_relying_party, host, public_url.origin))
        return made[0]

    return PasskeyAuthenticator(host, party, facts, RedisPasskeyChallenges(connection), secrets.token_bytes, on_use)


def _relying_party(host: str, origin: str) -> "RelyingParty":
    from authsvc.credentials.relying_party import RelyingParty  # noqa: PLC0415  2 MiB that few workers need

    return RelyingParty(host, origin)
