"""Sealed tokens of external registries, for all replicas; they expire in Redis."""

from attrs import frozen

from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.upstreams.sealed_token import SealedToken

LEASE = 15.0
"""Seconds after which the lock of a replica expires."""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@frozen(eq=False, repr=False)
class RedisUpstreamTokens:
    """Stores the tokens. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
        codec: reads and writes them.
    """

    connection: Connection
    codec: Codec

    async def find(self, link: str, version: int) -> SealedToken | None:
        """Return the token of a link and a version of its credential."""
        raw = await self.connection.get(keys.upstream_token(link, version))
        return None if raw is None else self.codec.decode(raw, SealedToken)

    async def put(self, link: str, version: int, token: SealedToken) -> None:
        """Store a token until it ends."""
        life = max(1, round((token.ends_at - token.fetched_at).total_seconds()))
        key = keys.upstream_token(link, version)
        await self.connection.run(self.connection.redis.set(key, self.codec.encode(token), ex=life))

    async def acquire(self, link: str, holder: str) -> bool:
        """Return whether ``holder`` may fetch a token now."""
        key, life = keys.upstream_token_lock(link), round(LEASE * 1000)
        return bool(await self.connection.run(self.connection.redis.set(key, holder, nx=True, px=life)))

    async def release(self, link: str, holder: str) -> None:
        """Let another replica fetch a token."""
        run = self.connection.redis.register_script(_RELEASE)
        await self.connection.run(run(keys=[keys.upstream_token_lock(link)], args=[holder]))
