"""What a start of the server, ``/readyz`` and ``authsvc status`` cost in a small and in a large installation."""

import os
import subprocess
from collections.abc import Callable, Mapping
from statistics import median

from tests.bench.figure import Figure
from tests.bench.load import processor_seconds
from tests.bench.servers import further_server
from tests.support.http_client import ask
from tests.support.processes import family_of
from tests.support.stack import Stack

MOST_TIMES = 1.2
"""Times the cost in the small installation."""

ROUNDS, READY = 5, 20


def measure_starts(small: Stack, large: Stack, rounds: int = ROUNDS) -> list[Figure]:
    """Return what each costs in the large installation, and how many times what it costs in the small one."""
    parts: Mapping[str, Callable[[Stack], float]] = {
        "start of a server": _start,
        "/readyz": _ready,
        "authsvc status": _status,
    }
    figures = []
    for name, cost in parts.items():
        pairs = [(cost(small), cost(large)) for _ in range(rounds)]
        figures.append(Figure(name, 1000 * median(high for _, high in pairs), "ms of CPU"))
        figures.append(
            Figure(f"{name}, to a small one", median(high / low for low, high in pairs), "times", MOST_TIMES)
        )
    return figures


def _start(stack: Stack) -> float:
    redis = stack.pid("redis")
    before = processor_seconds(redis)
    with further_server(stack, "start", (None,), None) as target:
        (worker,) = target.processes
        return processor_seconds(worker) + processor_seconds(redis) - before


def _ready(stack: Stack) -> float:
    processes = (*family_of(stack.pid("serve")), stack.pid("redis"))
    before = sum(map(processor_seconds, processes))
    for _ in range(READY):
        assert ask(stack.inside, "GET", "/readyz").status == 200
    return (sum(map(processor_seconds, processes)) - before) / READY


def _status(stack: Stack) -> float:
    processes = (*family_of(stack.pid("serve")), stack.pid("redis"))
    before = sum(map(processor_seconds, processes))
    environ = {**stack.environ, "AUTHSVC_DATA_DIR": str(stack.data_dir)}
    process = subprocess.Popen((*stack.command, "status"), env=environ, cwd=stack.folder, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime + sum(map(processor_seconds, processes)) - before
