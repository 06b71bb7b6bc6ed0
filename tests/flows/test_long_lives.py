"""What outlives a certificate or a token: pulls while leaves change every second, and a push longer than its token."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from attrs import frozen

from tests.support.forgery import forge
from tests.support.http_client import Reply, ask, get_token
from tests.support.load import meanwhile
from tests.support.oci import Image, digest_of
from tests.support.registry_client import Client
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account, License, make_license, make_member, make_team
from tests.support.waiting import until

IMAGE = Image(b"pulled over and over")
PULLERS = 16
LEEWAY = timedelta(seconds=60)
"""By which the registry takes a token longer than it says (distribution, registry/auth/token)."""


@frozen
class Estate:
    """A stack in a hurry: leaves live a second, tokens a minute."""

    stack: Stack
    owner: Account
    license: License


@pytest.fixture(scope="module")
def estate() -> Iterator[Estate]:
    """Return a stack with an image."""
    with running_stack(options=("--workers", "2"), LEAF_RENEWAL="1", PUSH_TOKEN_LIFE="60") as stack:
        owner = make_member(stack, make_team(stack, "app"), "owner")
        Client(stack.port, owner).push("app/worker", "1", IMAGE)
        yield Estate(stack, owner, make_license(stack, "app"))


def test_pulls_do_not_notice_new_leaves(estate: Estate) -> None:
    """Sixteen clients pull with a token of their own each time while every worker changes its leaf; none fails."""
    stack = estate.stack

    def pull() -> str:
        Client(stack.port, estate.license.account).pull("app/worker", "1", IMAGE)
        return "pulled"

    def renewals() -> int:
        return sum(event["event"] == "leaf.renewed" for event in stack.events("serve.log"))

    before = renewals()
    with meanwhile(pull, threads=PULLERS) as tally:
        # Two workers, a renewal each second; on a busy machine it takes longer until enough has happened.
        until(
            lambda: renewals() - before >= 6 and tally.results.total() >= 10 * PULLERS,
            "leaves change while images are pulled",
        )
    assert set(tally.results) == {"pulled"}


def test_a_new_leaf_signs_at_once(estate: Estate) -> None:
    """Tokens of before and after a renewal are both good, without a restart of the registry."""
    stack = estate.stack

    def token() -> str:
        issued: str = get_token(stack.port, estate.license.account, "repository:app/worker:pull").json()["token"]
        return issued

    def header(token: str) -> str:
        return token.partition(".")[0]

    before = token()
    after = until(lambda: now if header(now := token()) != header(before) else "", "another certificate signs")
    for token_of_either in (before, after):
        headers = {"Authorization": f"Bearer {token_of_either}"}
        assert ask(stack.port, "GET", "/v2/app/worker/tags/list", headers=headers).status == 200


def test_a_push_outlives_its_token(estate: Estate) -> None:
    """A body that began in time is taken to its end, and for the next request the client fetches a new token.

    A minute passes in the token alone: it is one that authsvc issued almost a life and a leeway ago. The engine's
    own push that really takes longer is in tests/system.
    """
    stack, scope = estate.stack, "repository:app/long:pull,push"
    passed = [0.0]
    client = Client(stack.port, estate.owner, clock=lambda: passed[0])
    facts = get_token(stack.port, estate.owner, scope).json()
    life = timedelta(seconds=60)
    assert facts["expires_in"] == life.total_seconds(), "what AUTHSVC_PUSH_TOKEN_LIFE says"
    content, sent, dying = _outlive(stack, client, scope, life)
    assert (sent.status, sent.headers["range"]) == (202, f"0-{len(content) - 1}")
    headers = {"Authorization": f"Bearer {dying}", "Content-Type": "application/octet-stream"}

    finish = f"{sent.headers['location']}&digest={digest_of(content)}"
    dead = ask(stack.port, "PUT", finish, headers=headers)
    assert dead.status == 401
    assert 'error="invalid_token"' in dead.headers["www-authenticate"]

    passed[0] = 121.0
    done = client.ask("PUT", finish, scope=scope)
    assert done.status == 201, done
    assert ask(
        stack.port, "GET", f"/v2/app/long/blobs/{digest_of(content)}",
        headers={"Authorization": f"Bearer {client.token(scope)}"},
    ).body == content  # fmt: skip


def _outlive(stack: Stack, client: Client, scope: str, life: timedelta) -> tuple[bytes, Reply, str]:
    """Send a body whose token dies on the way; return the body, the answer and the token.

    A slow machine may need longer than the token has left before the registry sees the request at all, and then the
    next token has longer.
    """
    pieces = [bytes([number]) * 100_000 for number in range(12)]
    for left in (timedelta(seconds=3), timedelta(seconds=15), timedelta(seconds=50)):
        begun = client.ask("POST", "/v2/app/long/blobs/uploads/", scope=scope)
        assert begun.status == 202
        dying = forge(stack, {"app/long": ["pull", "push"]}, life=life, age=life + LEEWAY - left)
        dead_at = time.monotonic() + left.total_seconds() + 1

        def slowly(dead_at: float = dead_at, pause: float = left.total_seconds() / len(pieces)) -> Iterator[bytes]:
            for piece in pieces[:-1]:
                time.sleep(pause)
                yield piece
            time.sleep(max(0.0, dead_at - time.monotonic()))
            yield pieces[-1]

        headers = {"Authorization": f"Bearer {dying}", "Content-Type": "application/octet-stream"}
        with suppress(OSError):  # a request that is refused at its start is cut off
            sent = ask(stack.port, "PATCH", begun.headers["location"], headers=headers, body=slowly())
            if sent.status != 401:
                return b"".join(pieces), sent, dying
    pytest.fail("the registry never saw the request in time")
