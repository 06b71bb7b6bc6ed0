"""A lock on one repository of the registry, for all replicas and the command line: a lease in Redis.

Only its holder extends or releases it, which Redis checks in the same step. It expires soon after its holder ends, and
is extended in the background during a long request to the registry. A holder that was suspended for longer than a lease
finds out at its next :meth:`RedisRepositoryLock.extend`; one that was suspended between that and its request to the
registry does not, because the registry does not know the lock.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from attrs import define, field, frozen

from authsvc.errors import Conflict, StoreUnavailable
from authsvc.store import keys
from authsvc.store.connection import Connection

LEASE = 15.0
"""Seconds after which a lock expires if its holder does not extend it."""

PATIENCE = 20.0
"""Seconds to wait for a lock: longer than a lease, so that the lock of a holder that died expires in that time."""

PAUSE = 0.2
"""Seconds between two attempts to get a lock."""

CANCEL_AGAIN = 0.2
"""Seconds after which the background task is cancelled again."""

BUSY = "another deletion in this repository is running; try again when it has ended"

LOST = "another deletion in this repository may have begun, because this one took too long; look and try again"

_EXTEND = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@define(eq=False, repr=False)
class RedisRepositoryLock:
    """A lock that is held.

    Attributes:
        connection: to Redis.
        key: of the lock.
        holder: a random name.
        lease: seconds.
    """

    connection: Connection = field(repr=False)
    key: str
    holder: str
    lease: float

    async def extend(self) -> None:
        """Extend the lock by another lease.

        Raises:
            Conflict: it has ended, and another holder may have it.
            StoreUnavailable: Redis does not answer.
        """
        if not await self._run(_EXTEND, round(self.lease * 1000)):
            raise Conflict(LOST, code="image_deletion_running")

    async def release(self) -> None:
        """Release the lock, if it is still held.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        await self._run(_RELEASE)

    async def keep(self) -> None:
        """Extend the lock until it is lost; try again when Redis does not answer."""
        while True:
            await asyncio.sleep(self.lease / 4)
            with suppress(StoreUnavailable):
                await self.extend()

    async def _run(self, script: str, *arguments: int) -> Any:
        run = self.connection.redis.register_script(script)
        return await self.connection.run(run(keys=[self.key], args=[self.holder, *arguments]))


@frozen(eq=False, repr=False)
class RepositoryLocks:
    """The locks of one installation.

    Attributes:
        connection: to Redis.
        lease: seconds.
        patience: seconds to wait for a lock.
    """

    connection: Connection
    lease: float = LEASE
    patience: float = PATIENCE

    @asynccontextmanager
    async def locked(self, repository: str, holder: str) -> AsyncIterator[RedisRepositoryLock]:
        """Hold the lock of a repository until the context ends.

        Args:
            repository: name.
            holder: a random name.

        Raises:
            Conflict: another deletion takes too long.
            StoreUnavailable: Redis does not answer.
        """
        lock = RedisRepositoryLock(self.connection, keys.repository_lock(repository), holder, self.lease)
        await self._acquire(lock)
        keeping = asyncio.create_task(_kept(lock))
        try:
            yield lock
        finally:
            while not keeping.done():  # redis-py loses a cancellation that arrives with a reply
                keeping.cancel()
                await asyncio.wait({keeping}, timeout=CANCEL_AGAIN)
            with suppress(StoreUnavailable):  # it expires
                await lock.release()

    async def _acquire(self, lock: RedisRepositoryLock) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience
        redis, life = self.connection.redis, round(self.lease * 1000)
        while not await self.connection.run(redis.set(lock.key, lock.holder, nx=True, px=life)):
            if await self.connection.get(lock.key) == lock.holder.encode():
                return  # the answer to an earlier attempt was lost
            if loop.time() > deadline:
                raise Conflict(BUSY, code="image_deletion_running")
            await asyncio.sleep(PAUSE)


async def _kept(lock: RedisRepositoryLock) -> None:
    """Extend a lock; if it is lost, the next call of extend() finds out."""
    with suppress(Conflict):
        await lock.keep()
