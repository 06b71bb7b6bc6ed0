"""What is measured: a real stack with one worker, 10,000 licenses and some members in its Redis."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.cli.console import find
from authsvc.license_file import registry_token
from authsvc.redaction import Secret
from authsvc.settings import Settings
from authsvc.store.connection import Connection
from authsvc.store.throttle import RedisThrottle
from authsvc.tenancy.terms import LicenseTerms
from authsvc.throttle import Admission, Attempt
from authsvc.wiring.management import Management, management
from tests.bench.flood import Guess
from tests.bench.load import Target, basic
from tests.support.processes import children_of, workers_of
from tests.support.stack import PASSWORD, Stack, running_stack

T = TypeVar("T")

TEAM, APP, REPOSITORY = "bench", "benchapp", "benchapp/api/worker"
AT_ONCE = 32
"""Licenses that are made at once. Members one by one: hashing their passwords holds up whatever runs beside it."""


@frozen
class Credentials:
    """Authorization values.

    Attributes:
        licenses: one per license.
        members: of members who sign in all the time.
        newcomers: of members who never signed in; each is good for one cold check.
        at_home: of members who sign in from a network that they have signed in from before, with an address in it.
        elsewhere: of members who sign in from a new one.
    """

    licenses: list[str]
    members: list[str]
    newcomers: list[str]
    at_home: list[Guess]
    elsewhere: list[Guess]


@contextmanager
def installation(worker_core: int | None, other_core: int | None) -> Iterator[Stack]:
    """Run a stack whose worker has ``worker_core`` for itself; everything else runs on ``other_core``."""
    with running_stack(options=("--workers", "1")) as stack:
        if worker_core is not None and other_core is not None:
            for name in ("redis", "registry", "nginx", "serve"):
                for process in (stack.pid(name), *children_of(stack.pid(name))):
                    pin(process, other_core)
            pin(worker(stack), worker_core)
        yield stack


def target(stack: Stack) -> Target:
    """Return the worker's own socket."""
    run = stack.data_dir / "run"
    edge, scope = (run / "edge-address").read_text().strip(), f"repository:{REPOSITORY}:pull"
    return Target(f"http://{edge}/auth/token", stack.name, scope, worker(stack), str(run / "edge.sock"))


def worker(stack: Stack) -> int:
    """Return the process id of the one worker."""
    (process,) = workers_of(stack.pid("serve"))
    return process


def pin(process: int, core: int) -> None:
    """Let every thread of a process run on one core only."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def resident_mebibytes(process: int) -> float:
    """Return the resident set of a process (proc(5), ``VmRSS``)."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith("VmRSS:"))
    return int(kibibytes) / 1024


def fill(stack: Stack, licenses: int, members: int, newcomers: int, flooded: int = 0) -> Credentials:
    """Make a team with an app, licenses and members through the use cases that the command line calls."""

    async def made() -> Credentials:
        settings, _ = find(stack.data_dir, {})
        async with management(settings, _untold) as manage, _throttle(settings) as throttle:
            await manage.teams.create(TEAM, None, manage.operation())
            await manage.teams.create_app(APP, TEAM, None, manage.operation())
            return Credentials(
                await _gather([make_license(manage, number) for number in range(licenses)], AT_ONCE),
                await _gather([_member(manage, f"m{number}@bench.test") for number in range(members)], 1),
                await _gather([_member(manage, f"n{number}@bench.test") for number in range(newcomers)], 1),
                [await _at_home(manage, throttle, number) for number in range(flooded)],
                [(await _member(manage, f"e{number}@bench.test"), f"198.51.100.{number}") for number in range(flooded)],
            )

    return asyncio.run(made())


def _untold(_entry: Entry) -> None:
    """Keep no record of what is only made to be measured."""


async def make_license(manage: Management, number: int) -> str:
    """Make a license and return the authorization value of its holder."""
    operation = manage.operation()
    terms = LicenseTerms.parse(
        customer=f"Customer {number}",
        expires="2099-01-01",
        repositories=("api/*",),
        fields=("seats=25",),
        contact="sales@bench.test",
        now=operation.now,
    )
    _, file = await manage.licenses.create(APP, terms, operation)
    token = registry_token(file)
    assert token is not None, file
    return basic("license", token)


async def _member(manage: Management, email: str) -> str:
    await manage.members.add(email, TEAM, "developer", (), Secret(PASSWORD), manage.operation())
    return basic(email, PASSWORD)


@asynccontextmanager
async def _throttle(settings: Settings) -> AsyncIterator[RedisThrottle]:
    connection = Connection(settings.redis_url)
    try:
        yield RedisThrottle(connection)
    finally:
        await connection.close()


async def _at_home(manage: Management, throttle: RedisThrottle, number: int) -> Guess:
    """Make a member whom no worker remembers, but whose network is known."""
    email, network = f"h{number}@bench.test", f"192.0.2.{number}"
    operation = manage.operation()
    member = await manage.members.add(email, TEAM, "developer", (), Secret(PASSWORD), operation)
    await throttle.right(Attempt(email, member.id, network, "made"), Admission(known=True), operation.now)
    return basic(email, PASSWORD), network


async def _gather(makers: list[Awaitable[T]], at_once: int) -> list[T]:
    places = asyncio.Semaphore(at_once)

    async def one(maker: Awaitable[T]) -> T:
        async with places:
            return await maker

    return await asyncio.gather(*(one(maker) for maker in makers))
