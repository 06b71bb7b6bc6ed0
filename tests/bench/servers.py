"""Further servers on the installation that is measured: with other settings, or with more workers."""

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import evolve

from authsvc.local.programs import serve_environment
from authsvc.setup.layout import Layout
from tests.bench.installation import pin, target
from tests.bench.load import Target
from tests.support.ports import free_port
from tests.support.processes import children_of, workers_of
from tests.support.stack import Stack
from tests.support.waiting import PATIENCE, until


@contextmanager
def further_server(
    stack: Stack, name: str, cores: Sequence[int | None], other_core: int | None, **settings: str
) -> Iterator[Target]:
    """Run a server on the Redis and the secrets of a stack.

    Args:
        stack: that has them.
        name: of the server, for its files.
        cores: one for each worker; None for any.
        other_core: for everything else; None for any.
        settings: that differ, named without their ``AUTHSVC_``.
    """
    edge, inside = free_port(), free_port()
    own = {f"AUTHSVC_{key}": value for key, value in settings.items()}
    own["AUTHSVC_CONTROL_SOCKET"] = str(stack.folder / f"{name}.sock")
    environ = {**serve_environment(Layout(stack.data_dir), stack.environ), **own}
    log = stack.folder / f"{name}.log"
    command = (
        *(*stack.command, "serve", "--workers", str(len(cores))),
        *("--edge", f"127.0.0.1:{edge}", "--inside", f"127.0.0.1:{inside}"),
    )
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, env=environ, stderr=file)

    def serves() -> bool:
        said = log.read_text(encoding="utf-8")
        assert process.poll() is None, f"it ended with {process.returncode}: {said}"
        return said.count('"worker.started"') == len(cores)

    try:
        until(serves, f"the server {name} serves")
        workers = workers_of(process.pid)
        if other_core is not None:
            for one in (process.pid, *children_of(process.pid)):
                pin(one, other_core)
        for worker, core in zip(workers, cores, strict=True):
            if core is not None:
                pin(worker, core)
        url = f"http://127.0.0.1:{edge}/auth/token"
        yield evolve(target(stack), url=url, processes=tuple(workers), socket=None)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
