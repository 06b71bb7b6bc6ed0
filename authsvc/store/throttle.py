"""The state of the throttle in Redis: buckets, wrong passwords of the last hour, and networks known to an account.

Every decision is one script, so that simultaneous guesses are counted one after the other, even if they reach different
workers or servers. No address, account or password is stored: names are hashed, and a password is an HMAC under a key
that Redis never sees.
"""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.throttle import (
    KNOWN_LIFE,
    MACHINE,
    MACHINE_LIMITS,
    MAX_KNOWN,
    MAX_WRONG,
    PASSWORD_LIMITS,
    WRONG_LIFE,
    Admission,
    Attempt,
    Limit,
    TATs,
    bucket,
)

PAIRED_WITHIN = 5
"""Seconds within which a GET after a POST of the same unknown machine secret counts once: containerd and buildkit try
both forms. With passwords the second one is recognised as a repetition."""

# The arithmetic of throttle.spend, wait and refund; a test holds them against each other. TATs are written with
# milliseconds, and expire when they have no more effect.
ARITHMETIC = """
local function over(key, now, burst, interval)
  local tat = redis.call('GET', key)
  return tat and tonumber(tat) - now - (burst - 1) * interval or 0
end
local function put(key, now, tat)
  redis.call('SET', key, string.format('%.3f', tat), 'EX', math.ceil(tat - now) + 1)
end
local function spend(key, now, burst, interval)
  local tat = tonumber(redis.call('GET', key) or now)
  put(key, now, math.min(math.max(tat, now) + interval, now + burst * interval))
end
local function refund(key, now, interval)
  local tat = redis.call('GET', key)
  if not tat then return end
  local earlier = tonumber(tat) - interval
  if earlier > now then put(key, now, earlier) else redis.call('DEL', key) end
end
"""

# KEYS: wrong passwords, known networks, then a bucket for each limit, the one for unknown networks last.
# ARGV: now, guess, when the oldest wrong password counts, network, when the oldest known network counts, whether that
# exempts; then burst and interval of each bucket.
_CLAIM = f"""{ARITHMETIC}
local now = tonumber(ARGV[1])
local tried = redis.call('ZSCORE', KEYS[1], ARGV[2])
local seen = ARGV[6] == '1' and redis.call('ZSCORE', KEYS[2], ARGV[4])
local known = seen and tonumber(seen) > tonumber(ARGV[5]) and 1 or 0
if tried and tonumber(tried) > tonumber(ARGV[3]) then return {{1, known, '0'}} end
local worst = 0
for index = 3, #KEYS - known do
  worst = math.max(worst, over(KEYS[index], now, tonumber(ARGV[2 * index + 1]), tonumber(ARGV[2 * index + 2])))
end
if worst > 0 then return {{0, known, string.format('%.3f', worst)}} end
for index = 3, #KEYS - known do
  spend(KEYS[index], now, tonumber(ARGV[2 * index + 1]), tonumber(ARGV[2 * index + 2]))
end
return {{0, known, '0'}}
"""

# KEYS: wrong passwords, known networks, then the buckets that the attempt is counted in, its pair first.
# ARGV: now, outcome, guess, oldest, most and life of wrong passwords, network, oldest, most and life of
# known networks, whether this one may become one; then the interval of each bucket.
_SETTLE = f"""{ARITHMETIC}
local now, outcome = tonumber(ARGV[1]), ARGV[2]
local back = outcome ~= 'wrong'
if outcome == 'wrong' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[4])
  -- Two workers may have evaluated it at once: it is one guess.
  back = redis.call('ZADD', KEYS[1], 'NX', now, ARGV[3]) == 0
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[5]) - 1)
  redis.call('EXPIRE', KEYS[1], ARGV[6])
end
if back then
  for index = 3, #KEYS do refund(KEYS[index], now, tonumber(ARGV[9 + index])) end
end
if outcome == 'right' then
  redis.call('DEL', KEYS[3])
  if ARGV[11] == '1' then
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[8])
    redis.call('ZADD', KEYS[2], now, ARGV[7])
    redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -tonumber(ARGV[9]) - 1)
    redis.call('EXPIRE', KEYS[2], ARGV[10])
  end
end
return 0
"""

# KEYS: mark of a POST, then a bucket for each limit. ARGV: now, method, life of the mark, burst and interval of each.
_COUNT = f"""{ARITHMETIC}
local now, worst = tonumber(ARGV[1]), 0
if ARGV[2] == 'POST' then redis.call('SET', KEYS[1], '1', 'EX', ARGV[3]) end
local same = ARGV[2] == 'GET' and redis.call('DEL', KEYS[1]) == 1
for index = 2, #KEYS do
  local burst, interval = tonumber(ARGV[2 * index]), tonumber(ARGV[2 * index + 1])
  worst = math.max(worst, over(KEYS[index], now, burst, interval))
  if not same then spend(KEYS[index], now, burst, interval) end
end
return string.format('%.3f', worst)
"""


