"""Keys of the challenges for passkeys in Redis, one for each day, and marks of the challenges that were answered."""

from authsvc.errors import StoreUnavailable
from authsvc.store import passkey_keys
from authsvc.store.connection import Connection

KEY_LIFE = 2 * 24 * 3600
"""Seconds after which the key of a day expires: when no challenge made with it can be answered any more."""


class RedisPasskeyChallenges:
    """Stores the keys and marks of challenges. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, connection: Connection) -> None:
        """Read and write through ``connection``."""
        self._connection = connection

    async def key(self, day: int, new: bytes) -> bytes:
        """Return the key of a day; store ``new`` as the key when there is none."""
        name = passkey_keys.passkey_challenge_key(day)
        found = await self._connection.get(name)
        if found is None:
            redis = self._connection.redis
            await self._connection.run(redis.set(name, new.hex(), nx=True, ex=KEY_LIFE))
            found = await self._connection.get(name)
        if found is None:
            raise StoreUnavailable("the service's database lost what was just written", detail=name)
        return bytes.fromhex(found.decode("ascii"))

    async def use(self, nonce: bytes, life_seconds: int) -> bool:
        """Mark a challenge as answered, for its lifetime; return whether it was not answered before."""
        name = passkey_keys.passkey_challenge(nonce.hex())
        return bool(await self._connection.run(self._connection.redis.set(name, b"1", nx=True, ex=life_seconds)))
