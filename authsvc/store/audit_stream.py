"""The audit in Redis: a stream of proven events and changes, and one of events before identity is proven.

Both have a share of the byte budget. When the second exceeds its share, its oldest entries are trimmed in the same
step. The first accepts no decision that does not fit into its share, but always accepts changes, so that a revocation
has room.
"""

import json
from collections.abc import Collection, Sequence
from datetime import UTC
from typing import Any

from attrs import evolve, frozen

from authsvc.audit.block_filter import conditions
from authsvc.audit.pending_entry import AppendResult, PendingEntry
from authsvc.audit.request_ids import packed
from authsvc.audit.selection import EVERYTHING, EntrySelection, SelectedEntries
from authsvc.audit.stored_entry import StoredEntry, position_of
from authsvc.store import keys
from authsvc.store.audit_blocks import BLOCK_BYTES, AuditBlocks
from authsvc.store.audit_index import ADD_TO_AUDIT, READ_AUDIT
from authsvc.store.audit_size import ENTRY_SIZE, StreamSize, Used
from authsvc.store.connection import Connection

MARK_LIFE = 3600
"""Seconds for which the id of a written batch is stored. A batch whose reply was lost is sent again within seconds."""

MAX_UNPROVEN = 5_000
"""Most entries without proven identity that are stored."""

UNPROVEN_SHARE = 8
"""Divisor of the budget for their share."""

MAX_PAGE_BYTES = 1024 * 1024
"""Bytes of entries after which one reading ends."""

MAX_FIELD = 64 * 1024
"""Most bytes that are read of one field. Our entries are not a tenth as long, but older versions wrote entries of 17 MB
when a client requested thousands of actions."""

SECONDS = len("2027-01-31T12:00:00")
"""Characters of an instant to the second."""

_APPEND = (
    ADD_TO_AUDIT
    + f"local block_bytes = {BLOCK_BYTES}\n"
    + """
local known = redis.call('GET', KEYS[1])
if known then return tonumber(known) end
local lost, full = 0, false
local share, unproven_share, most_unproven = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function bytes(size) return tonumber(redis.call('HGET', size, 'bytes') or 0) end
local used = bytes(KEYS[3]) + block_bytes * redis.call('XLEN', KEYS[6])
check_index(KEYS[2])
for i = 5, #ARGV, 5 do
  local fields = {'entry', ARGV[i + 2]}
  if ARGV[i + 3] ~= '' then fields[3] = 'ids'; fields[4] = ARGV[i + 3] end
  full = full or used + entry_size(fields) > share
  if ARGV[i] == 'unproven' then
    add_to_stream(KEYS[4], KEYS[5], fields)
  elseif ARGV[i] == 'needed' or not full then
    add_to_audit(KEYS[2], KEYS[3], fields, ARGV[i + 4])
    used = used + entry_size(fields)
  else
    lost = lost + tonumber(ARGV[i + 1])
  end
end
local removed = 0
while removed < 2 * #ARGV
  and (bytes(KEYS[5]) > unproven_share or redis.call('XLEN', KEYS[4]) > most_unproven) do
  local oldest = redis.call('XRANGE', KEYS[4], '-', '+', 'COUNT', 1)[1]
  if not oldest then break end
  redis.call('XDEL', KEYS[4], oldest[1])
  redis.call('HINCRBY', KEYS[5], 'bytes', -entry_size(oldest[2]))
  redis.call('HINCRBY', KEYS[5], 'entries', -1)
  removed = removed + 1
end
redis.call('SET', KEYS[1], lost, 'EX', ARGV[1])
return lost
"""
)

_READ = "#!lua flags=no-writes\n" + ENTRY_SIZE + READ_AUDIT

# A script that makes room, or leads to it, runs also when Redis is out of memory.
_ELECT = """#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


_TRIM = """#!lua flags=allow-oom
local before = redis.call('XLEN', KEYS[1])
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
redis.call('XDEL', KEYS[1], ARGV[1])
if before - redis.call('XLEN', KEYS[1]) == tonumber(ARGV[2]) then
  redis.call('HINCRBY', KEYS[2], 'entries', -ARGV[2])
  redis.call('HINCRBY', KEYS[2], 'bytes', -ARGV[3])
