"""Parts of a running stack die or hang: clients see "try again", never "wrong password", and all comes back."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import frozen

from tests.support.http_client import Reply, ask, get_token, post_token
from tests.support.load import Tally, meanwhile
from tests.support.oci import Image
from tests.support.processes import workers_of
from tests.support.registry_client import Client
from tests.support.stack import IMPATIENT, Stack, running_stack
from tests.support.tenants import Account, License, make_license, make_member, make_team
from tests.support.waiting import until

IMAGE = Image(b"what must stay reachable")


@frozen
class Estate:
    """A stack that somebody uses."""

    stack: Stack
    owner: Account
    license: License


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    """Return a stack with two workers and an image."""
    with running_stack(options=("--workers", "2"), REDIS_DEADLINE=IMPATIENT) as stack:
        owner = make_member(stack, make_team(stack, "app"), "owner")
        Client(stack.port, owner).push("app/worker", "1", IMAGE)
        yield Estate(stack, owner, make_license(stack, "app"))


def one_token(estate: Estate) -> object:
    """Ask for a token and return the status, or how the connection failed."""
    try:
        # A member: a license that was just verified would go on pulling (test_degraded.py).
        return get_token(estate.stack.port, estate.owner, "repository:app/worker:pull").status
    except OSError as error:
        return type(error).__name__


def works(estate: Estate) -> bool:
    """Whether an image can be pulled."""
    try:
        Client(estate.stack.port, estate.license.account).pull("app/worker", "1", IMAGE)
    except Exception:  # noqa: BLE001  whatever it is, it does not work yet
        return False
    return True


def logged(stack: Stack, event: str) -> list[dict[str, Any]]:
    """Return the entries of an event in the server's log."""
    return [entry for entry in stack.events("serve.log") if entry["event"] == event]


def never_denied(tally: Tally) -> None:
    """Check that nobody was told that a right credential is wrong."""
    assert set(tally.results) <= {200, 503, "ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}


def is_unavailable(reply: Reply) -> None:
    """Check that ``reply`` says "try again"."""
    assert reply.status == 503
    assert reply.error()[0] == "UNAVAILABLE"
    assert reply.headers["retry-after"]
    assert "database does not answer" in reply.error()[1]


def test_a_hanging_redis_is_no_wrong_password(estate: Estate) -> None:
    """While Redis hangs, every sign-in is answered with 503; then it goes on as if nothing had been."""
    stack = estate.stack
    redis = stack.pid("redis")
    not_seen_yet = make_license(stack, "app").account
    os.kill(redis, signal.SIGSTOP)
    try:
        for account in (estate.owner, not_seen_yet, Account("nobody@nowhere.test", "some long password")):
            is_unavailable(get_token(stack.port, account, "repository:app/worker:pull"))
            is_unavailable(post_token(stack.port, account, "repository:app/worker:pull"))
        refused = stack.authsvc("license", "revoke", estate.license.id, check=False)
        assert (refused.code, len(refused.err.splitlines())) == (1, 1)
        ready = ask(stack.inside, "GET", "/readyz")
        assert (ready.status, ready.json()["store"]) == (503, "down")
        assert ask(stack.port, "GET", "/livez").status == 200
        balancer = ask(stack.port, "GET", "/readyz")
        assert (balancer.status, balancer.body) == (503, b"not ready\n")
    finally:
        os.kill(redis, signal.SIGCONT)
    until(lambda: one_token(estate) == 200, "tokens are issued again")
    nobody = Account("nobody@nowhere.test", "some long password")
    until(lambda: get_token(stack.port, nobody).status == 401, "a wrong password is called wrong again")
    # A change that was refused while Redis hung may have been done when it woke; say so again to be sure.
    stack.authsvc("license", "reinstate", estate.license.id)
    # Each of the workers finds out by itself that Redis answers again, and the other one may need longer.
    until(lambda: works(estate), "an image can be pulled again")


@pytest.mark.parametrize("child", ["redis", "registry", "serve", "nginx"])
def test_a_killed_child_comes_back(estate: Estate, child: str) -> None:
    """It is started again, the log says so, and meanwhile nobody's credential is called wrong."""
    stack = estate.stack
    old = stack.pid(child)
    others = {name: stack.pid(name) for name in ("redis", "registry", "serve", "nginx") if name != child}
    said = len(stack.err.read_text())
    with meanwhile(lambda: one_token(estate), threads=2, pause=0.02) as tally:
        os.kill(old, signal.SIGKILL)
        until(lambda: f"{child} is running again" in stack.err.read_text()[said:], f"{child} runs again")
        until(lambda: works(estate), "an image can be pulled again")
        until(lambda: tally.results[200], "tokens are issued again")
    assert f"authsvc: {child} was ended by SIGKILL; starting it again in" in stack.err.read_text()[said:]
    assert stack.pid(child) != old
    assert {name: stack.pid(name) for name in others} == others, "nobody else had to be restarted"
    never_denied(tally)
    if child == "redis":
        assert tally.results[503], "it was down and that was seen"


def test_a_killed_worker_comes_back(estate: Estate) -> None:
    """The other worker goes on, and the parent starts a new one."""
    stack = estate.stack
    # A test before may have had them restarted.
    before = until(lambda: found if len(found := workers_of(stack.pid("serve"))) == 2 else [], "two workers run")
    started, died = (len(logged(stack, f"worker.{what}")) for what in ("started", "died"))
    with meanwhile(lambda: one_token(estate), threads=2, pause=0.02) as tally:
        os.kill(before[0], signal.SIGKILL)
        until(lambda: len(now := workers_of(stack.pid("serve"))) == 2 and before[0] not in now, "a new worker is there")
        until(lambda: len(logged(stack, "worker.started")) > started, "it has started")
        until(lambda: tally.results[200], "tokens are issued")
    never_denied(tally)
    told = until(lambda: logged(stack, "worker.died")[died:], "its death is logged")
    assert told[-1]["exit_code"] == -signal.SIGKILL
    assert before[1] in workers_of(stack.pid("serve"))
