"""The load generator: wrk, which sends each request with the next of many credentials."""

import base64
import json
import os
import resource
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from attrs import frozen

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 16
GRACE = 30.0
"""Seconds that wrk may take beyond the time it was given."""


@frozen
class Target:
    """Where requests go and what they ask for.

    Attributes:
        url: of the token endpoint, without a query.
        service: the ``service`` parameter.
        scope: the ``scope`` parameter.
        processes: those that answer, when they run on this machine.
        socket: where a claim of the client's address counts, when that is not the URL.
    """

    url: str
    service: str
    scope: str
    processes: tuple[int, ...] = ()
    socket: str | None = None

    @property
    def path(self) -> str:
        """The request target."""
        return f"{urlsplit(self.url).path or '/'}?{urlencode({'service': self.service, 'scope': self.scope})}"


@frozen
class Load:
    """What one run did.

    Attributes:
        per_second: answered requests.
        p50: milliseconds.
        p99: milliseconds.
        longest: milliseconds.
        refused: answers that were no 2xx or 3xx.
        broken: requests without an answer.
        generator: the part of its core that the generator used, 0 to 1; near 1 it is itself the limit.
        processor: microseconds of processor time that the server spent on one request, or None when it is elsewhere.
            Other work on the machine disturbs it far less than it disturbs the rate.
    """

    per_second: float
    p50: float
    p99: float
    longest: float
    refused: int
    broken: int
    generator: float
    processor: float | None


def basic(username: str, password: str) -> str:
    """Return the value of an Authorization header (RFC 7617)."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def write_credentials(path: Path, values: Sequence[str]) -> Path:
    """Write Authorization values where the generator reads them; nobody else may."""
    return write_lines(path, values)


def write_lines(path: Path, values: Sequence[str]) -> Path:
    """Write lines where the generator reads them; nobody else may."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.writelines(f"{value}\n" for value in values)
    return path


def run_load(
    target: Target, credentials: Path, seconds: int, core: int | None, connections: int = CONNECTIONS, first: int = 0
) -> Load:
    """Load ``target`` for some time from one thread.

    Args:
        target: that is asked.
        credentials: file with one Authorization value a line, which are used in turn.
        seconds: how long.
        core: on which the generator runs, or None.
        connections: at one time.
        first: place of the value that is used first, from 0.
    """
    split = urlsplit(target.url)
    arguments = (str(credentials), target.path, str(first))
    url = f"{split.scheme}://{split.netloc}/"
    return generate(SCRIPT, url, arguments, seconds, core, connections=connections, processes=target.processes)


def generate(
    script: Path,
    url: str,
    arguments: Sequence[str],
    seconds: int,
    core: int | None,
    *,
    connections: int,
    processes: Sequence[int],
) -> Load:
    """Load a server with what a script makes.

    Args:
        script: for wrk.
        url: of the server.
        arguments: of the script.
        seconds: how long.
        core: on which the generator runs, or None.
        connections: at one time, from one thread.
        processes: those that answer, when they run on this machine.
    """
    pinned = ("taskset", "-c", str(core)) if core is not None else ()
    before, server_before = resource.getrusage(resource.RUSAGE_CHILDREN), _all_seconds(processes)
    done = subprocess.run(
        (
            *(*pinned, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"),
            *("-s", str(script), url, "--", *arguments),
        ),
        capture_output=True,
        text=True,
        timeout=seconds + GRACE,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    server = _all_seconds(processes) - server_before
    return parse(done.stdout, used, server if processes else None)


def parse(output: str, used: float, server: float | None) -> Load:
    """Return what wrk says it did; it used ``used`` seconds of a core, and who answered used ``server``."""
    (line,) = (line for line in output.splitlines() if line.startswith("JSON "))
    facts = json.loads(line.removeprefix("JSON "))
    seconds = facts["microseconds"] / 1e6
    return Load(
        per_second=facts["requests"] / seconds,
        p50=facts["p50"] / 1000,
        p99=facts["p99"] / 1000,
        longest=facts["longest"] / 1000,
        refused=facts["refused"],
        broken=facts["broken"],
        generator=used / seconds,
        processor=None if server is None else server * 1e6 / facts["requests"],
    )


def processor_seconds(process: int) -> float:
    """Return the processor time of a process, from the clock of clock_getcpuclockid(3).

    /proc/PID/stat counts in hundredths of a second, which is too coarse for few requests.
    """
    return time.clock_gettime((~process << 3) | 2)


def _all_seconds(processes: Sequence[int]) -> float:
    return sum(map(processor_seconds, processes))
