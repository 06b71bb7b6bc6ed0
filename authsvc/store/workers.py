"""Which workers there are, on whatever hosts, and the call to renew their certificates.

Every worker of an installation writes its presence every few seconds and looks at one counter every second. Raising
the counter is the call; a worker has followed it when its presence says so.
"""

from contextlib import suppress

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.transaction import Transaction
from authsvc.worker_status import SEEN_WITHIN, WorkerStatus

CALL_ATTEMPTS = 20
CALLED_MEANWHILE = "somebody else is rotating keys at the same moment; try again when that is done"

# Who is there is what Redis has not forgotten yet: the clocks of workers and of who asks need not agree.
_PRESENT = """
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local word = redis.call('GET', ARGV[1] .. id)
  if word then found[#found + 1] = word else redis.call('ZREM', KEYS[1], id) end
end
return found
"""


class RedisWorkerRegistry:
    """The list of workers. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, connection: Connection, codec: Codec) -> None:
        """Read and write through ``connection``."""
        self._connection = connection
        self._codec = codec
        self._present = connection.redis.register_script(_PRESENT)

    async def say(self, presence: WorkerStatus) -> None:
        """Put a worker's last word in place of the one before."""
        async with self._connection.redis.pipeline(transaction=True) as change:
            _ = change.set(keys.worker(presence.id), self._codec.encode(presence), ex=SEEN_WITHIN)
            _ = change.zadd(keys.WORKERS, {presence.id: presence.seen_at.timestamp()})
            await self._connection.run(change.execute())

    async def leave(self, worker_id: str) -> None:
        """Take a worker off the list."""
        async with self._connection.redis.pipeline(transaction=True) as change:
            _ = change.delete(keys.worker(worker_id))
            _ = change.zrem(keys.WORKERS, worker_id)
            await self._connection.run(change.execute())

    async def present(self) -> list[WorkerStatus]:
        """Return the workers that were heard of lately, by id; others are taken off the list."""
        raws = await self._connection.run(self._present(keys=[keys.WORKERS], args=[keys.worker("")]))
        found = (self._codec.decode(raw, WorkerStatus) for raw in raws)
        return sorted(found, key=lambda presence: presence.id)

    async def generation(self) -> int:
        """Return the number of the last call to renew."""
        return int(await self._connection.get(keys.KEY_GENERATION) or 0)

    async def call(self, entry: Entry, above: int) -> int:
        """Call every worker to renew its certificate now; return the number of the call, higher than ``above``.

        Raises:
            Conflict: others called at the same moment, time and again.
        """
        for _ in range(CALL_ATTEMPTS - 1):
            # What the call is about is done already, so others who call meanwhile are no reason to give up.
            with suppress(Conflict):
                return await self._call_once(entry, above)
        return await self._call_once(entry, above)

    async def _call_once(self, entry: Entry, above: int) -> int:
        before = await self._connection.get(keys.KEY_GENERATION)
        number = max(int(before or 0), above) + 1
        change = Transaction(entry)
        if before is None:
            change.expect_absent(keys.KEY_GENERATION, CALLED_MEANWHILE)
        else:
            change.expect(keys.KEY_GENERATION, before, CALLED_MEANWHILE)
        change.put(keys.KEY_GENERATION, str(number).encode())
        await change.apply(self._connection)
        return number
