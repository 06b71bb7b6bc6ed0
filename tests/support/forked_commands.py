"""Commands of ``authsvc`` without a new interpreter for each: a process that has imported all of them forks.

A command runs in a process of its own, with its own arguments, environment, folder and standard streams, and ends with
an exit code; only what it imports is there already. Imports are nine tenths of its processor time, and the tests call
more than a thousand commands. Tests of the program itself, and of its imports, call the installed script.

Run as ``python -m tests.support.forked_commands DESCRIPTOR``, on a socket that is inherited.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import authsvc
from authsvc.cli.main import main
from tests.support.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
LOCALE = "C.UTF-8"
"""Of the process that forks: a command with another one would get standard streams of another encoding."""

PROGRAM = "authsvc"
MAX_REQUEST = 1 << 20


def can_fork(environ: Mapping[str, str]) -> bool:
    """Whether a command with this environment finds in a forked process what it finds in a new one."""
    return environ.get("LANG") == LOCALE and not any(name.startswith(("LC_", "PYTHON")) for name in environ)


def run_forked(
    argv: Sequence[str], environ: Mapping[str, str], cwd: Path, stdin: bytes, seconds: float
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command to its end.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    with ExitStack() as opened:
        streams = [opened.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        streams[0].write(stdin)
        streams[0].seek(0)
        reading, writing = os.pipe()
        opened.callback(os.close, reading)
        try:
            request = json.dumps({"argv": [*argv], "environ": {**environ}, "cwd": str(cwd)}).encode()
            descriptors = [*(stream.fileno() for stream in streams), writing]
            socket.send_fds(_forking(os.getpid())[0], [request], descriptors)
        finally:
            os.close(writing)
        code = _exit_code(reading, argv, seconds)
        for stream in streams[1:]:
            stream.seek(0)
        return subprocess.CompletedProcess([*argv], code, streams[1].read(), streams[2].read())


def forking_process() -> int:
    """Return the process id of the one that forks for this process."""
    return _forking(os.getpid())[1].pid


@cache
def _forking(_process: int) -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Start the process that forks, once for each process of the tests; it ends with it."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = (sys.executable, "-m", "tests.support.forked_commands", str(its.fileno()))
        environ = {"PATH": os.environ["PATH"], "LANG": LOCALE}
        process = subprocess.Popen(command, env=environ, cwd=ROOT, pass_fds=(its.fileno(),), stdin=subprocess.DEVNULL)

    def end() -> None:
        ours.close()
        process.wait(PATIENCE)

    atexit.register(end)
    return ours, process


def _exit_code(reading: int, argv: Sequence[str], seconds: float) -> int:
    """Return what the command's process reports: its process id when it begins, and its exit code in the end."""
    said, deadline = b"", time.monotonic() + seconds
    while said.count(b"\n") < 2:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reading], [], [], left)[0]:
            with suppress(ProcessLookupError, ValueError):
                os.kill(int(said.split(b"\n")[0]), signal.SIGKILL)
            raise subprocess.TimeoutExpired([*argv], seconds)
        more = os.read(reading, 64)
        assert more, f"{argv} ended without an exit code: it was killed"
        said += more
    return int(said.split(b"\n")[1])


def serve(requests: socket.socket) -> None:
    """Fork for each request, until the tests end."""
    for module in pkgutil.walk_packages(authsvc.__path__, "authsvc."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST, 4)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            _run(json.loads(request), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _run(request: Mapping[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """Be the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, reply = descriptors
    os.set_inheritable(reply, False)
    os.write(reply, b"%d\n" % os.getpid())
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environ"])
    sys.argv = request["argv"]
    code = _exit_code_of_main()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(reply, b"%d\n" % code)
    os._exit(code)


def _exit_code_of_main() -> int:
    try:
        main(prog_name=PROGRAM)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  an interpreter would do the same
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
