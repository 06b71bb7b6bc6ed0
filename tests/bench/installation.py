"""What is measured: a real stack with one worker, licenses and some members in its Redis."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from attrs import evolve, frozen

from authsvc.audit.entry import Entry
from authsvc.cli.console import find
from authsvc.credentials.machine_secret import ID_BYTES, new_id
from authsvc.license_file import registry_token
from authsvc.redaction import Secret
from authsvc.settings import Settings
from authsvc.store.connection import Connection
from authsvc.store.throttle import RedisThrottle
from authsvc.tenancy.records import Member
from authsvc.tenancy.terms import LicenseTerms
from authsvc.throttle import Admission, Attempt
from authsvc.wiring.management import Management, management
from tests.bench.flood import Guess
from tests.bench.load import Target, basic
from tests.bench.runtime_environment import make_runtime_environment
from tests.support.processes import children_of, workers_of
from tests.support.stack import PASSWORD, Stack, running_stack

T = TypeVar("T")

TEAM, APP, REPOSITORY = "bench", "benchapp", "benchapp/api/worker"
AT_ONCE = 32
"""Licenses that are made at once."""


@frozen
class Credentials:
    """Authorization values.

    Attributes:
        licenses: the registry token of each license.
        files: the whole license file of some of them.
        personal_tokens: one of each member of the first round.
        service_accounts: one each.
        members: for each round some members who never signed in; the first sign-in of each is a cold check.
        at_home: of members who sign in from a network that they have signed in from before, with an address in it.
        elsewhere: of members who sign in from a new one.
    """

    licenses: list[str]
    files: list[str]
    personal_tokens: list[str]
    service_accounts: list[str]
    members: list[list[str]]
    at_home: list[Guess]
    elsewhere: list[Guess]


@contextmanager
def installation(worker_core: int | None, other_core: int | None) -> Iterator[Stack]:
    """Run a stack with the packages of an installation; its worker has ``worker_core`` for itself.

    Everything else runs on ``other_core``.
    """
    with ExitStack() as running:
        environment = running.enter_context(TemporaryDirectory(prefix="asv-env-"))
        stack = running.enter_context(running_stack(make_runtime_environment(Path(environment))))
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
    return Target(f"http://{edge}/auth/token", stack.name, scope, (worker(stack),), str(run / "edge.sock"))


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


def fill(stack: Stack, licenses: int, members: int, rounds: int, flooded: int = 0) -> Credentials:
    """Make a team with an app, licenses and accounts, through the use cases that the command line calls.

    Args:
        stack: to fill.
        licenses: how many.
        members: in each round; so many have a personal token, and there are as many service accounts and license files.
        rounds: of members.
        flooded: members who sign in from a network that they know, and as many from a new one.
    """

    async def made() -> Credentials:
        settings, _ = find(stack.data_dir, {})
        async with management(settings, _untold) as manage, _throttle(settings) as throttle:
            await manage.teams.create(TEAM, None, manage.operation())
            await manage.teams.create_app(APP, TEAM, None, manage.operation())
            add = await _members(manage)
            files = await _gather([make_license_file(manage, number) for number in range(licenses)], AT_ONCE)
            own = [[await add(f"m{number}-{of}@bench.test") for of in range(members)] for number in range(rounds)]
            return Credentials(
                [of_license(file) for file in files],
                [basic("license", file) for file in files[:members]],
                [await _personal_token(manage, member) for member in own[0]],
                [await _service_account(manage, number) for number in range(members)],
                [[basic(member.email, PASSWORD) for member in some] for some in own],
                [await _at_home(await add(f"h{number}@bench.test"), throttle, number) for number in range(flooded)],
                [
                    (basic((await add(f"e{number}@bench.test")).email, PASSWORD), f"198.51.100.{number}")
                    for number in range(flooded)
                ],
            )

    return asyncio.run(made())


def _untold(_entry: Entry) -> None:
    """Keep no record of what is only made to be measured."""


async def make_license(manage: Management, number: int) -> str:
    """Make a license and return the authorization value of its holder."""
    return of_license(await make_license_file(manage, number))


async def make_license_file(manage: Management, number: int) -> str:
    """Make a license and return its file."""
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
    return file


def of_license(file: str) -> str:
    """Return the authorization value of the registry token in a license file."""
    token = registry_token(file)
    assert token is not None, file
    return basic("license", token)


async def _members(manage: Management) -> Callable[[str], Awaitable[Member]]:
    """Return what adds a member; all have one password and one hash of it, since hashing takes far longer."""
    first = await manage.members.add("first@bench.test", TEAM, "developer", (), Secret(PASSWORD), manage.operation())

    async def add(email: str) -> Member:
        operation = manage.operation()
        member = evolve(first, id=new_id(operation.entropy(ID_BYTES)), email=email)
        named = {"member": member.id, "email": email, "team": TEAM, "role": str(member.role)}
        await manage.stores.members.add(member, operation.entry("member.added", **named))
        return member

    return add


async def _personal_token(manage: Management, member: Member) -> str:
    _, secret = await manage.tokens.create("bench", member.email, None, None, manage.operation())
    return basic(member.email, secret.reveal())


async def _service_account(manage: Management, number: int) -> str:
    grants = (f"{APP}/api/**:pull",)
    account, secret = await manage.service_accounts.create(
        f"bench-{number}", TEAM, grants, None, None, manage.operation()
    )
    return basic(account.name, secret.reveal())


@asynccontextmanager
async def _throttle(settings: Settings) -> AsyncIterator[RedisThrottle]:
    connection = Connection(settings.redis_url)
    try:
        yield RedisThrottle(connection)
    finally:
        await connection.close()


async def _at_home(member: Member, throttle: RedisThrottle, number: int) -> Guess:
    """Let the network of a member be known whom no worker remembers."""
    network = f"192.0.2.{number}"
    await throttle.right(Attempt(member.email, member.id, network, "made"), Admission(known=True), datetime.now(UTC))
    return basic(member.email, PASSWORD), network


async def _gather(makers: list[Awaitable[T]], at_once: int) -> list[T]:
    places = asyncio.Semaphore(at_once)

    async def one(maker: Awaitable[T]) -> T:
        async with places:
            return await maker

    return await asyncio.gather(*(one(maker) for maker in makers))
