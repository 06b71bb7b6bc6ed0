"""The size of the audit in Redis, in bytes: counted by each script that writes to it or trims it, in the same step.

``MEMORY USAGE`` of a stream is an estimate from a few of its entries, and may miss a large entry among small ones.
So a hash beside each stream keeps the bytes and the number of its entries. When the number is not the stream's own
length, the stream was changed otherwise (by an older version, a restored backup, a person), and the bytes are counted
again.
"""

from attrs import frozen

from authsvc.store.connection import Connection

ENTRY_OVERHEAD, OVERHEAD_SHARE = 64, 16
"""Bytes that Redis 7 needs for an entry besides its text: so many, and one in so many of the text. For entries of 300
to 8,000 bytes ``MEMORY USAGE`` was within a tenth of that, and a quarter more around 2,000, where Redis fills its
blocks worst."""

INDEX_BYTES = 32
"""Bytes that an entry of a team takes in the team's index."""

RECOUNT_BYTES, RECOUNT_ENTRIES = 1024 * 1024, 1_000
"""Most entries that one step of recounting reads."""

ENTRY_SIZE = f"""
local function entry_size(fields)
  local length, indexed = 0, 0
  for index = 1, #fields, 2 do
    length = length + #fields[index + 1]
    if fields[index] == 'team' then indexed = {INDEX_BYTES} end
  end
  return length + math.floor(length / {OVERHEAD_SHARE}) + {ENTRY_OVERHEAD} + indexed
end
"""

ADD_TO_STREAM = (
    ENTRY_SIZE
    + """
local function add_to_stream(stream, size, fields)
  local id = redis.call('XADD', stream, '*', unpack(fields))
  redis.call('HINCRBY', size, 'bytes', entry_size(fields))
  redis.call('HINCRBY', size, 'entries', 1)
  return id
end
"""
)

_USED = """#!lua flags=no-writes
local known = redis.call('HMGET', KEYS[2], 'bytes', 'entries')
return {tonumber(known[1] or 0), tonumber(known[2] or 0) == redis.call('XLEN', KEYS[1]) and 1 or 0}
"""

_RECOUNT = (
    "#!lua flags=allow-oom\n"
    + ENTRY_SIZE
    + """
local cursor, bytes, entries, read = ARGV[1], tonumber(ARGV[2]), 0, 0
while read < tonumber(ARGV[3]) and entries < tonumber(ARGV[4]) do
  local row = redis.call('XRANGE', KEYS[1], cursor, '+', 'COUNT', 1)[1]
  if not row then
    redis.call('HSET', KEYS[2], 'bytes', bytes, 'entries', redis.call('XLEN', KEYS[1]))
    return {'', bytes}
  end
  cursor, entries = '(' .. row[1], entries + 1
  local size = entry_size(row[2])
  bytes, read = bytes + size, read + size
end
return {cursor, bytes}
"""
)


@frozen
class Used:
    """The size of a stream.

    Attributes:
        bytes: as counted.
        trusted: whether the count is right: the stream was not changed otherwise.
    """

    bytes: int
    trusted: bool


@frozen(eq=False, repr=False)
class StreamSize:
    """The count of one stream.

    Attributes:
        connection: to Redis.
        stream: key of the stream.
        size: key of the hash that counts it.
    """

    connection: Connection
    stream: str
    size: str

    async def used(self) -> Used:
        """Return the size of the stream.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        script = self.connection.redis.register_script(_USED)
        count, same = await self.connection.read(lambda: script(keys=[self.stream, self.size]))
        return Used(max(0, count), bool(same))

    async def recount(self) -> None:
        """Count the whole stream again, in steps of about a millisecond; entries added meanwhile are counted, too.

        Raises:
            StoreUnavailable: Redis did not answer; the count is as it was.
        """
        script = self.connection.redis.register_script(_RECOUNT)
        cursor, count = "-", 0
        while cursor:
            arguments: list[str | int] = [cursor, count, RECOUNT_BYTES, RECOUNT_ENTRIES]
            found, count = await self.connection.run(script(keys=[self.stream, self.size], args=arguments))
            cursor = str(found, "ascii")
