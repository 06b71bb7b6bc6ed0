"""Waiting for something to become true, with a deadline that only a failure reaches."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.05
"""Seconds between two looks."""

PATIENCE = 90.0
"""Seconds after which something that a test waits for will not happen any more.

Hundreds of times longer than it takes on an idle machine: a test that passes never waits for so long, and one on a
machine that does ten other things at once must not fail for it.
"""


def until(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """Return the first thing that ``look`` returns and that is not falsy.

    Raises:
        AssertionError: ``what`` did not happen in time.
    """
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: did not happen within {patience:g} s"
        time.sleep(PAUSE)


async def becomes(look: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """Do the same as :func:`until` while the event loop goes on."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        found = look()
        if found:
            return found
        assert loop.time() < deadline, f"{what}: did not happen within {patience:g} s"
        await asyncio.sleep(PAUSE / 5)


def already() -> asyncio.Event:
    """Return an event that has happened, and that a test can take back."""
    event = asyncio.Event()
    event.set()
    return event
