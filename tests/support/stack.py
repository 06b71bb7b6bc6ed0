"""A real ``authsvc up`` as a process of its own, and the command line against it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from attrs import Factory, define, field, frozen

from tests.support.forked_commands import can_fork, run_forked
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, until

COMMAND = (str(Path(sys.executable).with_name("authsvc")),)
"""The console script of the environment that runs the tests."""

PASSWORD = "correct horse battery staple"

PATIENT, IMPATIENT = "60", "1.5"
"""For AUTHSVC_REDIS_DEADLINE: every test that is not about a slow Redis, and an installation that does not set it.

A busy machine may keep Redis from answering for a second; a test that expects no 503 must not get one for that.
"""

GOOD_PATH = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))


@frozen
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything it printed."""
        return self.out + self.err

    @classmethod
    def of(cls, done: "subprocess.CompletedProcess[bytes]", *, check: bool) -> Self:
        """Return what a command said that has ended, with exit code 0 if that is checked."""
        ran = cls(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        assert not check or ran.code == 0, (done.args, ran)
        return ran


def run(
    *argv: str,
    environ: Mapping[str, str],
    cwd: Path,
    stdin: str | bytes = "",
    seconds: float = PATIENCE,
    check: bool = False,
) -> Ran:
    """Run a command to its end."""
    done = subprocess.run(
        argv,
        input=_as_bytes(stdin),
        capture_output=True,
        cwd=cwd,
        env=dict(environ),
        timeout=seconds,
        check=False,
    )
    return Ran.of(done, check=check)


def _as_bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


@contextmanager
def _heeded_hang_ups() -> Iterator[None]:
    """Start programs that heed SIGHUP, also when the tests run below nohup(1), which has them ignore it."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


@define
class Stack:
    """One installation in a folder of its own.

    Attributes:
        folder: holds the data directory, a home and what the stack prints; short, for unix sockets.
        port: of the public listener.
        settings: further ``AUTHSVC_*`` variables for the stack.
        command: how to call ``authsvc``.
        options: further arguments of ``authsvc up``.
    """

    folder: Path
    port: int = Factory(free_port)
    settings: dict[str, str] = Factory(dict)
    command: tuple[str, ...] = COMMAND
    options: tuple[str, ...] = ("--workers", "1")
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def data_dir(self) -> Path:
        """Everything that survives a restart."""
        return self.folder / "d"

    @property
    def inside(self) -> Path:
        """Where it answers about its health, with metrics."""
        return self.data_dir / "run" / "inside.sock"

    @property
    def name(self) -> str:
        """The registry's name in image references."""
        return f"localhost:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the stack and of commands against it; nothing of the tester's own."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {"PATH": GOOD_PATH, "HOME": str(home), "LANG": "C.UTF-8", **self.settings}

    @property
    def out(self) -> Path:
        """What ``authsvc up`` printed on standard output, over all starts."""
        return self.folder / "up.out"

    @property
    def err(self) -> Path:
        """What ``authsvc up`` printed on standard error, over all starts."""
        return self.folder / "up.err"

    def start(self) -> str:
        """Start and return what was printed once it is ready."""
        before = self.out.stat().st_size if self.out.exists() else 0
        arguments = ("up", "--data-dir", str(self.data_dir), "--listen", f"127.0.0.1:{self.port}", *self.options)
        with self.out.open("ab") as out, self.err.open("ab") as err, _heeded_hang_ups():
            self.process = subprocess.Popen(
                (*self.command, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                env=self.environ,
            )
        process = self.process

        def printed() -> str:
            assert process.poll() is None, f"it ended with {process.returncode}: {self.err.read_text()}"
            text = self.out.read_bytes()[before:].decode()
            # The story is printed at once behind the first line.
            return text if "ready " in text and text.endswith("\n") and "In a second terminal" in text else ""

        return until(printed, "authsvc up says ready")

    def await_workers(self) -> None:
        """Wait until all of several workers are registered: the stack is ready as soon as one of them is."""
        wanted = int(self.options[self.options.index("--workers") + 1]) if "--workers" in self.options else 1
        if wanted > 1:
            until(lambda: len(self.json("keys", "show")["workers"]) >= wanted, f"{wanted} workers are registered")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        self.process = None
        return code

    def pid(self, child: str) -> int:
        """Return the process id of ``redis``, ``registry``, ``serve`` or ``nginx``, once it has one."""
        file = self.data_dir / "run" / f"{child}.pid"
        return int(until(lambda: file.read_text().strip() if file.exists() else "", f"{child} runs"))

    def authsvc(self, *arguments: str, stdin: str | bytes = "", check: bool = True) -> Ran:
        """Run one command against this installation."""
        environ = {**self.environ, "AUTHSVC_DATA_DIR": str(self.data_dir)}
        if self.command == COMMAND and can_fork(environ):
            done = run_forked((*COMMAND, *arguments), environ, self.folder, _as_bytes(stdin), PATIENCE)
            return Ran.of(done, check=check)
        return run(*self.command, *arguments, environ=environ, cwd=self.folder, stdin=stdin, check=check)

    def json(self, *arguments: str, stdin: str = "") -> Any:
        """Run one command that succeeds and return what it says as JSON."""
        return json.loads(self.authsvc(*arguments, "--json", stdin=stdin).out)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of one log, oldest first; what is not an event is left out."""
        file = self.data_dir / "log" / name
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def event_of(self, request_id: str) -> dict[str, Any]:
        """Return the one event of a request in the server's log, which no answer waits for."""

        def look() -> list[dict[str, Any]]:
            return [event for event in self.events("serve.log") if event.get("request_id") == request_id]

        (event,) = until(look, f"the event of request {request_id} in the log")
        return event


@contextmanager
def short_folder() -> Iterator[Path]:
    """Make a folder for the length of a block; a unix socket's path may have 107 bytes only."""
    made = Path(tempfile.mkdtemp(prefix="asv-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def running_stack(
    command: tuple[str, ...] = COMMAND, /, *, options: tuple[str, ...] = ("--workers", "1"), **settings: str
) -> Iterator[Stack]:
    """Yield a running stack that is patient with Redis; ``settings`` are named without their ``AUTHSVC_``."""
    with short_folder() as folder:
        given = {f"AUTHSVC_{name}": value for name, value in settings.items()}
        stack = Stack(folder, settings={"AUTHSVC_REDIS_DEADLINE": PATIENT, **given}, command=command, options=options)
        try:
            stack.start()
            stack.await_workers()
            yield stack
        finally:
            if stack.process is not None:
                stack.stop()
