"""One child: started, logged, ended, and never orphaned."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest

from authsvc.processes.process import ManagedProcess, Program, cause_of_end, describe_exit, last_lines
from authsvc.setup.layout import Layout
from tests.support.waiting import PATIENCE, becomes, until

PATIENT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("up", flush=True)
while True: time.sleep(1)
"""


def program(layout: Layout, code: str, **changes: Any) -> Program:
    """Return a program that runs ``code``."""
    made = Program(
        name="test",
        argv=(sys.executable, "-I", "-c", code),
        environment={"GREETING": "hello"},
        folder=layout.run,
        log=layout.log / "test.log",
        pid_file=layout.run / "test.pid",
        ending=((signal.SIGTERM, 5.0),),
    )
    return attrs.evolve(made, **changes)


async def logged(layout: Layout, text: str) -> None:
    """Wait until the log has ``text``."""
    await becomes(lambda: text in (layout.log / "test.log").read_text(), f"{text!r} is logged")


def alive(pid: int) -> bool:
    """Return whether a process runs (one that waits to be reaped does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_child_whose_process_id_cannot_be_written_is_not_left(layout: Layout) -> None:
    """On a full disk, for instance: the next try would start a second one beside it."""
    child = ManagedProcess(program(layout, PATIENT, pid_file=layout.run / "nowhere" / "test.pid"))

    with pytest.raises(FileNotFoundError):
        await child.start()

    async with asyncio.timeout(PATIENCE):
        assert await child.ended() == -signal.SIGKILL


async def test_a_child_gets_its_environment_and_a_private_log(layout: Layout) -> None:
    """It sees what it was given and nothing else, writes to its log, and ends by itself."""
    code = "import os, sys; print(dict(os.environ), os.getcwd()); print('err', file=sys.stderr); sys.exit(3)"
    child = ManagedProcess(program(layout, code))

    await child.start()
    assert await child.ended() == 3

    log = layout.log / "test.log"
    assert "'GREETING': 'hello'" in log.read_text()
    assert "HOME" not in log.read_text()
    assert str(layout.run) in log.read_text()
    assert "err" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert not (layout.run / "test.pid").exists()


async def test_a_new_start_appends_to_the_log(layout: Layout) -> None:
    """What an earlier process said is still there."""
    child = ManagedProcess(program(layout, "print('once')"))
    for _ in range(2):
        await child.start()
        await child.ended()

    assert last_lines(layout.log / "test.log") == ["once", "once"]


async def test_stop_asks_before_it_kills(layout: Layout) -> None:
    """A child that ignores the request is killed after its time."""
    child = ManagedProcess(program(layout, PATIENT, ending=((signal.SIGTERM, 0.3),)))
    await child.start()
    await logged(layout, "up")
    pid = int((layout.run / "test.pid").read_text())
    began = time.monotonic()

    await child.stop(asyncio.Event())

    assert time.monotonic() - began >= 0.3
    assert last_lines(layout.log / "test.log") == ["up", "asked"]
    assert not alive(pid)


async def test_hurry_shortens_every_wait(layout: Layout) -> None:
    """Once somebody hurries, a step of a minute takes a second."""
    child = ManagedProcess(program(layout, PATIENT, ending=((signal.SIGTERM, 60.0),)))
    await child.start()
    await logged(layout, "up")
    hurry = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, hurry.set)

    async with asyncio.timeout(PATIENCE):
        await child.stop(hurry)

    assert not (layout.run / "test.pid").exists()


async def test_grandchildren_end_with_the_child(layout: Layout) -> None:
    """The workers of a killed master do not keep its port."""
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    child = ManagedProcess(program(layout, code, environment={"PATH": os.environ["PATH"]}))
    await child.start()
    await logged(layout, "\n")
    grandchild = int((layout.log / "test.log").read_text())

    os.kill(int((layout.run / "test.pid").read_text()), signal.SIGKILL)

    assert await child.ended() == -signal.SIGKILL
    await becomes(lambda: not alive(grandchild), "the grandchild ends")


async def test_descriptors_are_inherited(layout: Layout) -> None:
    """A child reads from a descriptor under the number that it was told."""
    reading, writing = os.pipe()
    os.write(writing, b"through the pipe")
    os.close(writing)
    code = f"import os; print(os.read({reading}, 100))"
    child = ManagedProcess(program(layout, code, descriptors=(reading,)))

    await child.start()
    os.close(reading)
    await child.ended()

    assert last_lines(layout.log / "test.log") == ["b'through the pipe'"]


def test_children_end_with_a_killed_parent(layout: Layout) -> None:
    """A supervisor that is killed takes its child along."""
    code = f"""
import asyncio, signal
from tests.processes.test_process import program
from authsvc.processes.process import ManagedProcess
from authsvc.setup.layout import Layout
from pathlib import Path
async def main():
    code = "import time; print('up', flush=True); time.sleep(60)"
    child = ManagedProcess(program(Layout(Path({str(layout.root)!r})), code))
    await child.start()
    await asyncio.sleep(60)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        asyncio.run(_until_logged(layout))
        child = int((layout.run / "test.pid").read_text())
        assert alive(child)
        parent.kill()

    until(lambda: not alive(child), "the child ends")


async def _until_logged(layout: Layout) -> None:
    await becomes((layout.run / "test.pid").exists, "the child has begun")
    await logged(layout, "up")


def test_last_lines_are_few_and_printable(layout: Layout) -> None:
    """The end of a log can be shown in a terminal whatever is in it."""
    log = layout.log / "test.log"
    log.write_bytes(b"old\n" * 5000 + b"a\x1b[2Jb\n\xff\n")

    assert last_lines(log, 3) == ["old", r"a\u001b[2Jb", "�"]
    assert last_lines(layout.log / "none.log") == []


def test_describe_exit() -> None:
    """Exit codes and signals are said in words."""
    assert describe_exit(1) == "ended with exit code 1"
    assert describe_exit(-9) == "was ended by SIGKILL"
    assert describe_exit(-63) == "was ended by signal 63"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("a\nError writing: No space left on device\nExiting\n\n", "Error writing: No space left on device"),
        ("a\nlast words\n", "last words"),
        ("", None),
    ],
)
def test_why_a_program_ended(layout: Layout, log: str, expected: str | None) -> None:
    """A line with an error of the system tells more than the last one; an earlier process' lines do not count."""
    file = layout.log / "test.log"
    file.write_text("an earlier one: Permission denied\n" + log)

    assert cause_of_end(file, len("an earlier one: Permission denied\n")) == expected
