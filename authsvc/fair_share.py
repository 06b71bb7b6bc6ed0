"""Fair scheduling: shares a bounded number of slots among tenants, who take turns.

A single queue could be filled by one tenant. Here each tenant has its own queue, the tenants take turns, and none may
hold all slots at once.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from authsvc.errors import Overloaded

PATIENCE = 10.0
"""Seconds that a job waits for its turn, unless the caller sets another limit."""


class FairShare:
    """Lets a bounded number of jobs run at once; tenants with waiting jobs take turns."""

    def __init__(
        self, slots: int, per_tenant: int, max_waiting: int, refusal: str, *, patience: float = PATIENCE
    ) -> None:
        """Run ``slots`` jobs at once, ``per_tenant`` of one tenant, and let up to ``max_waiting`` of each tenant wait.

        ``refusal`` is the sentence for a tenant with too many, and for a job whose turn does not come within
        ``patience`` seconds.
        """
        self._free = slots
        self._per_tenant = per_tenant
        self._max_waiting = max_waiting
        self._refusal = refusal
        self._patience = patience
        self._running: Counter[str] = Counter()
        # In the order of their next turn.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def slot(self, tenant: str) -> AsyncIterator[None]:
        """Hold a slot for as long as the context lasts.

        Raises:
            Overloaded: too many jobs of this tenant wait already, or its turn does not come soon enough.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._take_turn(tenant)
        except TimeoutError as late:
            raise Overloaded(self._refusal) from late
        try:
            yield
        finally:
            self._release(tenant)

    async def _take_turn(self, tenant: str) -> None:
        """Wait for a slot and hold it.

        Raises:
            Overloaded: too many jobs of this tenant wait already.
        """
        queue = self._waiting.setdefault(tenant, deque())
        if len(queue) >= self._max_waiting:
            raise Overloaded(self._refusal)
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():  # it was still waiting
                self._forget(tenant, turn)
            else:
                self._release(tenant)
            raise

    def _release(self, tenant: str) -> None:
        self._free += 1
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        self._admit()

    def _forget(self, tenant: str, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(tenant, deque())
        if turn in queue:
            queue.remove(turn)
        if not queue:
            self._waiting.pop(tenant, None)

    def _admit(self) -> None:
        """Give free slots to the tenants whose turn it is."""
        while self._free:
            tenant = next((one for one in self._waiting if self._running[one] < self._per_tenant), None)
            if tenant is None:
                return
            queue = self._waiting.pop(tenant)
            turn = queue.popleft()
            if queue:
                self._waiting[tenant] = queue  # after all others
            if not turn.done():
                self._free -= 1
                self._running[tenant] += 1
                turn.set_result(None)
