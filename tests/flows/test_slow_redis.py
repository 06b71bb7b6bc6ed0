"""Redis is there and slow: what still works, what is told to try again, and that no reply goes to somebody else."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from attrs import frozen

from tests.support.http_client import ask, claims_of, get_token
from tests.support.load import meanwhile
from tests.support.ports import free_port
from tests.support.slow_store import SlowStore
from tests.support.stack import IMPATIENT, PATIENT, Stack, running_stack
from tests.support.tenants import Account, License, make_license, make_member, make_team
from tests.support.waiting import PATIENCE, until

SCOPE = "repository:app/worker:pull"
NEVER = 3600.0
"""Seconds: whoever waits for such a reply gets no answer during a test."""


@frozen
class Office:
    """A server of its own whose way to Redis can be made slow, and who uses it.

    Attributes:
        port: of its edge.
        service: what it is called.
    """

    port: int
    service: str
    store: SlowStore
    owner: Account
    license: License
    unseen: License

    def answer(self, account: Account) -> tuple[int, str]:
        """Ask for a token and return the status, and whose token it is."""
        reply = get_token(self.port, account, SCOPE, service=self.service)
        whose = claims_of(reply.json()["token"])["sub"] if reply.status == 200 else ""
        return reply.status, whose


def start_server(stack: Stack, port: int, inside: int) -> "subprocess.Popen[bytes]":
    """Start `authsvc serve` on the slow socket."""
    places = {
        "AUTHSVC_REDIS_URL": f"unix://{stack.folder}/slow.sock",
        "AUTHSVC_SECRETS_DIR": str(stack.data_dir / "secrets"),
        "AUTHSVC_PUBLIC_URL": f"http://{stack.name}",
    }
    listeners = ("--edge", f"127.0.0.1:{port}", "--inside", f"127.0.0.1:{inside}", "--workers", "1")
    with (stack.folder / "slow.log").open("wb") as log:
        return subprocess.Popen(
            (sys.executable, "-m", "authsvc", "serve", *listeners),
            env={**stack.environ, **places},
            cwd=stack.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def is_up(port: int) -> bool:
    """Whether the server answers."""
    try:
        return ask(port, "GET", "/livez").status == 200
    except OSError:
        return False


def signed_in(office: Office, account: Account) -> str:
    """Sign in, again while a busy machine is too slow for the deadlines, and return whose token it is."""
    return until(lambda: office.answer(account)[1], "the account signs in")


@contextmanager
def opened_office(deadline: str) -> Iterator[Office]:
    """Yield a server that waits so many seconds for Redis, with everybody's credential used once but one."""
    with (
        running_stack(REDIS_DEADLINE=deadline) as stack,
        SlowStore(stack.folder / "slow.sock", stack.data_dir / "run/redis.sock") as store,
    ):
        owner = make_member(stack, make_team(stack, "app"), "owner")
        port = free_port()
        process = start_server(stack, port, free_port())
        try:
            until(lambda: is_up(port), "the server answers")
            opened = Office(port, stack.name, store, owner, make_license(stack, "app"), make_license(stack, "app"))
            for account in (opened.owner, opened.license.account):
                signed_in(opened, account)
            yield opened
        finally:
            store.delay = 0.0
            process.terminate()
            process.wait(PATIENCE)


@pytest.fixture(scope="module")
def impatient() -> Iterator[Office]:
    """Return a server with the deadlines that an installation has."""
    with opened_office(IMPATIENT) as opened:
        yield opened


@pytest.fixture(scope="module")
def patient() -> Iterator[Office]:
    """Return a server that waits long for Redis, so that no delay of the machine's own counts."""
    with opened_office(PATIENT) as opened:
        yield opened


@pytest.fixture
def office(impatient: Office) -> Iterator[Office]:
    """Return that server with Redis fast again, and let the next test find it so."""
    for account in (impatient.owner, impatient.license.account):
        signed_in(impatient, account)
    yield impatient
    impatient.store.delay = 0.0
    until(lambda: impatient.answer(impatient.owner)[0] == 200, "it is back by itself")


@pytest.mark.parametrize("delay", [0.05, 0.2])
def test_a_slow_redis_is_a_slow_token(patient: Office, delay: float) -> None:
    """Everybody gets the own token, and a wrong password is still a wrong password."""
    mine = {account: signed_in(patient, account) for account in (patient.owner, patient.license.account)}
    patient.store.delay = delay

    def once() -> object:
        return all(patient.answer(account) == (200, whose) for account, whose in mine.items())

    with meanwhile(once, threads=4) as load:
        until(lambda: load.results.total() >= 40, "enough was asked")
    assert {True} == set(load.results)
    assert 401 == patient.answer(Account(patient.owner.username, "a wrong password, quite long"))[0]
    patient.store.delay = 0.0


@pytest.mark.parametrize("delay", [0.7, NEVER])
def test_a_redis_that_is_too_slow_is_away(office: Office, delay: float) -> None:
    """503 while Redis is silent, but for a license that was just seen; nobody is told that a right secret is wrong."""
    guesser = Account(office.owner.username, "a wrong password, quite long")
    office.store.delay = delay
    seen = [office.answer(office.license.account) for _ in range(4)]
    answers = [office.answer(who) for who in (office.owner, office.unseen.account, guesser) for _ in range(4)]

    assert {200} == {status for status, _ in seen}
    assert {503} == {status for status, _ in answers}


def test_replies_that_come_too_late_reach_nobody_else(office: Office) -> None:
    """While it swings between fast and too slow, whoever gets a token gets the own one."""
    mine = {account: signed_in(office, account) for account in (office.owner, office.license.account)}
    told: set[object] = set()

    def once() -> object:
        for account, whose in mine.items():
            status, found = office.answer(account)
            told.add("own" if (status, found) == (200, whose) else status)
        return None

    with meanwhile(once, threads=6) as load:
        for delay in (0.6, 0.0, 0.45, 0.0, 1.2, 0.0):
            office.store.delay = delay
            time.sleep(1)
        until(lambda: "own" in told, "somebody gets a token")
    assert {None} == set(load.results)
    assert {"own", 503} >= told
