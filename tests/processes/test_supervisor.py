"""Several children as one: order, restarts, the end."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define, evolve, field

from authsvc.errors import SetupRefused
from authsvc.processes import supervisor
from authsvc.processes.process import ManagedProcess, Program
from authsvc.processes.restarts import RestartPauses
from authsvc.processes.supervisor import Loading, NotReady, Part
from authsvc.setup.layout import Layout
from tests.support.waiting import PATIENCE, becomes

SLEEPER = "import time; print('up', flush=True); time.sleep(60)"


@define
class Stack:
    """Some children, what was said about them, and the switches."""

    layout: Layout
    said: list[str] = field(factory=list)
    ready: asyncio.Event = field(factory=asyncio.Event)
    stopping: asyncio.Event = field(factory=asyncio.Event)
    hurry: asyncio.Event = field(factory=asyncio.Event)

    def part(self, name: str, code: str = SLEEPER) -> Part:
        """Return a part that is ready once it has logged ``up``."""
        program = Program(
            name=name,
            argv=(sys.executable, "-I", "-c", code),
            environment={},
            folder=self.layout.run,
            log=self.layout.log / f"{name}.log",
            pid_file=self.layout.run / f"{name}.pid",
            ending=((signal.SIGTERM, 5.0),),
        )

        async def probe() -> None:
            if "up" not in program.log.read_text():
                raise NotReady("it has not said so")

        return Part(child=ManagedProcess(program), probe=probe)

    async def run(self, *parts: Part) -> None:
        """Run until stopped."""
        await supervisor.run(
            parts, stopping=self.stopping, hurry=self.hurry, on_ready=self.ready.set, say=self.said.append
        )

    def pid(self, name: str) -> int:
        """Return the process id of a running child."""
        return int((self.layout.run / f"{name}.pid").read_text())

    async def until_said(self, pattern: str) -> None:
        """Wait for a line."""
        await becomes(lambda: any(re.search(pattern, line) for line in self.said), f"{pattern!r} is said")


@define
class Switch:
    """A choice between two programs, which a test makes.

    Attributes:
        programs: the first and the other.
    """

    programs: tuple[Program, Program]
    wanted: int = 0
    started: list[int] = field(factory=list)

    def is_current(self) -> bool:
        """Return whether the wanted one was started last."""
        return self.started[-1] == self.wanted

    @contextmanager
    def chosen(self) -> Iterator[Program]:
        """Yield the wanted one."""
        self.started.append(self.wanted)
        yield self.programs[self.wanted]


@pytest.fixture
def stack(layout: Layout) -> Stack:
    """Return an empty stack."""
    return Stack(layout)


def running(layout: Layout) -> list[Path]:
    """Return the process id files that are left."""
    return list(layout.run.glob("*.pid"))


async def test_start_in_order_and_end(stack: Stack) -> None:
    """Every part is ready before the stack is, and none is left after the end."""
    log = stack.layout.log / "a.log"
    second = f"import pathlib; assert 'up' in pathlib.Path({str(log)!r}).read_text(); {SLEEPER}"
    task = asyncio.create_task(stack.run(stack.part("a"), stack.part("b", second)))
    async with asyncio.timeout(PATIENCE):
        await stack.ready.wait()
    assert len(running(stack.layout)) == 2

    stack.stopping.set()
    async with asyncio.timeout(PATIENCE):
        await task

    assert running(stack.layout) == []
    assert stack.said == []


async def test_they_end_in_reverse(stack: Stack) -> None:
    """The one that depends on the others ends first."""
    order = stack.layout.log / "order"
    code = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        f"    with open({str(order)!r}, 'a') as file: file.write(NAME)\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
    )
    parts = [stack.part(name, f"NAME = {name!r}\n{code}{SLEEPER}") for name in "abc"]
    task = asyncio.create_task(stack.run(*parts))
    async with asyncio.timeout(PATIENCE):
        await stack.ready.wait()

    stack.stopping.set()
    await task

    assert order.read_text() == "cba"


@pytest.mark.parametrize("hurry", [False, True])
async def test_a_part_may_have_something_to_finish(stack: Stack, hurry: bool) -> None:
    """It is ended when it has, or at once in a hurry; the parts that it needs are still there."""
    finished, running_then = asyncio.Event(), list[Path]()

    async def before_stop() -> None:
        running_then.extend(running(stack.layout))
        await finished.wait()

    parts = (stack.part("a"), evolve(stack.part("b"), before_stop=before_stop))
    task = asyncio.create_task(stack.run(*parts))
    async with asyncio.timeout(PATIENCE):
        await stack.ready.wait()

    stack.stopping.set()
    await becomes(lambda: running_then, "the part is asked to finish")
    assert len(running(stack.layout)) == len(running_then) == 2
    (stack.hurry if hurry else finished).set()
    async with asyncio.timeout(PATIENCE):
        await task
    assert running(stack.layout) == []


async def test_a_part_that_ends_while_starting_stops_the_start(stack: Stack) -> None:
    """The refusal has the exit code and the end of the log, and nothing is left running."""
    broken = stack.part("b", "print('line of reason'); raise SystemExit(7)")

    with pytest.raises(SetupRefused, match=r"^b ended with exit code 7 while starting; .*b\.log:\n    line of reason$"):
        await stack.run(stack.part("a"), broken)

    assert running(stack.layout) == []
    assert not stack.ready.is_set()


async def test_a_part_that_is_never_ready_stops_the_start(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the deadline the refusal says what is missing."""
    monkeypatch.setattr(supervisor, "_READY_WITHIN", 0.2)
    mute = stack.part("mute", "import time; time.sleep(60)")
    mute.child.program.log.write_text("nearly\n")  # as if it had come so far before its time was over

    with pytest.raises(SetupRefused, match=r"^mute is not ready after 0 s: it has not said so; .*\n    nearly$"):
        await stack.run(mute)

    assert running(stack.layout) == []


