"""Who is believed: nginx on its own socket, and no port of this machine; and what is open to other users of it."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from authsvc.web import client
from tests.support.http_client import Reply, ask, basic
from tests.support.recorded_activity import inside_port
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account, make_member, make_team

LIAR = "203.0.113.7"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Return a stack with nothing of another test in its log."""
    with running_stack() as running:
        yield running


def edge_port(stack: Stack) -> int:
    """Return the port for measuring."""
    return int((stack.data_dir / "run" / "edge-address").read_text().rpartition(":")[2])


def address_in_log(stack: Stack, place: int | Path, account: Account, forwarded: str) -> str:
    """Sign in with a wrong password and a claim, and return whose address it was."""
    target = f"/auth/token?{urlencode({'service': stack.name})}"
    wrong = Account(account.username, "some other wrong password")
    reply = ask(place, "GET", target, headers={**basic(wrong), "X-Forwarded-For": forwarded})
    return str(stack.event_of(reply.headers["x-request-id"])["address"])


def test_a_claim_counts_on_the_socket_of_nginx_alone(stack: Stack) -> None:
    """A local user who connects to a worker's port has the address of that connection, whatever is claimed."""
    member = make_member(stack, make_team(stack), "owner")

    assert address_in_log(stack, stack.data_dir / "run" / "edge.sock", member, LIAR) == LIAR
    assert address_in_log(stack, edge_port(stack), member, LIAR) == "127.0.0.1"
    assert address_in_log(stack, stack.port, member, LIAR) == "127.0.0.1"


def test_health_and_metrics_are_for_this_user_alone(stack: Stack) -> None:
    """They are on a socket that others may not open; the port inside takes events and nothing else."""
    run = stack.data_dir / "run"
    assert [ask(stack.inside, "GET", path).status for path in ("/metrics", "/readyz")] == [200, 200]
    for path in ("/metrics", "/readyz", "/livez"):
        assert ask(inside_port(stack), "GET", path).status == 404, path
    assert ask(inside_port(stack), "POST", "/events/registry").status == 401
    assert ask(stack.inside, "POST", "/events/registry").status == 404
    for name in ("edge.sock", "inside.sock"):
        assert stat.S_IMODE((run / name).stat().st_mode) == 0o600, name
    assert stat.S_IMODE(run.stat().st_mode) == 0o700


def test_a_balancer_is_told_whether_to_send_requests(stack: Stack) -> None:
    """In one word, also at the port for measuring; the reasons are inside."""
    for place in (stack.port, edge_port(stack)):
        reply: Reply = ask(place, "GET", "/readyz")
        assert (reply.status, reply.body) == (200, b"ready\n")
        assert reply.headers["content-type"].startswith("text/plain")


def _none_is_ours(peer: str | None, forwarded: list[str], trusted: tuple[()]) -> str:
    """Seeded bug: a connection whose client has gone is taken for one of nginx."""
    return client.client_address(peer or "", forwarded, trusted)


def _loopback_is_ours(peer: str | None, forwarded: list[str], _trusted: tuple[()]) -> str:
    """Seeded bug: whoever is on this machine is taken for nginx, as it was before there was a socket."""
    return forwarded[-1] if peer in {"", "127.0.0.1"} else client.client_address(peer, forwarded, ())


def believes_liars(address: Callable[..., str]) -> bool:
    """Return whether somebody who is not nginx can choose an address."""
    return any(address(peer, [LIAR], ()) == LIAR for peer in (None, "127.0.0.1", "::1", "10.0.0.1"))


@pytest.mark.parametrize("mutant", [_none_is_ours, _loopback_is_ours])
def test_a_broken_check_is_noticed(mutant: Callable[..., str]) -> None:
    """The rule that the tests above rely on rejects what its broken twins let through."""
    assert believes_liars(mutant)
    assert not believes_liars(client.client_address)
    assert client.client_address("", [LIAR], ()) == LIAR
