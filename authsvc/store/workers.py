"""The registry of workers, on all hosts, and requests that they renew their certificates.

Every worker of an installation writes its status every few seconds (its heartbeat) and reads one counter every second.
Incrementing the counter requests a renewal; a worker has followed the request when its status has that number.
"""

from collections.abc import Sequence
from contextlib import suppress

from authsvc.audit.entry import ChangeLog, Entry
from authsvc.errors import Conflict, OperationRepeated
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.transaction import Transaction, unlogged
from authsvc.worker_status import SEEN_WITHIN, WorkerStatus

REQUEST_ATTEMPTS = 20
REQUESTED_MEANWHILE = "another process is rotating keys at the same moment; try again when that is done"

# A worker is registered until its status expires in Redis: the clocks of workers and of the caller need not agree.
_LIST = """
local found = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local status = redis.call('GET', ARGV[1] .. id)
  if status then found[#found + 1] = status else redis.call('ZREM', KEYS[1], id) end
end
return found
"""


class RedisWorkerRegistry:
    """The registry of workers. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, connection: Connection, codec: Codec, log: ChangeLog = unlogged) -> None:
        """Read and write through ``connection``; ``log`` gets the entry of each request."""
        self._connection = connection
        self._log = log
        self._codec = codec
        self._list = connection.redis.register_script(_LIST)

    async def heartbeat(self, status: WorkerStatus) -> None:
        """Replace a worker's status, and keep it registered for :data:`SEEN_WITHIN`."""
        async with self._connection.redis.pipeline(transaction=True) as change:
            _ = change.set(keys.worker(status.id), self._codec.encode(status), ex=SEEN_WITHIN)
            _ = change.zadd(keys.WORKERS, {status.id: status.seen_at.timestamp()})
            await self._connection.run(change.execute())

    async def deregister(self, worker_id: str) -> None:
        """Remove a worker."""
        async with self._connection.redis.pipeline(transaction=True) as change:
            _ = change.delete(keys.worker(worker_id))
            _ = change.zrem(keys.WORKERS, worker_id)
            await self._connection.run(change.execute())

    async def list(self) -> Sequence[WorkerStatus]:
        """Return the status of every worker with a recent heartbeat, by id; others are removed."""
        raws = await self._connection.run(self._list(keys=[keys.WORKERS], args=[keys.worker("")]))
        found = (self._codec.decode(raw, WorkerStatus) for raw in raws)
        return sorted(found, key=lambda status: status.id)

    async def generation(self) -> int:
        """Return the number of the last renewal that was requested, 0 for none."""
        return int(await self._connection.get(keys.KEY_GENERATION) or 0)

    async def request_renewal(self, entry: Entry, above: int) -> int:
        """Request that every worker renews its certificate now; return the number of the request, above ``above``.

        Raises:
            Conflict: others made requests at the same moment, every time.
        """
        for _ in range(REQUEST_ATTEMPTS - 1):
            # The change that the request results from is done already, so a concurrent request is no reason to give up.
            with suppress(Conflict):
                return await self._request_once(entry, above)
        return await self._request_once(entry, above)

    async def _request_once(self, entry: Entry, above: int) -> int:
        before = await self._connection.get(keys.KEY_GENERATION)
        number = max(int(before or 0), above) + 1
        change = Transaction(entry, self._log, str(number))
        if before is None:
            change.expect_absent(keys.KEY_GENERATION, REQUESTED_MEANWHILE, code="keys_locked")
        else:
            change.expect(keys.KEY_GENERATION, before, REQUESTED_MEANWHILE, code="keys_locked")
        change.put(keys.KEY_GENERATION, str(number).encode())
        try:
            await change.apply(self._connection)
        except OperationRepeated as repeated:
            return int(repeated.result or number)
        return number
