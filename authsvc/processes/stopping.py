"""Stops a process: with one signal after the other, each with a time limit, and finally SIGKILL."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress

from attrs import frozen

from authsvc.processes.waiting import first_of


@frozen
class Step:
    """One signal.

    Attributes:
        number: of the signal.
        seconds: that the process gets before the next signal.
        hurried: most seconds that it still gets in a hurried stop.
    """

    number: signal.Signals
    seconds: float
    hurried: float


KILL = Step(signal.SIGKILL, seconds=5.0, hurried=1.0)
"""The last step; the kernel may take a moment."""


async def stop_process(
    process: asyncio.subprocess.Process, ended: asyncio.Future[int], steps: Sequence[Step], hurry: asyncio.Event
) -> None:
    """Send the signals of ``steps`` and then SIGKILL until the process has ended.

    Args:
        process: to be stopped.
        ended: done when it has ended.
        steps: in order.
        hurry: set, also meanwhile, to shorten every step.
    """
    clock = asyncio.get_running_loop().time
    for step in (*steps, KILL):
        with suppress(ProcessLookupError):
            process.send_signal(step.number)
        deadline = clock() + step.seconds
        await first_of(asyncio.shield(ended), hurry.wait(), seconds=step.seconds)
        if not ended.done() and hurry.is_set():
            await asyncio.wait({ended}, timeout=max(0.0, min(step.hurried, deadline - clock())))
        if ended.done():
            return