end
"""
"""A stream remembers which entry was deleted last, and not which was trimmed. When other entries went than were read,
the count is left wrong, which is noticed, and the stream is counted again."""


_TRIM_INDEX = """#!lua flags=allow-oom
for _, index in ipairs(KEYS) do
  redis.call('XTRIM', index, 'MINID', ARGV[1])
  redis.call('XDEL', index, ARGV[1])
  if redis.call('XLEN', index) == 0 then redis.call('DEL', index) end
end
"""

MAX_TRIMMED = 500
"""Most indexes of teams that one command trims."""


@frozen(eq=False, repr=False)
class RedisAudit:
    """Writes and trims, within a budget in bytes for both streams together."""

    connection: Connection
    budget: int

    @property
    def share(self) -> int:
        """Bytes that the stream of proven decisions and changes may take."""
        return self.budget - self.budget // UNPROVEN_SHARE

    @property
    def blocks(self) -> AuditBlocks:
        """The Bloom filters of the stream of proven decisions and changes."""
        return AuditBlocks(self.connection)

    async def append(self, batch_id: str, batch: Sequence[PendingEntry]) -> AppendResult:
        """Write a batch; a batch that is sent again under the same id is written only once.

        Raises:
            StoreUnavailable: Redis did not answer, or has no memory left; the batch may be sent again.
        """
        arguments: list[str | bytes | int] = [MARK_LIFE, self.share, self.budget - self.share, MAX_UNPROVEN]
        for entry in batch:
            kind = "unproven" if not entry.proven else "needed" if entry.needed else "decision"
            arguments += [kind, entry.count, entry.text, entry.ids, entry.team]
        script = self.connection.redis.register_script(_APPEND)
        names = [keys.operation(batch_id), *_proven_keys(), *_unproven_keys(), keys.AUDIT_BLOCKS]
        return AppendResult(lost=int(await self.connection.run(script(keys=names, args=arguments))))

    async def used(self) -> Used:
        """Return how much of :attr:`share` is used.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        used = await StreamSize(self.connection, *_proven_keys()).used()
        return evolve(used, bytes=used.bytes + await self.blocks.size())

    async def recount(self) -> None:
        """Count the bytes of both streams again.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        for names in (_proven_keys(), _unproven_keys()):
            await StreamSize(self.connection, *names).recount()

    async def elect(self, name: str, life_seconds: int) -> bool:
        """Whether ``name`` is elected to trim, for the given time.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        script = self.connection.redis.register_script(_ELECT)
        return bool(await self.connection.run(script(keys=[keys.AUDIT_TRIMMER], args=[name, life_seconds * 1000])))

    async def first_in(self, seconds: int) -> bool:
        """Whether no alarm was raised within the given time; this call counts as one.

        Raises:
            StoreUnavailable: Redis did not answer, or has no memory left.
        """
        raised: Any = self.connection.redis.set(keys.AUDIT_ALARM, "1", nx=True, ex=seconds)
        return bool(await self.connection.run(raised))

    async def after(self, cursor: str, count: int, *, proven: bool = True) -> list[StoredEntry]:
        """Return some entries after ``cursor``, oldest first; from the beginning for an empty one; none at the end.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return (await self.read(EVERYTHING, cursor, forward=True, limit=count, examine=count, proven=proven)).entries

    async def before(self, cursor: str, count: int, *, proven: bool = True) -> list[StoredEntry]:
        """Return some entries before ``cursor``, newest first; from the end for an empty one; none at the end.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return (await self.read(EVERYTHING, cursor, forward=False, limit=count, examine=count, proven=proven)).entries

    async def read(
        self,
        selection: EntrySelection,
        cursor: str,
        *,
        forward: bool,
        limit: int,
        examine: int,
        stop: str = "",
        proven: bool = True,
    ) -> SelectedEntries:
        """Return some entries, by one command, or two; blocks that cannot have any are passed over.

        Args:
            selection: of the entries.
            cursor: to begin after, in the direction of the reading; empty for the end of the stream.
            forward: whether to read from the oldest to the newest.
            limit: most entries to return.
            examine: most entries to examine.
            stop: the last cursor to examine, or an id between two; empty for the other end of the stream.
            proven: which stream.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        needed = conditions(selection) if proven else ()
        if not needed:
            return await self._read(selection, cursor, stop, forward=forward, most=(limit, examine), proven=proven)
        part = await self.blocks.search(needed, cursor, stop, forward=forward, most=examine)
        if part.is_ruled_out or part.at_end:
            return SelectedEntries([], part.start, part.examined, part.at_end)
        is_last = not part.stop or (stop != "" and _is_within(part.stop, stop, forward=forward))
        most = (limit, max(1, examine - part.examined))
        found = await self._read(
            selection, part.start, stop if is_last else part.stop, forward=forward, most=most, proven=True
        )
        at = part.stop if found.at_end and not is_last else found.cursor
        return SelectedEntries(found.entries, at, found.examined + part.examined, found.at_end and is_last)

    async def _read(
        self,
        selection: EntrySelection,
        cursor: str,
        stop: str,
        *,
        forward: bool,
        most: tuple[int, int],
        proven: bool,
    ) -> SelectedEntries:
        """Return some entries, by one command: at most so many, after examining at most so many."""
        first, last = ("-", "+") if forward else ("+", "-")
        wanted = {
            "team": selection.team or "",
            "names": selection.names,
            "clauses": selection.clauses,
            "request_id": selection.request_id or "",
            "repeated": selection.repeated,
            "begun_by": "" if selection.begun_by is None else selection.begun_by.astimezone(UTC).isoformat()[:SECONDS],
        }
        arguments: list[str | bytes | int] = [
            "after" if forward else "before",
            f"({cursor}" if cursor else first,
            stop or last,
            *(*most, MAX_PAGE_BYTES, MAX_FIELD),
            json.dumps(wanted),
            packed(selection.request_id or ""),
        ]
        script = self.connection.redis.register_script(_READ)
        names = [keys.AUDIT if proven else keys.AUDIT_UNPROVEN]
        rows, at, at_end, examined = await self.connection.read(lambda: script(keys=names, args=arguments))
        entries = [
            StoredEntry(str(cursor, "ascii"), text, ids, proven, length, size, str(team, "ascii", "replace"))
            for cursor, text, ids, length, size, team in rows
        ]
        return SelectedEntries(entries, str(at, "ascii"), examined, bool(at_end))

    async def last_block(self) -> str:
        """Return the id of the last entry of the last block that has a filter; empty when none has.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        return await self.blocks.last()

    async def add_block(self, previous: str, cursors: Sequence[str], bits: bytes) -> bool:
        """Add the filter of a block; return whether it belongs there (:meth:`AuditBlocks.add`).

        Raises:
            StoreUnavailable: Redis did not answer, or has no memory left.
        """
        return await self.blocks.add(previous, cursors, bits)

    async def trim(self, cursor: str, entries: int, size: int, teams: Collection[str]) -> None:
        """Remove the entries up to and including ``cursor``.

        Args:
            cursor: of the last one to remove.
            entries: their number.
            size: their bytes, as they were read.
            teams: slugs of the teams that they belong to.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        index = self.connection.redis.register_script(_TRIM_INDEX)
        names = [f"{keys.AUDIT_TEAM}{team}" for team in sorted(teams)]
        for start in range(0, len(names), MAX_TRIMMED):
            await self.connection.run(index(keys=names[start : start + MAX_TRIMMED], args=[cursor]))
        script = self.connection.redis.register_script(_TRIM)
        await self.connection.run(script(keys=_proven_keys(), args=[cursor, entries, size]))
        await self.connection.run(index(keys=[keys.AUDIT_BLOCKS], args=[cursor]))

    async def trimmed_until(self) -> str:
        """Return the cursor of the newest entry that was trimmed; ``0-0`` when none was.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        if not await self.connection.read(lambda: self.connection.redis.exists(keys.AUDIT)):
            return "0-0"
        info = await self.connection.read(lambda: self.connection.redis.xinfo_stream(keys.AUDIT))
        return str(info["max-deleted-entry-id"], "ascii")


def _is_within(one: str, other: str, *, forward: bool) -> bool:
    """Whether reading to the id ``other`` does not lead beyond ``one``."""
    first, second = position_of(one), position_of(other)
    return second <= first if forward else first <= second


def _proven_keys() -> list[str]:
    return [keys.AUDIT, keys.AUDIT_SIZE]


def _unproven_keys() -> list[str]:
    return [keys.AUDIT_UNPROVEN, keys.AUDIT_UNPROVEN_SIZE]
