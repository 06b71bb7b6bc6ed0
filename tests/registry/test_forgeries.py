"""What a real registry refuses, and what the rules say about it."""

import socket
import time

import pytest

from authsvc.issuance import ISSUER
from tests.support.builders import SERVICE, Root
from tests.support.forgeries import Forgery, forge, make_claims, signed_by
from tests.support.real_registry import RealRegistry
from tests.support.registry_rules import Major, Refused, Registry, real_now

PATH = "/v2/acme/x/tags/list"
OPENED = 404
"""The repository is empty: a token that opens it finds nothing there."""


def rules(major: Major, root: Root) -> Registry:
    """Return the rules of a registry that trusts ``root``."""
    return Registry(major, (root.certificate,), ISSUER, SERVICE)


def verdict(major: Major, root: Root, token: str) -> str:
    """Return what the rules say: open, or the section that refuses."""
    try:
        return "open" if rules(major, root).allows(token, real_now(), "acme/x", "pull") else "closed"
    except Refused as refused:
        return str(refused)


def test_every_forgery(registry: RealRegistry) -> None:
    """The real registry refuses each one that 2.8 must refuse, says why in its challenge, and takes the few others."""
    wrong = []
    with socket.create_server(("127.0.0.1", 0)) as outside:
        outside.setblocking(False)
        address = f"http://127.0.0.1:{outside.getsockname()[1]}"
        forgeries = list(forge(registry.root, real_now(), address))
        for forgery in forgeries:
            reply = registry.ask("GET", PATH, forgery.token)
            expected = (OPENED, None) if 2 in forgery.accepted_by else (401, "invalid_token")
            if (reply.status, reply.challenge.get("error")) != expected:
                wrong.append((forgery.name, reply.status, reply.challenge))
        with pytest.raises(BlockingIOError):
            outside.accept()

    assert [] == wrong
    assert len(forgeries) > 100


def test_the_rules_agree_with_the_registry(registry: RealRegistry) -> None:
    """The rewritten rules of 2.8 judge every forgery as the real registry does: so they are worth asking about 3.x."""
    differing = []
    for forgery in forge(registry.root, real_now()):
        opened = registry.ask("GET", PATH, forgery.token).status == OPENED
        said = verdict(2, registry.root, forgery.token)
        if opened != (said == "open"):
            differing.append((forgery.name, opened, said))

    assert [] == differing


@pytest.mark.parametrize("major", [2, 3])
def test_the_rules_judge_every_forgery(major: Major) -> None:
    """By the rules of 2.8 and of 3.x each forgery is refused where it must be, with the section that refuses it."""
    root = Root.make(real_now())
    wrong = [
        (forgery.name, said)
        for forgery in forge(root, real_now())
        for said in [verdict(major, root, forgery.token)]
        if (said == "open") != (major in forgery.accepted_by)
    ]

    assert [] == wrong


def test_forgeries_have_names() -> None:
    """No two forgeries are the same."""
    names = [forgery.name for forgery in forge(Root.make(real_now()), real_now())]

    assert len(names) == len(set(names))
    assert isinstance(Forgery("x", "y").accepted_by, tuple)


def test_a_new_leaf_needs_no_restart(registry: RealRegistry) -> None:
    """Leaves made after the registry's start are accepted at once, and older ones beside them."""
    leaves = [registry.root.leaf(real_now(), serial=number) for number in range(20, 25)]
    tokens = [leaf.sign(make_claims(real_now())) for leaf in leaves]

    assert [OPENED] * 10 == [registry.ask("GET", PATH, token).status for token in tokens * 2]


def test_a_new_root_does(registry: RealRegistry) -> None:
    """A leaf of another root with the same name is refused until the registry is told of that root."""
    other = Root.make(real_now(), serial=registry.root.certificate.serial_number)
    leaf = other.leaf(real_now())
    tokens = [signed_by(leaf, make_claims(real_now()), *chain) for chain in ((), (other.certificate,))]

    assert [401, 401] == [registry.ask("GET", PATH, token).status for token in tokens]


LEEWAY = 60
"""Seconds for which the registry takes a token that has ended."""


@pytest.mark.parametrize(("seconds", "status"), [(-50, OPENED), (-55, OPENED), (-70, 401), (-120, 401)])
def test_the_leeway_at_the_end(registry: RealRegistry, seconds: int, status: int) -> None:
    """A token is taken for a minute beyond its end: what docs/isolation.md calls "its end + 60 s"."""
    while True:
        end = int(time.time()) + seconds
        token = registry.root.leaf(real_now()).sign(make_claims(real_now(), exp=end))
        answer = registry.ask("GET", PATH, token).status
        # On a slow machine the registry may have seen it too late: then the answer says nothing.
        if status != OPENED or time.time() < end + LEEWAY:
            break

    assert status == answer


def test_a_token_is_for_what_it_says(registry: RealRegistry) -> None:
    """A good token opens the repository that it names, letter by letter, and asks for a wider one elsewhere."""
    token = registry.root.leaf(real_now()).sign(
        make_claims(real_now(), access=[{"type": "repository", "name": "acme/x", "actions": ["pull"]}])
    )
    others = ["acme/y", "acme/x/y", "acme-evil/x", "acmex/x", "acme/xx", "Acme/x", "x/acme/x"]
    replies = [registry.ask("GET", f"/v2/{name}/tags/list", token) for name in others]

    assert OPENED == registry.ask("GET", PATH, token).status
    assert [(401, "insufficient_scope")] * len(others) == [(r.status, r.challenge["error"]) for r in replies]
    assert [[f"repository:{name}:pull"] for name in others] == [reply.scopes for reply in replies]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic bWU6cHc=", "bearer x", "Token x", "Bearer a b"])
def test_other_headers(registry: RealRegistry, header: str) -> None:
    """Any other Authorization header is no token: 401 with a challenge."""
    reply = registry.ask("GET", PATH, headers={"Authorization": header})

    assert (401, ["repository:acme/x:pull"]) == (reply.status, reply.scopes)
