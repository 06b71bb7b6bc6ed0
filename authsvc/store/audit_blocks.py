"""The Bloom filters of the audit's blocks in Redis: a stream with a filter for each block (ADR-0036).

A filter has the id of its block's last entry, and each block begins where the previous one ends. So the blocks are
contiguous no matter who wrote the entries, and the entries after the last block have no filter yet. A filter is used
only while the last entry of its block is in the audit.
"""

import json
from collections.abc import Sequence

from attrs import frozen

from authsvc.audit.block_filter import FILTER_BYTES, VERSION, Condition
from authsvc.store import keys
from authsvc.store.connection import Connection

MAX_EXAMINED = 256
"""Most filters that one command examines: Redis is busy with them for about a millisecond."""

MERGED = 16
"""Most blocks that are read together when none of several in a row is ruled out."""

CHUNK = 8
"""Filters that are read at once."""

BLOCK_BYTES = FILTER_BYTES * 4 // 3
"""Bytes of the budget that a filter takes: three are in one block of Redis' memory for streams."""

_ADD = """#!lua
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if (last and last[1] or '') ~= ARGV[1] then return 0 end
local found = {}
for index, entry in ipairs(redis.call('XRANGE', KEYS[2], last and '(' .. ARGV[1] or '-', ARGV[2])) do
  found[index] = entry[1]
end
if table.concat(found, ' ') ~= ARGV[3] then return 0 end
redis.call('XADD', KEYS[1], ARGV[2], ARGV[4], ARGV[5])
return 1
"""

_SEARCH = f"""#!lua flags=no-writes
local blocks, audit = KEYS[1], KEYS[2]
local place, stop, most = ARGV[2], ARGV[3], tonumber(ARGV[4])
local conditions = cjson.decode(ARGV[5])
local examined, begun, ended, merged = 0, nil, '', 0

local function has_all(filter, bits)
  for index = 1, #bits, 2 do
    if bit.band(string.byte(filter, bits[index]), bits[index + 1]) == 0 then return false end
  end
  return true
end

local function has_any(filter, texts)
  for index = 1, #texts do
    if has_all(filter, texts[index]) then return true end
  end
  return false
end

local function is_candidate(block)
  local version, filter = block[2][1], block[2][2]
  if version ~= '{VERSION}' or #filter ~= {FILTER_BYTES} then return true end
  for index = 1, #conditions do
    if not has_any(filter, conditions[index]) then
      return #redis.call('XRANGE', audit, block[1], block[1]) == 0
    end
  end
  return true
end

local function parts(id)
  local milliseconds, number = string.match(id, '(%d+)-(%d+)')
  return tonumber(milliseconds), number
end

local function following(id)
  local milliseconds, number = string.match(id, '(%d+)-(%d+)')
  return milliseconds .. '-' .. string.format('%.0f', tonumber(number) + 1)
end

local function is_before(one, other)
  local first, first_number = parts(one)
  local second, second_number = parts(other)
  return first < second or (first == second and tonumber(first_number) < tonumber(second_number))
end

local function result(from, to)
  if from then return {{'read', from, to, examined}} end
  return {{'on', to, '', examined}}
end

local function examine(block, from, to) -- whether it ends what is to be read
  examined = examined + 1
  if is_candidate(block) then
    begun, ended, merged = begun or from, to, merged + 1
    return merged == {MERGED}
  end
  return begun ~= nil
end

local function forward()
  local from = place
  while examined < most do
    local rows = redis.call('XRANGE', blocks, from == '' and '-' or '(' .. from, '+', 'COUNT', {CHUNK})
    for _, block in ipairs(rows) do
      if stop ~= '' and from ~= '' and not is_before(from, stop) then
        return begun and result(begun, ended) or {{'end', from, '', examined}}
      end
      if examine(block, from, block[1]) then return result(begun, ended) end
      from = block[1]
      if examined == most then return result(begun, begun and ended or from) end
    end
    if #rows < {CHUNK} then return result(begun or from, '') end
  end
end

local function backward()
  local newest = redis.call('XREVRANGE', blocks, '+', '-', 'COUNT', 1)[1]
  if not newest then return result(place, '') end
  if place == '' or is_before(following(newest[1]), place) then return result(place, following(newest[1])) end
  local first = redis.call('XRANGE', blocks, place, '+', 'COUNT', 1)[1] or newest
  local from, to = first[1], place
  while true do
    local rows = redis.call('XREVRANGE', blocks, from, '-', 'COUNT', {CHUNK + 1})
    for index = 1, math.min({CHUNK}, #rows) do
      local block, below = rows[index], rows[index + 1]
      local lowest = below and following(below[1]) or ''
      if stop ~= '' and is_before(block[1], stop) then
        return begun and result(begun, ended) or {{'end', to, '', examined}}
      end
      if lowest == '' or is_before(lowest, to) then
        if examine(block, to, lowest) then return result(begun, ended) end
        to = lowest
      end
      if lowest == '' then return begun and result(begun, ended) or {{'end', to, '', examined}} end
      if examined == most then return result(begun, begun and ended or to) end
    end
    from = rows[{CHUNK + 1}][1]
  end
end

return ARGV[1] == 'after' and forward() or backward()
"""
"""KEYS: the filters, the audit. ARGV: ``after`` or ``before``; the cursor behind which entries are searched, or
nothing; the last id, or nothing; most filters; the conditions. Returns ``read`` with the cursor to begin behind and the
last id, or nothing for the end of the stream; ``on`` with the cursor to go on behind; or ``end``."""


