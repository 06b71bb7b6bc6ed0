"""Waits for the first of several events, for all of them, and for the end of cancelled tasks."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_AGAIN = 0.2
"""Seconds after which a task that still runs is cancelled again."""


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


async def all_of(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Return the results of several pieces of work in order; when one fails, or the caller is cancelled, all end."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await ended(*tasks)


async def ended(*tasks: asyncio.Task[Any]) -> None:
    """Cancel background tasks and wait for their end.

    They are asked again: redis-py loses a cancellation that arrives just when a pipeline's reply does.
    """
    while going_on := [task for task in tasks if not task.done()]:
        for task in going_on:
            task.cancel()
        await asyncio.wait(going_on, timeout=CANCEL_AGAIN)
