"""Pacing: work that can wait rests as long as it works, so that pulls and pushes do not wait for it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from attrs import frozen

T = TypeVar("T")

LONGEST_REST = 5.0
"""Seconds of one rest, at most."""


@frozen
class Pace:
    """How much work rests.

    Attributes:
        share: seconds of rest for each second of work; a registry that is busy, and so slow, is asked less often.
    """

    share: float = 0.0

    async def of(self, work: Awaitable[T]) -> T:
        """Return the result of ``work``, and rest."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            return await work
        finally:
            if self.share:
                await asyncio.sleep(min(LONGEST_REST, self.share * (loop.time() - began)))
