"""Running several children as one: started in order, restarted when they die, ended in reverse."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from attrs import frozen

from authsvc.disk_room import exhausted
from authsvc.errors import SetupRefused
from authsvc.processes.process import ManagedProcess, describe_exit, last_lines

_READY_WITHIN = 60.0
"""Seconds in which a part must be ready, not counting those in which it says that it loads its data."""

_LOADED_WITHIN = 3600.0
"""Seconds in which it must have loaded its data."""

_ASK_AGAIN = 0.05
"""Seconds between two probes."""

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_HEALTHY_AFTER = 60.0
"""Seconds: the restart delay doubles from the first to the longest, and begins anew after a healthy while."""


class NotReady(Exception):
    """A child does not do its work yet; the text says what is missing."""


class Loading(NotReady):
    """The child is well and busy with its data: a large installation needs longer than a stuck one may."""


@frozen
class Part:
    """A child and the question whether it does its work."""

    child: ManagedProcess
    probe: Callable[[], Awaitable[None]]
    """Raises ``NotReady`` while it does not."""
    data: Path | None = None
    """Folder of its data, whose disk may be why it ends."""


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
        stopping: set by whoever wants the end; also obeyed while starting.
        hurry: shortens the end.
        on_ready: called once everything does its work.
        say: takes one line for a person.

    Raises:
        SetupRefused: a part ended or was not ready in time at the start. Nothing is left running.
    """
    stop = asyncio.create_task(stopping.wait())
    try:
        starting = asyncio.create_task(_start(parts, say))
        if not await _before(stop, starting):
            return
        on_ready()
        keepers = [asyncio.create_task(_keep(part, say)) for part in parts]
        await _before(stop, *keepers)
    finally:
        stop.cancel()
        for part in reversed(parts):
            await part.child.stop(hurry)


async def _before(stop: asyncio.Task[bool], *tasks: asyncio.Task[None]) -> bool:
    """Wait until a task or ``stop`` ends; return whether it was a task. The other tasks are cancelled."""
    try:
        await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        done = [task for task in tasks if task.done()]
        for task in done:
            task.result()
        return bool(done)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _start(parts: Sequence[Part], say: Callable[[str], None]) -> None:
    for part in parts:
        await part.child.start()
        end = asyncio.create_task(part.child.ended())
        ready = asyncio.create_task(_until_ready(part, say))
        try:
            await asyncio.wait({end, ready}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
            else:
                raise SetupRefused(_with_log(part.child, f"{describe_exit(end.result())} while starting"))
        finally:
            end.cancel()
            ready.cancel()
            await asyncio.gather(end, ready, return_exceptions=True)


async def _until_ready(part: Part, say: Callable[[str], None]) -> None:
    """Ask until the answer is right.

    Raises:
        SetupRefused: it was not, in time.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    deadline, told = began + _READY_WITHIN, False
    while True:
        try:
            await part.probe()
        except NotReady as error:
            if isinstance(error, Loading):
                deadline = min(clock() + _READY_WITHIN, began + _LOADED_WITHIN)
                if not told:
                    say(f"{part.child.program.name} is not ready: {error}")
                    told = True
            if clock() >= deadline:
                what = f"is not ready after {clock() - began:.0f} s: {error}"
                raise SetupRefused(_with_log(part.child, what)) from error
            await asyncio.sleep(_ASK_AGAIN)
        else:
            return


async def _keep(part: Part, say: Callable[[str], None]) -> None:
    """Start the child again whenever it ends."""
    clock = asyncio.get_running_loop().time
    program = part.child.program
    delay = _FIRST_DELAY
    began = clock()
    while True:
        code = await part.child.ended()
        if clock() - began >= _HEALTHY_AFTER:
            delay = _FIRST_DELAY
        word = (exhausted(part.data) if part.data else None) or part.child.last_word
        why = f": {word}" if word and code != -signal.SIGKILL else ""
        say(f"{program.name} {describe_exit(code)}{why}; starting it again in {delay:g} s (log: {program.log})")
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY)
        while not await _started(part, delay, say):
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)
        began = clock()
        await _say_when_back(part, say)


async def _started(part: Part, delay: float, say: Callable[[str], None]) -> bool:
    """Try to start a child; a full disk or a removed binary is said, and passes."""
    try:
        await part.child.start()
    except OSError as error:
        say(f"{part.child.program.name} cannot be started: {error}; trying again in {delay:g} s")
        return False
    return True


async def _say_when_back(part: Part, say: Callable[[str], None]) -> None:
    """Say that a restarted child works again, unless it ends first or takes too long."""
    end = asyncio.create_task(part.child.ended())
    ready = asyncio.create_task(_until_ready(part, say))
    try:
        await asyncio.wait({end, ready}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done() and not end.done():
            error = ready.exception()
            say(f"{part.child.program.name} is running again" if error is None else str(error))
    finally:
        end.cancel()
        ready.cancel()
        await asyncio.gather(end, ready, return_exceptions=True)


def _with_log(child: ManagedProcess, what: str) -> str:
    lines = "".join(f"\n    {line}" for line in last_lines(child.program.log))
    return f"{child.program.name} {what}; the end of its log {child.program.log}:{lines or ' (empty)'}"
