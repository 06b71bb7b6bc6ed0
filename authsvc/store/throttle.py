"""The state of the throttle: one instant per bucket, counted up in one step for all buckets of a failure."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.throttle import MAX_DEBT, PAIR, Buckets, Limit

PAIRED_WITHIN = 5
"""Seconds within which a GET after a POST of the same account and address is the same failure: containerd and
buildkit try both forms with one password."""

# The arithmetic of throttle.spend and throttle.wait; a test holds them against each other.
_COUNT = """
if ARGV[2] == 'POST' then redis.call('SET', KEYS[1], '1', 'EX', ARGV[3]) end
local same = ARGV[2] == 'GET' and redis.call('DEL', KEYS[1]) == 1
local now, debt, over = tonumber(ARGV[1]), tonumber(ARGV[4]), 0
for place = 2, #KEYS do
  local burst, interval = tonumber(ARGV[2 * place + 1]), tonumber(ARGV[2 * place + 2])
  local tat = tonumber(redis.call('GET', KEYS[place]) or now)
  over = math.max(over, tat - now - (burst - 1) * interval)
  if not same then
    local after = math.min(math.max(tat, now) + interval, now + debt * burst * interval)
    redis.call('SET', KEYS[place], string.format('%.3f', after), 'EX', math.ceil(after - now) + 1)
  end
end
return string.format('%.3f', over)
"""


class RedisThrottle:
    """Looks at buckets and counts failures. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, connection: Connection) -> None:
        """Read and write through ``connection``."""
        self._connection = connection
        self._count = connection.redis.register_script(_COUNT)

    async def look(self, buckets: Buckets, known: str) -> tuple[Mapping[Limit, float | None], bool]:
        """Return the state of each bucket, and whether the credential id ``known`` was ever used."""
        limits = buckets.all()
        *tats, used = await self._connection.get_all(*(_key(*bucket) for bucket in limits), keys.used(known))
        states = zip((limit for limit, _ in limits), tats, strict=True)
        return {limit: None if tat is None else float(tat) for limit, tat in states}, used is not None

    async def count(self, buckets: Buckets, method: str, now: datetime) -> float:
        """Count one failure in every bucket, a GET right after a POST not again.

        Returns:
            For how many seconds the worst bucket was over its limit before.
        """
        limits = buckets.all()
        names = [keys.throttle("paired", _hash(limits[0][1])), *(_key(*bucket) for bucket in limits)]
        arguments: list[str | int | float] = [now.timestamp(), method, PAIRED_WITHIN, MAX_DEBT]
        for limit, _ in limits:
            arguments += [limit.burst, limit.interval.total_seconds()]
        return float(await self._connection.run(self._count(keys=names, args=arguments)))

    async def forgive(self, buckets: Buckets) -> None:
        """Forget the failures of this account from this address: its right secret has come."""
        (pair,) = (name for limit, name in buckets.all() if limit is PAIR)
        await self._connection.run(self._connection.redis.delete(_key(PAIR, pair)))


def _key(limit: Limit, name: str) -> str:
    return keys.throttle(limit.name, _hash(name))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
