r"""An ordered index: a set of short texts, of which any range can be read in order, with a quarter of the usual memory.

Redis needs 128 bytes for an id in a large sorted set, and 32 in one of at most 128 members, which it stores as one
block. So an index is many small sorted sets, the leaves, and one that says where each leaf begins: a tree of two
levels. 1,000,000 entries have some 12,000 leaves; the longest command reads or moves one leaf.

An entry is UTF-8 of at most 64 bytes, without ``\1``, not beginning with ``\0``, and no entry begins another. Entries
are ordered by their bytes. All scores are 0. A leaf without entries does not exist, but for the first.
"""

from collections.abc import Sequence
from typing import cast

from authsvc.store import keys
from authsvc.store.batched_reads import BatchedReads, Values
from authsvc.store.connection import Connection

_SEPARATOR = "\0"
"""Separates the key of an index from the text to search for; keys never contain it."""

LEAF_SIZE = 128
"""Most entries of a leaf: ``zset-max-listpack-entries`` of Redis' defaults."""

# A member of the top is the lowest entry of a leaf, \0, and the number of the leaf.
_LEAF_OF = f"""
local function leaf_of(index, entry)
  local top = redis.call('ZREVRANGEBYLEX', index, '(' .. entry .. '\\1', '-', 'LIMIT', 0, 1)[1]
  return top, top and '{keys.LEAF}' .. string.match(top, '%d+$')
end
"""

INDEX_FUNCTIONS = (
    _LEAF_OF
    + f"""
local function new_leaf(index, lowest)
  local number = redis.call('INCR', '{keys.LEAVES}')
  redis.call('ZADD', index, 0, lowest .. '\\0' .. number)
  return '{keys.LEAF}' .. number
end
local function index_add(index, entry)
  local _, leaf = leaf_of(index, entry)
  if not leaf then leaf = new_leaf(index, '') end
  if redis.call('ZSCORE', leaf, entry) then return end
  if redis.call('ZCARD', leaf) >= {LEAF_SIZE} then -- one more, and Redis would store it the large way for good
    if redis.call('ZLEXCOUNT', leaf, '(' .. entry, '+') == 0 then -- entries that come in order leave full leaves
      leaf = new_leaf(index, entry)
    else
      local moved = redis.call('ZRANGE', leaf, {LEAF_SIZE // 2}, -1)
      redis.call('ZREMRANGEBYRANK', leaf, {LEAF_SIZE // 2}, -1)
      local other = new_leaf(index, moved[1])
      for _, one in ipairs(moved) do redis.call('ZADD', other, 0, one) end
      _, leaf = leaf_of(index, entry)
    end
  end
  redis.call('ZADD', leaf, 0, entry)
end
local function index_remove(index, entry)
  local top, leaf = leaf_of(index, entry)
  if leaf and redis.call('ZREM', leaf, entry) == 1 and redis.call('EXISTS', leaf) == 0
      and string.byte(top) ~= 0 then
    redis.call('ZREM', index, top)
  end
end
local function index_find(index, prefix)
  local top = redis.call('ZREVRANGEBYLEX', index, '(' .. prefix .. '\\0', '-', 'LIMIT', 0, 1)[1]
  local rank = top and redis.call('ZRANK', index, top) or 0
  for _, each in ipairs(redis.call('ZRANGE', index, rank, rank + 1)) do
    local leaf = '{keys.LEAF}' .. string.match(each, '%d+$')
    local found = redis.call('ZRANGEBYLEX', leaf, '[' .. prefix, '(' .. prefix .. '\\255', 'LIMIT', 0, 1)[1]
    if found then return found end
  end
end
"""
)
"""Lua that changes and searches an index: ``index_add(index, entry)`` and ``index_remove(index, entry)``, which do
nothing when it is done already, and ``index_find(index, prefix)``, the first entry that begins so, or nil."""

INDEX_RANGE = f"""
local function index_range(index, after, before, wanted)
  local top = redis.call('ZREVRANGEBYLEX', index, '(' .. after .. '\\0', '-', 'LIMIT', 0, 1)[1]
  local found, rank = {{}}, top and redis.call('ZRANK', index, top) or 0
  local first, last = rank, before == '' and '+' or '(' .. before
  while #found < wanted do
    local here = redis.call('ZRANGE', index, rank, rank)[1]
    if not here then break end
    local leaf = '{keys.LEAF}' .. string.match(here, '%d+$')
    local part = redis.call('ZRANGEBYLEX', leaf, '(' .. after, last, 'LIMIT', 0, wanted - #found)
    if #part == 0 and rank > first + 1 then break end
    for _, one in ipairs(part) do found[#found + 1] = one end
    rank = rank + 1
  end
  return found
end
"""
"""Lua that reads an index: ``index_range(index, after, before, wanted)``, the first entries between two bounds."""

_RANGE = f"""#!lua flags=no-writes
{INDEX_RANGE}
return index_range(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]))
"""

_BEGINNINGS = f"""#!lua flags=no-writes
{INDEX_RANGE}
local found = {{}}
for number = 2, #ARGV do
  found[number - 1] = index_range(KEYS[1], ARGV[number], ARGV[number] .. '\\255', tonumber(ARGV[1]))
end
return found
"""

_FIND = f"""#!lua flags=no-writes
{INDEX_FUNCTIONS}
local found = {{}}
for number, index in ipairs(KEYS) do found[number] = index_find(index, ARGV[number]) or false end
return found
"""


def end_of(prefix: str) -> bytes:
    """Return the bound below which everything lies that begins with ``prefix``."""
    return prefix.encode() + b"\xff"


class OrderedIndexes:
    """Reads the indexes of one store. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, connection: Connection) -> None:
        """Read through ``connection``."""
        self._connection = connection
        self._range = connection.redis.register_script(_RANGE)
        self._beginnings = connection.redis.register_script(_BEGINNINGS)
        self._find = connection.redis.register_script(_FIND)
        self._finds = BatchedReads(self._found)

    async def entries(self, index: str, *, after: str = "", before: bytes = b"", limit: int) -> list[str]:
        """Return the first ``limit`` entries between two bounds, in order, neither bound included.

        Args:
            index: its key.
            after: an entry, or the beginning of one.
            before: an entry, or the beginning of one; empty for no bound.
            limit: most entries; the time that Redis takes grows with it, about 0.1 ms for 100.
        """
        arguments: Sequence[str | bytes | int] = (after, before, limit)
        found = await self._connection.read(lambda: self._range(keys=[index], args=arguments))
        return [entry.decode() for entry in found]

    async def beginnings(self, index: str, prefixes: Sequence[str], limit: int) -> list[list[str]]:
        """Return for each prefix the first ``limit`` entries that begin with it and are longer, by one command."""
        arguments: Sequence[str | int] = (limit, *prefixes)
        found = await self._connection.read(lambda: self._beginnings(keys=[index], args=arguments))
        return [[entry.decode() for entry in entries] for entries in found]

    async def first(self, index: str, prefix: str) -> str | None:
        """Return the first entry that begins with ``prefix``; concurrent calls are sent as one command."""
        (found,) = await self._finds.read([index + _SEPARATOR + prefix])
        return None if found is None else found.decode()

    async def _found(self, wanted: Sequence[str]) -> Values:
        indexes, _, prefixes = zip(*(one.partition(_SEPARATOR) for one in wanted), strict=True)
        return cast("Values", await self._connection.read(lambda: self._find(keys=indexes, args=prefixes)))