class _AttemptOutcome(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    UNEVALUATED = "unevaluated"


class RedisThrottle:
    """Counts wrong secrets. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, connection: Connection) -> None:
        """Read and write through ``connection``."""
        self._connection = connection
        self._claim = connection.redis.register_script(_CLAIM)
        self._settle = connection.redis.register_script(_SETTLE)
        self._count = connection.redis.register_script(_COUNT)

    async def admit(self, attempt: Attempt, now: datetime) -> Admission:
        """Count an attempt in every bucket that applies, and return whether it is admitted."""
        arguments: list[str | float] = [
            *(now.timestamp(), attempt.guess, _before(now, WRONG_LIFE)),
            *(hashed(attempt.network), _before(now, KNOWN_LIFE), int(attempt.exempts)),
        ]
        for limit in PASSWORD_LIMITS:
            arguments += [limit.burst, limit.interval.total_seconds()]
        names = [*_memories(attempt), *_buckets(PASSWORD_LIMITS, attempt.email, attempt.network)]
        repeated, known, wait = await self._connection.run(self._claim(keys=names, args=arguments))
        return Admission(bool(repeated), float(wait), bool(known))

    async def right(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Settle an admitted attempt that was right: do not count it, reset its pair, and make its network known."""
        await self._settled(attempt, admission, _AttemptOutcome.RIGHT, now)

    async def wrong(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Settle an admitted attempt that was wrong: it stays counted, once, and is recognised when it is repeated."""
        await self._settled(attempt, admission, _AttemptOutcome.WRONG, now)

    async def unevaluated(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Settle an admitted attempt that was not evaluated: it is not counted."""
        await self._settled(attempt, admission, _AttemptOutcome.UNEVALUATED, now)

    async def count_machine(self, credential_id: str, network: str, method: str, now: datetime) -> float:
        """Count one unknown machine secret, but not a GET right after a POST.

        Returns:
            For how many seconds the worst bucket was over its limit before.
        """
        paired = keys.throttle("paired", hashed(bucket(MACHINE, credential_id, network)))
        arguments: list[str | float] = [now.timestamp(), method, PAIRED_WITHIN]
        for limit in MACHINE_LIMITS:
            arguments += [limit.burst, limit.interval.total_seconds()]
        names = [paired, *_buckets(MACHINE_LIMITS, credential_id, network)]
        return float(await self._connection.run(self._count(keys=names, args=arguments)))

    async def _settled(self, attempt: Attempt, admission: Admission, outcome: _AttemptOutcome, now: datetime) -> None:
        joins = outcome is _AttemptOutcome.RIGHT and attempt.exempts and attempt.account_id is not None
        arguments: list[str | float] = [
            *(now.timestamp(), outcome, attempt.guess),
            *(_before(now, WRONG_LIFE), MAX_WRONG, int(WRONG_LIFE.total_seconds())),
            *(hashed(attempt.network), _before(now, KNOWN_LIFE), MAX_KNOWN, int(KNOWN_LIFE.total_seconds())),
            int(joins),
            *(limit.interval.total_seconds() for limit in admission.limits),
        ]
        names = [*_memories(attempt), *_buckets(admission.limits, attempt.email, attempt.network)]
        await self._connection.run(self._settle(keys=names, args=arguments))


def password_buckets(email: str, network: str) -> Sequence[str]:
    """Return the keys of the buckets of an account and network, for :func:`tats_of`."""
    return _buckets(PASSWORD_LIMITS, email, network)


def tats_of(values: Sequence[bytes | None]) -> TATs:
    """Return the state of the buckets with these values, in the order of :func:`password_buckets`."""
    return {
        limit: None if value is None else float(value) for limit, value in zip(PASSWORD_LIMITS, values, strict=True)
    }


def _memories(attempt: Attempt) -> tuple[str, str]:
    """Return the keys of the wrong passwords of the pair, and of the networks known to the account."""
    wrong = keys.throttle("wrong", hashed(f"{attempt.email}\0{attempt.network}"))
    return wrong, keys.NONE if attempt.account_id is None else keys.known_networks(attempt.account_id)


def _buckets(limits: Collection[Limit], who: str, network: str) -> Sequence[str]:
    return [keys.throttle(limit.name, hashed(bucket(limit, who, network))) for limit in limits]


def _before(now: datetime, life: timedelta) -> float:
    return (now - life).timestamp()


def hashed(text: str) -> str:
    """Return the hash of a name for the key of a bucket."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