async def test_loading_data_may_take_longer(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redis with much data is waited for, and said once to be busy; not for ever."""
    monkeypatch.setattr(supervisor, "_READY_WITHIN", 0.2)
    part = stack.part("a")
    clock, until = asyncio.get_running_loop().time, 0.0

    async def loading() -> None:
        nonlocal until
        until = until or clock() + 1  # five times as long as it may be unready
        if clock() < until:
            raise Loading("it is loading its data")

    task = asyncio.create_task(stack.run(Part(child=part.child, probe=loading)))
    async with asyncio.timeout(PATIENCE):
        await stack.ready.wait()
    stack.stopping.set()
    await task
    assert stack.said == ["a is not ready: it is loading its data"]

    until += 100
    monkeypatch.setattr(supervisor, "_LOADED_WITHIN", 0.3)
    stack.stopping.clear()
    with pytest.raises(SetupRefused, match=r"^a is not ready after 0 s: it is loading its data; "):
        await stack.run(Part(child=part.child, probe=loading))


async def test_a_stop_while_starting_is_obeyed(stack: Stack) -> None:
    """Ctrl-C before the stack is ready ends it without an error."""
    task = asyncio.create_task(stack.run(stack.part("a"), stack.part("mute", "import time; time.sleep(60)")))
    await asyncio.sleep(0.5)

    stack.stopping.set()
    async with asyncio.timeout(PATIENCE):
        await task

    assert running(stack.layout) == []
    assert not stack.ready.is_set()


async def test_a_dead_child_is_started_again(stack: Stack) -> None:
    """Its end, its log and its return are said, and the others keep running."""
    task = asyncio.create_task(stack.run(stack.part("a"), stack.part("b")))
    async with asyncio.timeout(PATIENCE):
        await stack.ready.wait()
    first, other = stack.pid("a"), stack.pid("b")

    os.kill(first, signal.SIGKILL)
    await stack.until_said("a is running again")

    assert stack.pid("a") != first
    assert stack.pid("b") == other
    assert stack.said[0] == (f"a was ended by SIGKILL; starting it again in 0.5 s (log: {stack.layout.log / 'a.log'})")
    stack.stopping.set()
    await task
    assert running(stack.layout) == []


async def test_pauses_grow(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that keeps dying is started ever more slowly, up to a limit."""
    monkeypatch.setattr(supervisor, "_PAUSES", RestartPauses(first=0.01, longest=0.04))
    task = asyncio.create_task(stack.run(stack.part("a", "import time; print('up', flush=True); time.sleep(0.3)")))

    await becomes(lambda: sum("starting it again" in line for line in stack.said) >= 5, "it died five times")
    stack.stopping.set()
    await task

    pauses = [line.partition("again in ")[2].partition(" s")[0] for line in stack.said if "starting" in line]
    assert pauses[:5] == ["0.01", "0.02", "0.04", "0.04", "0.04"]


async def test_a_healthy_while_makes_pauses_short_again(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that had worked long enough starts over with the first pause."""
    monkeypatch.setattr(supervisor, "_PAUSES", RestartPauses(first=0.01, healthy_after=0.001))
    task = asyncio.create_task(stack.run(stack.part("a", "import time; print('up', flush=True); time.sleep(0.3)")))

    await becomes(lambda: sum("starting it again" in line for line in stack.said) >= 3, "it died three times")
    stack.stopping.set()
    await task

    assert all("again in 0.01 s" in line for line in stack.said if "starting" in line)


async def test_a_child_that_can_not_be_started_is_tried_again(stack: Stack) -> None:
    """A log that cannot be written is said, and passes once it can."""
    part = stack.part("a")
    task = asyncio.create_task(stack.run(part))
    async with asyncio.timeout(PATIENCE):
        await stack.ready.wait()
    log = part.child.program.log
    log.unlink()
    log.mkdir()
    os.kill(stack.pid("a"), signal.SIGKILL)
    await stack.until_said("a cannot be started: .*Is a directory.*; trying again in 1 s")

    log.rmdir()
    await stack.until_said("a is running again")

    stack.stopping.set()
    await task


@pytest.fixture
def switched(stack: Stack) -> tuple[Part, Switch]:
    """Return a part that is one of two programs, which log what they are."""
    first, other = (stack.part("a", f"print({word!r}, flush=True); {SLEEPER}").child.program for word in ("one", "two"))
    switch = Switch((first, other))
    return evolve(stack.part("a"), child=ManagedProcess(first), choice=switch), switch


async def test_another_program_takes_the_place_of_a_child(stack: Stack, switched: tuple[Part, Switch]) -> None:
    """The first one has ended before; that is no crash, so nothing is said, and the others keep running."""
    part, switch = switched
    asked: list[int] = []

    async def before_stop() -> None:
        asked.append(stack.pid("a"))

    task = asyncio.create_task(stack.run(stack.part("b"), evolve(part, before_stop=before_stop)))
    async with asyncio.timeout(PATIENCE):
        await stack.ready.wait()
    first, other, log = stack.pid("a"), stack.pid("b"), part.child.program.log

    switch.wanted = 1
    await becomes(lambda: "two" in log.read_text(), "the other program runs")

    assert switch.started == [0, 1]
    assert asked == [first]
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    await becomes((stack.layout.run / "a.pid").exists, "it has a process id")
    assert stack.pid("a") != first
    assert stack.pid("b") == other
    assert stack.said == []
    stack.stopping.set()
    async with asyncio.timeout(PATIENCE):
        await task
    assert running(stack.layout) == []


async def test_a_dead_child_is_started_again_as_the_program_of_the_moment(
    stack: Stack, switched: tuple[Part, Switch]
) -> None:
    """Its end is a crash as ever; the choice is asked again."""
    part, switch = switched
    task = asyncio.create_task(stack.run(part))
    async with asyncio.timeout(PATIENCE):
        await stack.ready.wait()
    switch.wanted = 1
    await becomes(lambda: "two" in part.child.program.log.read_text(), "the other program runs")
    await becomes((stack.layout.run / "a.pid").exists, "it has a process id")

    os.kill(stack.pid("a"), signal.SIGKILL)
    await stack.until_said("a is running again")

    assert switch.started == [0, 1, 1]
    assert stack.said[0].startswith("a was ended by SIGKILL; starting it again in 0.5 s")
    stack.stopping.set()
    async with asyncio.timeout(PATIENCE):
        await task
    assert running(stack.layout) == []
