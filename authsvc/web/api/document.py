"""The OpenAPI document of a running worker."""

import asyncio
from collections.abc import Callable

from attrs import define, field


@define(eq=False, repr=False)
class ApiDocument:
    """The document, made when it is requested for the first time: to make it takes a tenth of a worker's start.

    Attributes:
        make: returns the document as JSON.
    """

    make: Callable[[], bytes]
    _making: asyncio.Task[bytes] | None = field(default=None, init=False)

    async def read(self) -> bytes:
        """Return the document; a failure is not remembered."""
        if self._making is None or (self._making.done() and self._making.exception() is not None):
            # In a thread, because it takes longer than other requests may be delayed.
            self._making = asyncio.create_task(asyncio.to_thread(self.make))
        # Other requests wait for the same task: it goes on when the client of the first one hangs up.
        return await asyncio.shield(self._making)
