"""What outlives a certificate or a token: pulls while leaves change every second, and a push longer than its token."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from attrs import frozen

from tests.support.forgery import forge
from tests.support.http_client import ask, get_token
from tests.support.load import meanwhile
from tests.support.oci import Image, digest_of
from tests.support.registry_client import Client
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account, License, make_license, make_member, make_team
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(240)

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
            seconds=40,
        )
    assert set(tally.results) == {"pulled"}


def test_a_new_leaf_signs_at_once(estate: Estate) -> None:
    """Tokens of before and after a renewal are both good, without a restart of the registry."""
    stack = estate.stack
    tokens = []
    for _ in range(2):
        tokens.append(get_token(stack.port, estate.license.account, "repository:app/worker:pull").json()["token"])
        time.sleep(1.6)
    assert tokens[0].partition(".")[0] != tokens[1].partition(".")[0], "another x5c"
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"}
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
    begun = client.ask("POST", "/v2/app/long/blobs/uploads/", scope=scope)
    assert begun.status == 202

    left = timedelta(seconds=3)
    dying = forge(stack, {"app/long": ["pull", "push"]}, life=life, age=life + LEEWAY - left)
    headers = {"Authorization": f"Bearer {dying}", "Content-Type": "application/octet-stream"}
    pieces = [bytes([number]) * 100_000 for number in range(12)]
    content = b"".join(pieces)

    def slowly() -> Iterator[bytes]:
        for piece in pieces:
            time.sleep(0.4)
            yield piece

    began = time.monotonic()
    sent = ask(stack.port, "PATCH", begun.headers["location"], headers=headers, body=slowly())
    assert time.monotonic() - began > left.total_seconds()
    assert (sent.status, sent.headers["range"]) == (202, f"0-{len(content) - 1}")

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
