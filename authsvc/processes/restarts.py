"""Keeps a child process running: starts it again when it ends, after increasing pauses."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from attrs import frozen


@frozen
class RestartPauses:
    """The pauses before a child that ended is started again.

    Attributes:
        first: seconds at first; twice as long each time.
        longest: seconds at most.
        healthy_after: seconds of life after which the pause starts over.
    """

    first: float = 0.5
    longest: float = 30.0
    healthy_after: float = 60.0


async def keep_running(
    run_once: Callable[[], Awaitable[int]],
    stopped: asyncio.Event,
    report: Callable[[int | OSError, float], None],
    pauses: RestartPauses,
) -> None:
    """Run a child, and another one whenever it ends, until ``stopped``.

    Args:
        run_once: runs one until its end and returns its exit code; raises OSError when it cannot be started.
        stopped: ends this when the child has ended, or at once in a pause.
        report: called after each end with the exit code, or with why it was not started, and the pause in seconds.
        pauses: between two.
    """
    clock = asyncio.get_running_loop().time
    pause: float | None = None
    while not stopped.is_set():
        began, outcome = clock(), await _outcome(run_once)
        if stopped.is_set():
            return
        over = pause is None or clock() - began >= pauses.healthy_after
        pause = pauses.first if over or pause is None else min(2 * pause, pauses.longest)
        report(outcome, pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stopped.wait()


async def _outcome(run_once: Callable[[], Awaitable[int]]) -> int | OSError:
    try:
        return await run_once()
    except OSError as error:  # no process, memory, disk or open files left on this machine, for now
        return error
