"""Sign-in to Amazon ECR in a worker: tokens are in Redis for all replicas, sealed by the key service."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from authsvc.keys.client import KeyServiceClient
from authsvc.registries.upstream.ecr import EcrTokens
from authsvc.registries.upstream.session import UpstreamSession
from authsvc.settings import Settings
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.upstream_tokens import RedisUpstreamTokens
from authsvc.wiring import clock

HOLDER_BYTES = 16


@asynccontextmanager
async def ecr_tokens(
    settings: Settings, session: UpstreamSession, keys: KeyServiceClient | None
) -> AsyncIterator[EcrTokens | None]:
    """Yield the exchanger of access keys; None without a key service, since credentials then cannot be unsealed.

    The connection to Redis is made with the first pull through a link to Amazon.
    """
    if keys is None:
        yield None
        return
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    try:
        tokens = RedisUpstreamTokens(connection, Codec())
        yield EcrTokens(session, tokens, keys, clock, lambda: secrets.token_hex(HOLDER_BYTES))
    finally:
        await connection.close()
