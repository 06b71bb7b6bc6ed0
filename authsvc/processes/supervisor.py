"""Supervises several child processes: starts them in order, restarts them when they die, ends them in reverse."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from attrs import frozen

from authsvc.disk_room import exhausted
from authsvc.errors import SetupRefused
from authsvc.processes.process import ManagedProcess, Program, describe_exit, last_lines
from authsvc.processes.restarts import RestartPauses, keep_running
from authsvc.processes.waiting import first_of

_READY_WITHIN = 60.0
"""Seconds in which a part must be ready, not counting those in which it reports that it loads its data."""

_LOADED_WITHIN = 3600.0
"""Seconds in which a part must have loaded its data."""

_ASK_AGAIN = 0.05
"""Seconds between two probes."""

_LOOK_AGAIN = 0.5
"""Seconds between two looks at whether a child is still the chosen one."""

_FINISH_WITHIN = 3.0
"""Seconds that a child has to finish what others ask of it before another one takes its place."""

_PAUSES = RestartPauses()


class NotReady(Exception):
    """A child is not ready yet; the text says what is missing."""


class Loading(NotReady):
    """The child is well and busy with its data: a large installation needs longer than a stuck one may."""


class Choice(Protocol):
    """Which program a child is, where that changes while the others go on."""

    def is_current(self) -> bool:
        """Return whether the program that was started last is the one that should run now."""

    def chosen(self) -> AbstractContextManager[Program]:
        """Yield the program that is started within the block; no earlier one is running."""


@frozen
class Part:
    """A child and the probe that asks whether it does its work."""

    child: ManagedProcess
    probe: Callable[[], Awaitable[None]]
    """Raises ``NotReady`` while it does not."""
    data: Path | None = None
    """Folder of its data, whose disk may be why it ends."""
    before_stop: Callable[[], Awaitable[None]] | None = None
    """Returns, within seconds, when the child has nothing left to do for a part that is still there."""
    choice: Choice | None = None
    """None: always the same program."""


async def run(
    parts: Sequence[Part],
    *,
    stopping: asyncio.Event,
    hurry: asyncio.Event,
    on_ready: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    """Start ``parts`` in order, call ``on_ready``, keep them running until ``stopping``, end them in reverse.

    Args:
        parts: in the order in which they need each other.
        stopping: set to end; also obeyed while starting.
        hurry: shortens the end.
        on_ready: called once everything does its work.
        say: takes one line for a person.

    Raises:
        SetupRefused: a part ended or was not ready in time at the start. Nothing is left running.
    """
    ready = False
    try:
        _, started = await first_of(stopping.wait(), _start(parts, say))
        if started.cancelled():
            return
        ready = True
        on_ready()
        await first_of(stopping.wait(), *(_keep(part, stopping, hurry, say) for part in parts))
    finally:
        for part in reversed(parts):
            if ready and part.before_stop is not None:
                await first_of(part.before_stop(), hurry.wait())
            await part.child.stop(hurry)


async def _start(parts: Sequence[Part], say: Callable[[str], None]) -> None:
    for part in parts:
        await _begin(part)
        ended, ready = await first_of(part.child.ended(), _until_ready(part, say))
        if ready.cancelled():
            raise SetupRefused(_with_log(part.child, f"{describe_exit(ended.result())} while starting"))


async def _begin(part: Part) -> None:
    """Start the child, as the program that is chosen now."""
    if part.choice is None:
        await part.child.start()
        return
    with part.choice.chosen() as program:
        part.child.program = program
        await part.child.start()


async def _until_ready(part: Part, say: Callable[[str], None]) -> None:
    """Ask until the answer is right.

    Raises:
        SetupRefused: it was not, in time.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    deadline, reported = began + _READY_WITHIN, False
    while True:
        try:
            await part.probe()
        except NotReady as error:
            if isinstance(error, Loading):
                deadline = min(clock() + _READY_WITHIN, began + _LOADED_WITHIN)
                if not reported:
                    say(f"{part.child.program.name} is not ready: {error}")
                    reported = True
            if clock() >= deadline:
                what = f"is not ready after {clock() - began:.0f} s: {error}"
                raise SetupRefused(_with_log(part.child, what)) from error
            await asyncio.sleep(_ASK_AGAIN)
        else:
            return


async def _keep(part: Part, stopping: asyncio.Event, hurry: asyncio.Event, say: Callable[[str], None]) -> None:
    """Start the child again whenever it ends."""
    program, running = part.child.program, True

    async def run_once() -> int:
        nonlocal running
        if running:
            running = False
            return await _until_ended(part, hurry)
        await _begin(part)
        back = asyncio.create_task(_say_when_back(part, say))
        try:
            return await _until_ended(part, hurry)
        finally:
            back.cancel()
            await asyncio.gather(back, return_exceptions=True)

    def report(outcome: int | OSError, pause: float) -> None:
        if isinstance(outcome, OSError):
            say(f"{program.name} cannot be started: {outcome}; trying again in {pause:g} s")
            return
        words = (exhausted(part.data) if part.data else None) or part.child.last_words
        why = f": {words}" if words and outcome != -signal.SIGKILL else ""
        say(f"{program.name} {describe_exit(outcome)}{why}; starting it again in {pause:g} s (log: {program.log})")

    await keep_running(run_once, stopping, report, _PAUSES)


async def _until_ended(part: Part, hurry: asyncio.Event) -> int:
    """Return the exit code of a child that ended by itself; when another program is chosen, it takes its place."""
    if part.choice is None:
        return await part.child.ended()
    while True:
        ended, _ = await first_of(part.child.ended(), _until_outdated(part.choice))
        if not ended.cancelled():
            code: int = ended.result()
            return code
        if part.before_stop is not None:
            await first_of(part.before_stop(), hurry.wait(), seconds=_FINISH_WITHIN)
        await part.child.stop(hurry)
        await _begin(part)


async def _until_outdated(choice: Choice) -> None:
    while choice.is_current():  # noqa: ASYNC110  another process decides
        await asyncio.sleep(_LOOK_AGAIN)


async def _say_when_back(part: Part, say: Callable[[str], None]) -> None:
    """Say that a restarted child works again, or that it takes too long."""
    try:
        await _until_ready(part, say)
    except SetupRefused as error:
        say(str(error))
    else:
        say(f"{part.child.program.name} is running again")


def _with_log(child: ManagedProcess, what: str) -> str:
    lines = "".join(f"\n    {line}" for line in last_lines(child.program.log))
    return f"{child.program.name} {what}; the end of its log {child.program.log}:{lines or ' (empty)'}"
