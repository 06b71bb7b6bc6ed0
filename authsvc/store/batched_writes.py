"""Batches scripts that are requested at the same moment: they are sent together, over one connection.

redis-py spends more time on a command of its own (a connection from the pool, deadlines, a write, a wait for the reply)
than an import spends on the rest of a license. Each script is carried out, refused or answered on its own, as if it had
been sent alone; only when the connection fails, all of them fail.

Rule: cancelling a caller does not affect the others: its script is carried out nevertheless.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

from attrs import frozen

from authsvc.store.batched_reads import copy_of

MAX_SCRIPTS = 16
"""Most scripts that are sent together: Redis carries them out without a pause."""

Argument = str | bytes | int


@frozen
class ScriptCall:
    """One call of a script that writes.

    Attributes:
        text: Lua.
        keys: that it is given.
        arguments: that it is given.
    """

    text: str
    keys: Sequence[str]
    arguments: Sequence[Argument]

    @property
    def digest(self) -> str:
        """The name of the script in Redis."""
        return _digest(self.text)


class BatchedWrites:
    """Batches calls of scripts."""

    def __init__(self, send: Callable[[Sequence[ScriptCall]], Awaitable[Sequence[Any]]]) -> None:
        """Use ``send``, which returns for each call the reply or an error."""
        self._send = send
        self._open: list[tuple[ScriptCall, asyncio.Future[Any]]] = []
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self, call: ScriptCall) -> Any:
        """Return the reply to a call; raises its error, or those of ``send``."""
        loop = asyncio.get_running_loop()
        if not self._open:
            loop.call_soon(self._send_open)
        answer: asyncio.Future[Any] = loop.create_future()
        self._open.append((call, answer))
        return await answer

    def _send_open(self) -> None:
        waiting, self._open = self._open, []
        for start in range(0, len(waiting), MAX_SCRIPTS):
            task = asyncio.get_running_loop().create_task(self._answer(waiting[start : start + MAX_SCRIPTS]))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _answer(self, batch: Sequence[tuple[ScriptCall, asyncio.Future[Any]]]) -> None:
        try:
            replies = await self._send([call for call, _ in batch])
        except Exception as error:  # noqa: BLE001  whatever it is, it is for those who asked
            replies = [copy_of(error) for _ in batch]
        for (_, answer), reply in zip(batch, replies, strict=True):
            if answer.done():
                continue
            if isinstance(reply, Exception):
                answer.set_exception(reply)
            else:
                answer.set_result(reply)


@lru_cache(maxsize=16)
def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
