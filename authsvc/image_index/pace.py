"""Pacing: background work pauses for as long as it works, so that it does not delay pulls and pushes."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from attrs import frozen

T = TypeVar("T")

LONGEST_REST = 5.0
"""Most seconds of one pause."""


@frozen(eq=False, repr=False)
class Pace:
    """How long work pauses.

    Attributes:
        share: seconds of pause for each second of work, so that a busy, slow registry gets fewer requests.
    """

    share: float = 0.0

    async def of(self, work: Awaitable[T]) -> T:
        """Return the result of ``work`` after a pause."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await work
        finally:
            if self.share:
                await asyncio.sleep(min(LONGEST_REST, self.share * (loop.time() - began)))