@frozen
class BlockRange:
    """The next part of the audit that may have entries of a selection.

    Attributes:
        start: cursor to begin after, in the direction of the reading; empty for the end of the stream.
        stop: the last id to examine; empty for the other end of the stream.
        examined: number of filters that were examined.
        is_ruled_out: whether no entry up to ``start`` can match, so that the search continues there.
        at_end: whether no further entry in this direction can match.
    """

    start: str
    stop: str
    examined: int
    is_ruled_out: bool
    at_end: bool


@frozen(eq=False, repr=False)
class AuditBlocks:
    """The filters. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
    """

    connection: Connection

    async def last(self) -> str:
        """Return the id of the last entry of the last block; empty when there is none."""
        redis = self.connection.redis
        found = await self.connection.read(lambda: redis.xrevrange(keys.AUDIT_BLOCKS, count=1))
        return str(found[0][0], "ascii") if found else ""

    async def add(self, previous: str, cursors: Sequence[str], bits: bytes) -> bool:
        """Add the filter of the block from behind ``previous``; return whether it belongs there.

        It does not if another filter follows ``previous``, or if the block has not exactly the entries with these
        ``cursors``: some were trimmed, or, after a failover that lost what was read here, replaced by others.
        """
        script = self.connection.redis.register_script(_ADD)
        names = [keys.AUDIT_BLOCKS, keys.AUDIT]
        arguments: list[str | bytes] = [previous, cursors[-1], " ".join(cursors), VERSION, bits]
        return bool(await self.connection.run(script(keys=names, args=arguments)))

    async def size(self) -> int:
        """Return the bytes of the budget that the filters take."""
        redis = self.connection.redis
        return BLOCK_BYTES * int(await self.connection.read(lambda: redis.xlen(keys.AUDIT_BLOCKS)))

    async def search(
        self, conditions: Sequence[Condition], cursor: str, stop: str, *, forward: bool, most: int
    ) -> BlockRange:
        """Return the next part of the audit that may fulfil all conditions.

        Args:
            conditions: of the blocks.
            cursor: to begin after, in the direction of the search; empty for the end of the stream.
            stop: the last id to examine; empty for the other end of the stream.
            forward: whether to search from the oldest to the newest.
            most: most filters to examine.
        """
        bits = [
            [[part for bit in text for part in (1 + (bit >> 3), 1 << (bit & 7))] for text in one] for one in conditions
        ]
        script = self.connection.redis.register_script(_SEARCH)
        names = [keys.AUDIT_BLOCKS, keys.AUDIT]
        arguments: list[str | int] = [
            *("after" if forward else "before", cursor, stop),
            *(min(most, MAX_EXAMINED), json.dumps(bits)),
        ]
        found = await self.connection.read(lambda: script(keys=names, args=arguments))
        what, start, last = (str(one, "ascii") for one in found[:3])
        return BlockRange(start, last, int(found[3]), is_ruled_out=what == "on", at_end=what == "end")
