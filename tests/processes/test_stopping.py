"""Signals in order, each with its time."""

import asyncio
import signal
import sys
import time

import pytest

from authsvc.processes.stopping import Step, stop_process
from tests.support.waiting import PATIENCE

IGNORES = """
import signal, sys, time
for name in sys.argv[1:]: signal.signal(getattr(signal, name), signal.SIG_IGN)
print(flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(
    ("ignored", "last"),
    [
        ([], signal.SIGQUIT),
        (["SIGQUIT"], signal.SIGTERM),
        (["SIGQUIT", "SIGTERM"], signal.SIGKILL),
    ],
)
async def test_each_signal_follows_the_one_that_is_ignored(ignored: list[str], last: signal.Signals) -> None:
    """The first one that is obeyed ends it, and SIGKILL always does."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IGNORES, *ignored), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    ended = asyncio.create_task(process.wait())
    steps = (Step(signal.SIGQUIT, 0.3, hurried=0.3), Step(signal.SIGTERM, 0.3, hurried=0.3))

    async with asyncio.timeout(PATIENCE):
        await stop_process(process, ended, steps, asyncio.Event())

    assert await ended == -last


async def test_a_hurry_shortens_only_what_may_be_shortened() -> None:
    """A drain of an hour ends at once, and the step after it has its time."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", IGNORES, "SIGQUIT", "SIGTERM"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    ended, hurry = asyncio.create_task(process.wait()), asyncio.Event()
    steps = (Step(signal.SIGQUIT, 3600.0, hurried=0.0), Step(signal.SIGTERM, 0.5, hurried=0.5))
    asyncio.get_running_loop().call_later(0.1, hurry.set)
    began = time.monotonic()

    async with asyncio.timeout(PATIENCE):
        await stop_process(process, ended, steps, hurry)

    assert await ended == -signal.SIGKILL
    assert time.monotonic() - began >= 0.6
