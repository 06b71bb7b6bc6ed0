"""Batches reads that are requested at the same moment into one command.

redis-py spends far more time on a command than on one more key in it: a connection from the pool, a deadline, a
write, a reply to parse. A worker that answers sixteen requests at once needs the same few kinds of facts for each. So
reads that are requested while another read is in flight wait for its reply, and are then sent as one ``MGET``; they
wait at most two milliseconds, so that a slow reply does not delay others. A single read does not wait; the number of
round trips of a request stays the same.

Rule 1: one ``read`` is answered by one ``MGET``, so its result is as of one instant.
Rule 2: cancelling a read does not affect others: the command belongs to no request, and is never cancelled.
"""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Sequence

from attrs import define, field

from authsvc.errors import StoreUnavailable

MAX_KEYS = 256
"""Most keys of one command, during which Redis is blocked."""

MAX_WAIT = 0.002
"""Most seconds that a read waits for the reply to an earlier one."""

Values = list[bytes | None]


@define
class _Batch:
    indexes: dict[str, int] = field(factory=dict)
    waiting: list[tuple[Sequence[str], asyncio.Future[Values]]] = field(factory=list)
    sending: asyncio.Handle | None = None


class BatchedReads:
    """Batches reads."""

    def __init__(self, fetch: Callable[[Sequence[str]], Awaitable[Values]]) -> None:
        """Use ``fetch``, which returns the values of many keys at once."""
        self._fetch = fetch
        self._open: _Batch | None = None
        self._in_flight: set[asyncio.Task[None]] = set()

    async def read(self, keys: Sequence[str]) -> Values:
        """Return the values of ``keys``, as of one instant; raises the errors of ``fetch``."""
        if len(keys) > MAX_KEYS:
            return await self._fetch(keys)
        loop = asyncio.get_running_loop()
        batch = self._open
        if batch is None or len(batch.indexes) + len(keys) > MAX_KEYS:
            batch = self._open = _Batch()
            busy = bool(self._in_flight)
            batch.sending = loop.call_later(MAX_WAIT, self._send, batch) if busy else loop.call_soon(self._send, batch)
        for key in keys:
            batch.indexes.setdefault(key, len(batch.indexes))
        answer: asyncio.Future[Values] = loop.create_future()
        batch.waiting.append((keys, answer))
        return await answer

    def _send(self, batch: _Batch) -> None:
        if self._open is batch:
            self._open = None
        task = asyncio.get_running_loop().create_task(self._answer(batch))
        self._in_flight.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        waiting = self._open
        if waiting is not None and not self._in_flight and waiting.sending is not None:
            waiting.sending.cancel()
            self._send(waiting)

    async def _answer(self, batch: _Batch) -> None:
        try:
            values = await self._fetch(list(batch.indexes))
        except Exception as error:  # noqa: BLE001  whatever it is, it is for those who asked
            for _, answer in batch.waiting:
                if not answer.done():
                    answer.set_exception(copy_of(error))
            return
        for keys, answer in batch.waiting:
            if not answer.done():
                answer.set_result([values[batch.indexes[key]] for key in keys])


def copy_of(error: Exception) -> Exception:
    """Return a copy of the error for another caller: a traceback belongs to one task."""
    if not isinstance(error, StoreUnavailable):
        return error
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied
