"""Counts new passwords tried for a member or a one-time link, in Redis: one bucket each, as in the throttle."""

from datetime import datetime

from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.throttle import ARITHMETIC, hashed
from authsvc.throttle import CHOICE

# KEYS: the bucket. ARGV: now, burst, interval.
_COUNT = f"""{ARITHMETIC}
local now, burst, interval = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local wait = over(KEYS[1], now, burst, interval)
if wait <= 0 then spend(KEYS[1], now, burst, interval) end
return string.format('%.3f', wait)
"""


class RedisPasswordChoices:
    """Counts new passwords before they are checked."""

    def __init__(self, connection: Connection) -> None:
        """Read and write through ``connection``."""
        self._connection = connection
        self._count = connection.redis.register_script(_COUNT)

    async def count(self, counted_for: str, now: datetime) -> float:
        """Count one; return the seconds for which none may be tried, in which case this one is not counted.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        bucket = keys.throttle(CHOICE.name, hashed(counted_for))
        arguments: list[float] = [now.timestamp(), CHOICE.burst, CHOICE.interval.total_seconds()]
        return float(await self._connection.run(self._count(keys=[bucket], args=arguments)))
