"""Waiting for something to become true, never for longer than a test may take."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.05
"""Seconds between two looks."""


def until(look: Callable[[], T | None], what: str, seconds: float = 20.0) -> T:
    """Return the first thing that ``look`` returns and that is not falsy.

    Raises:
        AssertionError: ``what`` did not happen within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(PAUSE)
