"""Keeps a child process running: starts it again when it ends, after pauses that grow."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from attrs import frozen


@frozen
class RestartPauses:
    """How long to wait before a child that ended is started again.

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
    report: Callable[[int | None, str | None, float], None],
    pauses: RestartPauses,
) -> None:
    """Run a child, and another one whenever it ends, until ``stopped``.

    Args:
        run_once: runs one until its end and returns its exit code; raises OSError when it cannot be started.
        stopped: ends this when the child has ended.
        report: called after each end with the exit code, or None and why it was not started, and the pause.
        pauses: between two.
    """
    clock, pause = asyncio.get_running_loop().time, pauses.first
    while not stopped.is_set():
        began, code, why = clock(), None, None
        try:
            code = await run_once()
        except OSError as error:  # no process, memory or open files left on this machine, for now
            why = repr(error)
        if stopped.is_set():
            return
        healthy = clock() - began > pauses.healthy_after
        pause = pauses.first if healthy else min(pause * 2, pauses.longest)
        report(code, why, pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stopped.wait()
