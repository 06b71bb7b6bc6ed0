"""Pull-through of linked registries in a worker, with a separate Redis connection."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from authsvc.audit.recorder import AuditRecorder
from authsvc.errors import Conflict, Overloaded, SignerUnavailable, UpstreamUnavailable
from authsvc.keys.client import KeyServiceClient
from authsvc.keys.trusted_roots import TrustedRoots
from authsvc.logs import Logger
from authsvc.metrics.shared_metrics import Slot
from authsvc.processes.waiting import ended
from authsvc.redaction import Secret
from authsvc.registries.upstream.access import Unseal, UpstreamAccess
from authsvc.registries.upstream.client import UpstreamClient
from authsvc.settings import Settings
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.upstream_contents import RedisUpstreamContents
from authsvc.store.upstream_tags import RedisUpstreamTags
from authsvc.store.upstreams import RedisUpstreamHealth
from authsvc.upstreams.link import UpstreamLink, credential_context
from authsvc.upstreams.tag_policy import TagPolicy
from authsvc.web.proxy.activity import PullActivity
from authsvc.web.proxy.counts import PullCounts
from authsvc.web.proxy.endpoint import ProxyEndpoint, TokenRules
from authsvc.web.proxy.known_contents import KnownContents
from authsvc.web.proxy.link_shares import LinkShares
from authsvc.web.proxy.nginx_only import NginxOnly
from authsvc.web.proxy.pulls import LinkFinder, Pulls
from authsvc.web.proxy.recorder import PullRecorder
from authsvc.web.proxy.tag_lists import TagLists
from authsvc.web.proxy.tags import TagResolver
from authsvc.wiring import clock
from authsvc.wiring.ecr import ecr_tokens
from authsvc.wiring.upstreams import upstream_session

EVENT_ID_BYTES = 16

CLOSED = "the credential of this link cannot be opened now"


@asynccontextmanager
async def proxy_endpoint(
    settings: Settings,
    keys: KeyServiceClient | None,
    links: LinkFinder,
    nginx_hashes: Sequence[bytes],
    has_room: Callable[[], bool],
    audit: AuditRecorder,
    logger: Logger,
    slot: Slot,
) -> AsyncIterator[ProxyEndpoint]:
    """Yield the endpoint for ``/v2/proxy/…``, for an nginx that sends a secret with one of the SHA-256 hashes.

    Args:
        settings: of the installation.
        keys: unseals credentials; None when there is no key service.
        links: finds linked registries.
        nginx_hashes: SHA-256 of each secret of nginx.
        has_room: whether there is room for data that can wait.
        audit: records pulls that were not served.
        logger: of this process.
        slot: of its metrics.
    """
    url = settings.public_url
    tokens = TokenRules(url.realm, url.authority, TrustedRoots(settings.secrets_dir).current, clock)
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    recorder = PullRecorder(RedisActivitySink(connection, Codec(), has_room), logger, clock)
    counts = PullCounts(slot)
    recording = asyncio.create_task(recorder.run())
    try:
        async with upstream_client(settings, keys, counts.answered) as client:
            policy = TagPolicy(settings.upstream_tag_interval, settings.upstream_stale_limit)
            life = settings.upstream_stale_limit + settings.upstream_tag_interval
            memory = RedisUpstreamTags(connection, life, has_room=has_room)
            shares = LinkShares()
            pulls = Pulls(
                links,
                client,
                TagResolver(client, memory, policy, clock, shares),
                TagLists(client, shares, policy.interval, clock),
                shares,
                PullActivity(
                    KnownContents(RedisUpstreamContents(connection, has_room=has_room)),
                    recorder.record,
                    lambda: secrets.token_hex(EVENT_ID_BYTES),
                    clock,
                ),
                RedisUpstreamHealth(connection),
                counts,
                audit.record_pull,
                logger,
                clock,
            )
            yield ProxyEndpoint(NginxOnly(nginx_hashes, logger), tokens, pulls, logger)
    finally:
        await ended(recording)
        await recorder.finish()
        await connection.close()


@asynccontextmanager
async def upstream_client(
    settings: Settings, keys: KeyServiceClient | None, answered: Callable[[int | None], None]
) -> AsyncIterator[UpstreamClient]:
    """Yield the client of linked registries, with credentials that the key service unseals."""
    async with (
        upstream_session(settings, answered=answered) as session,
        ecr_tokens(settings, session, keys) as ecr,
    ):
        yield UpstreamClient(session, UpstreamAccess(session, _unseal(keys), time.monotonic, ecr))


def _unseal(keys: KeyServiceClient | None) -> Unseal:
    async def unseal(link: UpstreamLink) -> Secret:
        if keys is None or link.sealed_secret is None:
            raise UpstreamUnavailable(CLOSED, detail="there is no key service, or no secret")
        try:
            return Secret((await keys.unseal(link.sealed_secret, credential_context(link))).decode())
        except (Conflict, Overloaded, SignerUnavailable) as error:
            # Does not affect customers: cached images are still served.
            raise UpstreamUnavailable(CLOSED, detail=error.detail or str(error)) from error

    return unseal
