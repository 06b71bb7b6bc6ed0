"""When a child that ended is started again."""

import asyncio
from collections.abc import Awaitable, Callable

from authsvc.processes.restarts import RestartPauses, keep_running
from tests.support.waiting import PATIENCE


async def pauses_of(run_once: Callable[[], Awaitable[int]], count: int, pauses: RestartPauses) -> list[float]:
    """Return the first ``count`` pauses of a child."""
    stopped, seen = asyncio.Event(), list[float]()

    def report(outcome: int | OSError, pause: float) -> None:
        assert isinstance(outcome, OSError) or outcome == 3
        seen.append(pause)
        if len(seen) == count:
            stopped.set()

    async with asyncio.timeout(PATIENCE):
        await keep_running(run_once, stopped, report, pauses)
    return seen


async def test_pauses_grow_up_to_a_limit() -> None:
    """A child that ends at once is started ever more slowly, also when it cannot be started at all."""

    async def ends() -> int:
        return 3

    async def is_not_started() -> int:
        raise OSError("no memory")

    for run_once in (ends, is_not_started):
        assert await pauses_of(run_once, 4, RestartPauses(0.01, 0.03, 60.0)) == [0.01, 0.02, 0.03, 0.03]


async def test_a_healthy_while_makes_the_pause_short_again() -> None:
    """After a life that was long enough the pauses start over."""
    lives = iter((0.0, 0.0, 0.2, 0.0))

    async def lives_for_a_while() -> int:
        await asyncio.sleep(next(lives))
        return 3

    assert await pauses_of(lives_for_a_while, 4, RestartPauses(0.01, 1.0, 0.1)) == [0.01, 0.02, 0.01, 0.02]


async def test_a_stop_ends_a_pause() -> None:
    """Nobody waits for the rest of it, and no child is started."""
    stopped, runs = asyncio.Event(), 0

    async def ends() -> int:
        nonlocal runs
        runs += 1
        return 3

    def report(_outcome: int | OSError, _pause: float) -> None:
        asyncio.get_running_loop().call_later(0.05, stopped.set)

    async with asyncio.timeout(PATIENCE):
        await keep_running(ends, stopped, report, RestartPauses(3600.0, 3600.0, 60.0))
    assert runs == 1
