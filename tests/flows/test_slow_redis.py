"""Redis is there and slow: what still works, what is told to try again, and that no reply goes to somebody else."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from attrs import frozen

from tests.support.http_client import ask, claims_of, get_token
from tests.support.load import meanwhile
from tests.support.slow_store import SlowStore, slow_store
from tests.support.stack import Stack, free_port, running_stack
from tests.support.tenants import Account, License, make_license, make_member, make_team
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(180)

SCOPE = "repository:app/worker:pull"
IN_TIME = 1.6
"""Seconds for a refusal: 1.5 for the store, and a little for the rest of a busy machine."""


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

    def answer(self, account: Account) -> tuple[int, str, float]:
        """Ask for a token and return the status, whose token it is, and how many seconds it took."""
        began = time.monotonic()
        reply = get_token(self.port, account, SCOPE, service=self.service)
        whose = claims_of(reply.json()["token"])["sub"] if reply.status == 200 else ""
        return reply.status, whose, time.monotonic() - began


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


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """Return the server, with everybody's credential used once but one."""
    with running_stack() as stack, slow_store(stack.folder / "slow.sock", stack.data_dir / "run/redis.sock") as store:
        owner = make_member(stack, make_team(stack, "app"), "owner")
        port = free_port()
        process = start_server(stack, port, free_port())
        try:
            until(lambda: is_up(port), "the server answers")
            yield Office(port, stack.name, store, owner, make_license(stack, "app"), make_license(stack, "app"))
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(autouse=True)
def begin_and_end_fast(office: Office) -> Iterator[None]:
    """Sign in once while Redis is fast, and let the next test find it fast."""
    assert [200, 200] == [office.answer(account)[0] for account in (office.owner, office.license.account)]
    yield
    office.store.delay = 0.0
    until(lambda: office.answer(office.owner)[0] == 200, "it is back by itself")


@pytest.mark.parametrize("delay", [0.05, 0.2])
def test_a_slow_redis_is_a_slow_token(office: Office, delay: float) -> None:
    """Everybody gets the own token, in the time of a few replies, and a wrong password is still a wrong password."""
    mine = {account: office.answer(account)[1] for account in (office.owner, office.license.account)}
    office.store.delay = delay

    def once() -> object:
        return all(office.answer(account)[:2] == (200, whose) for account, whose in mine.items())

    with meanwhile(once, threads=4) as load:
        until(lambda: load.results.total() >= 40, "enough was asked")
    assert {True} == set(load.results)
    assert 401 == office.answer(Account(office.owner.username, "a wrong password, quite long"))[0]


@pytest.mark.parametrize("delay", [0.7, 3.0])
def test_a_redis_that_is_too_slow_is_away(office: Office, delay: float) -> None:
    """503 in time for everybody but a license that was just seen; nobody is told that a right secret is wrong."""
    guesser = Account(office.owner.username, "a wrong password, quite long")
    office.store.delay = delay
    answers = [office.answer(who) for who in (office.owner, office.unseen.account, guesser) for _ in range(4)]
    seen = [office.answer(office.license.account) for _ in range(4)]

    assert {503} == {status for status, _, _ in answers}
    assert {200} == {status for status, _, _ in seen}
    assert IN_TIME > max(seconds for _, _, seconds in answers + seen)


def test_replies_that_come_too_late_reach_nobody_else(office: Office) -> None:
    """While it swings between fast and too slow, whoever gets a token gets the own one."""
    mine = {account: office.answer(account)[1] for account in (office.owner, office.license.account)}

    told: set[object] = set()

    def once() -> object:
        for account, whose in mine.items():
            status, found, _ = office.answer(account)
            told.add("own" if (status, found) == (200, whose) else status)
        return None

    with meanwhile(once, threads=6) as load:
        for delay in (0.6, 0.0, 0.45, 0.0, 1.2, 0.0):
            office.store.delay = delay
            time.sleep(1)
    assert {None} == set(load.results)
    assert {"own", 503} >= told >= {"own"}
