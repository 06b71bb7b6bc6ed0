"""Waits for whichever of several things happens first."""

import asyncio
from collections.abc import Awaitable
from typing import Any


async def first_of(*work: Awaitable[Any], seconds: float | None = None) -> list[asyncio.Future[Any]]:
    """Wait until one piece of work ends or the time is over, and cancel the rest. What a piece raises is raised.

    Args:
        work: coroutines, or futures (in :func:`asyncio.shield` if they must go on).
        seconds: the time; None for no limit.

    Returns:
        One future for each piece of work, in order. Each is done: what did not end by itself is cancelled.
    """
    futures: list[asyncio.Future[Any]] = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
    for future in futures:
        if not future.cancelled():
            future.result()
    return futures
