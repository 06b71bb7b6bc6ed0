"""Whose failures are counted: through nginx alone, and through a balancer in front of it."""

from urllib.parse import urlencode

from tests.support.http_client import ask, basic
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account, make_member, make_team

MOST_GUESSES = 60


def signs_in(stack: Stack, account: Account, forwarded: str) -> int:
    """Ask for a token, with a word on who asks, and return the status once the log has the request."""
    headers = {**basic(account), "X-Forwarded-For": forwarded}
    reply = ask(stack.port, "GET", f"/auth/token?{urlencode({'service': stack.name})}", headers=headers)
    stack.event_of(reply.headers["x-request-id"])
    return reply.status


def guess(member: Account, number: int) -> Account:
    """Return the account with one of many wrong passwords."""
    return Account(member.username, f"a wrong password, number {number}")


def guess_until_throttled(stack: Stack, member: Account, forwarded: str) -> list[int]:
    """Guess until the answer is 429; a slow machine gives the throttle the time to forgive one or two meanwhile."""
    found: list[int] = []
    while 429 not in found and len(found) < MOST_GUESSES:
        number = len(found)
        found.append(signs_in(stack, guess(member, number), forwarded.format(number)))
    return found


def client_addresses(stack: Stack) -> str:
    """Return what ``/readyz`` says of them."""
    return str(ask(stack.inside, "GET", "/readyz").json()["client_addresses"])


def seen(stack: Stack) -> set[str]:
    """Return every client address in the log of requests that were refused."""
    return {e["address"] for e in stack.events("serve.log") if e["event"] in {"token.refused", "token.throttled"}}


def test_a_client_can_not_say_where_it_is() -> None:
    """With another claim in every request a guesser is still one address."""
    with running_stack() as stack:
        member = make_member(stack, make_team(stack), "owner")
        found = guess_until_throttled(stack, member, "203.0.113.{}")

        assert {401} == set(found[:10])
        assert 429 == found[-1]
        assert {"127.0.0.1"} == seen(stack)
        assert "clear" == client_addresses(stack)
        assert [] == [e for e in stack.events("serve.log") if e["event"] == "clients.unclear"]


def test_behind_a_balancer_everybody_has_the_own_address() -> None:
    """The balancer is believed, what the client told it is not, and a guesser slows down nobody else's mistakes."""
    with running_stack(TRUSTED_PROXIES="127.0.0.0/8,198.51.100.0/24") as stack:
        member = make_member(stack, make_team(stack), "owner")
        through = "6.6.6.{}, 203.0.113.7, 198.51.100.4"
        found = guess_until_throttled(stack, member, through)

        assert {401} == set(found[:10])
        assert 429 == found[-1]
        assert 401 == signs_in(stack, guess(member, MOST_GUESSES), "203.0.113.8")
        assert 429 == signs_in(stack, member, "203.0.113.7")
        assert 200 == signs_in(stack, member, "203.0.113.8")
        # The stack's own look whether it is ready names nobody.
        assert {"203.0.113.7", "203.0.113.8"} == seen(stack) - {"127.0.0.1"}


def test_a_private_address_may_be_a_proxys() -> None:
    """Where clients have public addresses, a private one is reported: in the log, once, and inside in /readyz."""
    with running_stack(PRIVATE_CLIENTS="off") as stack:
        member = make_member(stack, make_team(stack), "owner")
        answers = [signs_in(stack, member, ""), signs_in(stack, guess(member, 1), ""), signs_in(stack, member, "")]
        warned = [e for e in stack.events("serve.log") if e["event"] == "clients.unclear"]

        assert [200, 401, 200] == answers
        assert ["127.0.0.1"] == [e["network"] for e in warned]
        assert "AUTHSVC_TRUSTED_PROXIES" in client_addresses(stack)
