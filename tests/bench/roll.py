"""Workers that are replaced while tokens are asked for at nginx."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import evolve

from tests.bench.installation import target, worker
from tests.bench.load import Load, run_load
from tests.support.processes import workers_of
from tests.support.stack import Stack
from tests.support.waiting import until

BEFORE = 1.0
"""Seconds of load before the signal."""

CONNECTIONS = 8


def run_roll(stack: Stack, credentials: Path, seconds: int, core: int | None) -> Load:
    """Ask for tokens at nginx, replace the worker by SIGHUP meanwhile, and return what became of the requests."""
    old, serve = worker(stack), stack.pid("serve")
    nginx = evolve(target(stack), url=f"http://{stack.name}/auth/token", processes=(), socket=None)
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(run_load, nginx, credentials, seconds, core, CONNECTIONS)
        time.sleep(BEFORE)
        os.kill(serve, signal.SIGHUP)
        until(lambda: old not in workers_of(serve), "the old worker has ended")
        return asking.result()
