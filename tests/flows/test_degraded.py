"""Redis is away: what goes on, what waits, and how fast either is said (docs/reliability.md)."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.support.http_client import Reply, get_token
from tests.support.http_client import claims_of as claims
from tests.support.oci import Image
from tests.support.registry_client import Client
from tests.support.stack import IMPATIENT, Stack, running_stack
from tests.support.tenants import Account, make_ending_license, make_license, make_member, make_team
from tests.support.waiting import until

IMAGE = Image(b"what customers run")
SCOPE = "repository:app/worker:pull"
MOST_GUESSES = 60


@contextmanager
def paused_redis(stack: Stack) -> Iterator[None]:
    """Let Redis hang; it is there, and does not answer."""
    redis = stack.pid("redis")
    os.kill(redis, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(redis, signal.SIGCONT)


def degraded(reply: Reply) -> dict[str, Any] | None:
    """Return what a token says that was issued without Redis; what Redis has just vouched for is one like any other."""
    assert reply.status == 200
    told = claims(reply.json()["token"])
    return told if told.get("degraded") is True else None


def relied_on(reply: Reply) -> dict[str, Any] | None:
    """Return what a token says that was issued with Redis."""
    told = claims(reply.json()["token"])
    return None if "degraded" in told else told


def issued(stack: Stack, account: Account) -> Reply:
    """Return a token, asked for again while a busy machine is too slow for the deadlines."""
    return until(lambda: reply if (reply := get_token(stack.port, account, SCOPE)).status == 200 else None, "a token")


def test_a_verified_license_pulls_on_and_nothing_else_does() -> None:
    """A license seen within the minute gets one-minute tokens that pull; members and new licenses are told to wait."""
    with running_stack(REDIS_DEADLINE=IMPATIENT) as stack:
        owner = make_member(stack, make_team(stack, "app"), "owner")
        Client(stack.port, owner).push("app/worker", "1", IMAGE)
        seen, unseen = make_license(stack, "app"), make_license(stack, "app")
        revoked = make_license(stack, "app")
        issued(stack, revoked.account)
        stack.authsvc("license", "revoke", revoked.id)
        until(lambda: get_token(stack.port, revoked.account, SCOPE).status == 401, "the revocation is seen")
        issued(stack, seen.account)
        with paused_redis(stack):
            told = until(lambda: degraded(get_token(stack.port, seen.account, SCOPE)), "the cache is not relied on")
            assert told["exp"] - told["iat"] == 60
            Client(stack.port, seen.account).pull("app/worker", "1", IMAGE)
            assert get_token(stack.port, unseen.account, SCOPE).status == 503
            assert get_token(stack.port, owner, SCOPE).status == 503
            after = get_token(stack.port, revoked.account, SCOPE)
            assert (after.status, after.error()[0]) == (401, "DENIED"), "a revocation that was seen is not forgotten"
        until(lambda: get_token(stack.port, owner, SCOPE).status == 200, "it comes back by itself")
        fresh = until(lambda: relied_on(issued(stack, seen.account)), "its tokens are as before")
        assert fresh["exp"] - fresh["iat"] == 300
        event = next(e for e in stack.events("serve.log") if e["event"] == "token.issued" and e["degraded"])
        assert event["subject"] == f"license:{seen.id}"


def test_switched_off_every_request_waits() -> None:
    """With AUTHSVC_DEGRADED_PULLS=off a verified license is told to wait too."""
    with running_stack(DEGRADED_PULLS="off", REDIS_DEADLINE=IMPATIENT) as stack:
        make_team(stack, "app")
        license_ = make_license(stack, "app")
        issued(stack, license_.account)
        with paused_redis(stack):
            until(lambda: get_token(stack.port, license_.account, SCOPE).status == 503, "the cache is not relied on")


def test_expired_licenses_of_a_thousand_kubelets_throttle_nobody() -> None:
    """A right secret of an account that may not be used is no failure: the others behind the address go on."""
    with running_stack() as stack:
        owner = make_member(stack, make_team(stack, "app"), "owner")
        expired, good = make_ending_license(stack, "app"), make_license(stack, "app")
        until(lambda: get_token(stack.port, expired.account, SCOPE).status == 401, "the license has expired")
        with ThreadPoolExecutor(16) as kubelets:
            replies = list(kubelets.map(lambda _: get_token(stack.port, expired.account, SCOPE), range(1000)))

        assert {reply.status for reply in replies} == {401}
        assert {reply.error()[0] for reply in replies} == {"DENIED"}
        assert get_token(stack.port, good.account, SCOPE).status == 200
        assert get_token(stack.port, owner, SCOPE).status == 200
        assert get_token(stack.port, Account(owner.username, "a wrong password"), SCOPE).status == 401


def test_a_guesser_gets_429_and_an_outdated_client_locks_nobody_out() -> None:
    """Ten guesses are evaluated, over all workers; one old password, however often it comes, is one of them."""
    with running_stack(options=("--workers", "2")) as stack:
        owner, license_ = make_member(stack, make_team(stack, "app"), "owner"), make_license(stack, "app")
        outdated = Account(owner.username, "my password of last year")
        with ThreadPoolExecutor(16) as clients:
            old = list(clients.map(lambda _: get_token(stack.port, outdated, SCOPE).status, range(64)))
        assert old == [401] * 64
        assert get_token(stack.port, owner, SCOPE).status == 200

        # A slow machine gives the throttle the time to forgive one or two meanwhile.
        replies: list[Reply] = []
        while (not replies or replies[-1].status == 401) and len(replies) < MOST_GUESSES:
            replies.append(get_token(stack.port, Account(owner.username, f"wrong password {len(replies)}"), SCOPE))
        assert len(replies) > 10
        assert 429 == replies[-1].status
        assert replies[-1].error()[0] == "TOOMANYREQUESTS"
        assert int(replies[-1].headers["retry-after"]) >= 1
        assert get_token(stack.port, owner, SCOPE).status == 429
        assert get_token(stack.port, outdated, SCOPE).status == 401
        assert get_token(stack.port, license_.account, SCOPE).status == 200
