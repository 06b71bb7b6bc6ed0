"""The audit in Redis: two streams, one to be kept and one for what happened before anybody's identity was proven.

Both have a share of the byte budget. The second is halved whenever it is over its own, in the same step that makes it
so. The first takes no more decisions when its share is used up, and takes changes always: a revocation has room.
"""

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from authsvc.audit.collapse import Told
from authsvc.audit.kept import Kept
from authsvc.audit.trail import Appended
from authsvc.store import keys
from authsvc.store.connection import Connection

MARK_LIFE = 3600
"""Seconds for which a written batch is known. One whose reply was lost is sent again within seconds."""

MAX_UNPROVEN = 5_000
"""About the most entries that are kept of what happened before identity."""

UNPROVEN_SHARE = 8
"""Which part of the budget they may take: one in so many."""

_APPEND = """
local known = redis.call('GET', KEYS[1])
if known then return tonumber(known) end
local function size(key) return redis.call('MEMORY', 'USAGE', key) or 0 end
local full = size(KEYS[2]) >= tonumber(ARGV[2])
for i = 5, #ARGV, 3 do
  local fields = {'*', 'entry', ARGV[i + 1]}
  if ARGV[i + 2] ~= '' then fields[4] = 'ids'; fields[5] = ARGV[i + 2] end
  if ARGV[i] == 'unproven' then
    redis.call('XADD', KEYS[3], unpack(fields))
  elseif ARGV[i] == 'needed' or not full then
    redis.call('XADD', KEYS[2], unpack(fields))
  end
end
redis.call('XTRIM', KEYS[3], 'MAXLEN', '~', ARGV[3])
while size(KEYS[3]) > tonumber(ARGV[4]) and redis.call('XLEN', KEYS[3]) > 1 do
  redis.call('XTRIM', KEYS[3], 'MAXLEN', math.floor(redis.call('XLEN', KEYS[3]) / 2))
end
redis.call('SET', KEYS[1], full and '1' or '0', 'EX', ARGV[1])
return full and 1 or 0
"""

# A script that makes room, or leads to it, runs also when Redis is out of memory.
_ELECT = """#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


_TRIM = """#!lua flags=allow-oom
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
return redis.call('XDEL', KEYS[1], ARGV[1])
"""
"""A stream remembers which entry was deleted last, and not which was trimmed."""


@frozen
class RedisAudit:
    """Writes and trims, within a budget in bytes for both streams together."""

    connection: Connection
    budget: int

    @property
    def share(self) -> int:
        """Bytes that the stream of proven decisions and changes may take."""
        return self.budget - self.budget // UNPROVEN_SHARE

    async def append(self, batch_id: str, batch: Sequence[Told]) -> Appended:
        """Write a batch, once however often it is sent under the same id.

        Raises:
            StoreUnavailable: Redis did not answer, or has no memory left; the batch may be sent again.
        """
        arguments: list[str | bytes | int] = [MARK_LIFE, self.share, MAX_UNPROVEN, self.budget - self.share]
        for told in batch:
            kind = "unproven" if not told.proven else "needed" if told.needed else "decision"
            arguments += [kind, told.text, told.ids]
        script = self.connection.redis.register_script(_APPEND)
        names = [keys.operation(batch_id), keys.AUDIT, keys.AUDIT_UNPROVEN]
        return Appended(full=bool(await self.connection.run(script(keys=names, args=arguments))))

    async def used(self) -> int:
        """Return how many bytes of :attr:`share` are used.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return await self.connection.read(lambda: self.connection.redis.memory_usage(keys.AUDIT)) or 0

    async def elect(self, name: str, life_seconds: int) -> bool:
        """Whether ``name`` is the one who trims, for so long.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        script = self.connection.redis.register_script(_ELECT)
        return bool(await self.connection.run(script(keys=[keys.AUDIT_KEEPER], args=[name, life_seconds * 1000])))

    async def first_in(self, seconds: int) -> bool:
        """Whether nobody has raised the alarm for so long; from now on somebody has.

        Raises:
            StoreUnavailable: Redis did not answer, or has no memory left.
        """
        raised: Any = self.connection.redis.set(keys.AUDIT_ALARM, "1", nx=True, ex=seconds)
        return bool(await self.connection.run(raised))

    async def after(self, cursor: str, count: int, *, proven: bool = True) -> list[Kept]:
        """Return the entries behind ``cursor``, oldest first; from the beginning for an empty one.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        start = f"({cursor}" if cursor else "-"
        found = await self.connection.read(lambda: self.connection.redis.xrange(_stream(proven), start, "+", count))
        return _kept(found, proven)

    async def before(self, cursor: str, count: int, *, proven: bool = True) -> list[Kept]:
        """Return the entries in front of ``cursor``, newest first; from the end for an empty one.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        start = f"({cursor}" if cursor else "+"
        found = await self.connection.read(lambda: self.connection.redis.xrevrange(_stream(proven), start, "-", count))
        return _kept(found, proven)

    async def trim(self, cursor: str) -> None:
        """Forget the entries up to and including ``cursor``.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        script = self.connection.redis.register_script(_TRIM)
        await self.connection.run(script(keys=[keys.AUDIT], args=[cursor]))

    async def trimmed_until(self) -> str:
        """Return the cursor of the newest entry that was trimmed; ``0-0`` when none was.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        if not await self.connection.read(lambda: self.connection.redis.exists(keys.AUDIT)):
            return "0-0"
        info = await self.connection.read(lambda: self.connection.redis.xinfo_stream(keys.AUDIT))
        return str(info["max-deleted-entry-id"], "ascii")


def _stream(proven: bool) -> str:  # noqa: FBT001  named by its callers' keyword
    return keys.AUDIT if proven else keys.AUDIT_UNPROVEN


def _kept(rows: list[tuple[bytes, dict[bytes, bytes]]], proven: bool) -> list[Kept]:  # noqa: FBT001  as above
    return [
        Kept(cursor.decode(), fields.get(b"entry", b""), fields.get(b"ids", b""), proven) for cursor, fields in rows
    ]
