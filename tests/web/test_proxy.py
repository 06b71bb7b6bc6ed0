"""``/v2/proxy/`` of a running stack, before anything is linked: challenges, tokens, paths, methods."""

import re

import pytest

from tests.support.http_client import Reply, ask
from tests.support.registry_client import Client
from tests.support.stack import Stack
from tests.support.tenants import Account, License, make_license

DIGEST = "sha256:" + "a" * 64


@pytest.fixture(scope="session")
def holder(stack: Stack, app: str) -> License:
    """Return a license that covers everything of the upstream ``hub``."""
    return make_license(stack, app, "--repository", "proxy/hub/**")


def challenge(reply: Reply) -> dict[str, str]:
    """Return what a 401 asks for."""
    scheme, _, rest = reply.headers["www-authenticate"].partition(" ")
    assert (reply.status, scheme) == (401, "Bearer")
    return dict(re.findall(r'(\w+)="([^"]*)"', rest))


@pytest.mark.parametrize("what", ["manifests/1", f"blobs/{DIGEST}", "tags/list", f"referrers/{DIGEST}"])
def test_the_challenge_is_that_of_the_registry(stack: Stack, app: str, what: str) -> None:
    """A client is sent to the same place with the same words as for an image of our own."""
    repository = f"proxy/{app}/hub/org/image"
    ours = challenge(ask(stack.port, "GET", f"/v2/{app}/x/tags/list"))
    reply = ask(stack.port, "GET", f"/v2/{repository}/{what}")

    assert challenge(reply) == {**ours, "scope": f"repository:{repository}:pull"}
    assert reply.error()[0] == "UNAUTHORIZED"
    assert reply.headers["docker-distribution-api-version"] == "registry/2.0"


def test_a_token_that_is_not_ours(stack: Stack, app: str) -> None:
    """It is named invalid, and nothing more is said."""
    reply = ask(stack.port, "GET", f"/v2/proxy/{app}/hub/x/manifests/1", headers={"Authorization": "Bearer a.b.c"})

    assert challenge(reply)["error"] == "invalid_token"


def test_a_license_without_a_pattern(stack: Stack, app: str, license_: License) -> None:
    """Its token is good and opens nothing here."""
    reply = Client(stack.port, license_.account).ask("GET", f"/v2/proxy/{app}/hub/x/manifests/1")

    assert challenge(reply)["error"] == "insufficient_scope"


def test_a_token_is_for_one_repository(stack: Stack, app: str, holder: License) -> None:
    """A token for one opens no other, and no native one with the same end."""
    token = Client(stack.port, holder.account).token(f"repository:proxy/{app}/hub/x:pull")
    for other in (f"proxy/{app}/hub/y", f"proxy/{app}/quay/x", f"proxy/{app}/hub/x/y"):
        reply = ask(stack.port, "GET", f"/v2/{other}/tags/list", headers={"Authorization": f"Bearer {token}"})
        assert challenge(reply)["error"] == "insufficient_scope"


@pytest.mark.parametrize("account", ["holder", "member"])
def test_nothing_is_linked(stack: Stack, app: str, account: str, request: pytest.FixtureRequest) -> None:
    """Whoever may pull is told which link is missing."""
    who = request.getfixturevalue(account)
    client = Client(stack.port, who if isinstance(who, Account) else who.account)
    reply = client.ask("GET", f"/v2/proxy/{app}/hub/org/image/manifests/1")

    assert (reply.status, reply.error()[0]) == (404, "NAME_UNKNOWN")
    assert f"the app {app} has no linked registry hub" in reply.error()[1]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_push_is_refused(stack: Stack, app: str, method: str) -> None:
    """In words, whoever asks."""
    reply = ask(stack.port, method, f"/v2/proxy/{app}/hub/org/image/blobs/uploads/")

    assert (reply.status, reply.error()[0]) == (405, "UNSUPPORTED")
    assert "can only be pulled" in reply.error()[1]


@pytest.mark.parametrize(
    "path",
    [
        "/v2/proxy/{app}/hub/../{app}/x/tags/list",
        "/v2/{app}/../proxy/{app}/hub/x/tags/list",
        "/v2/proxy/{app}/hub/%2e%2e/x/tags/list",
        "/v2/proxy/{app}%2fhub/x/tags/list",
        "/v2/proxy/{app}//hub/x/tags/list",
        "/v2//proxy/{app}/hub/x/tags/list",
        "/v2/%70roxy/{app}/hub/x/tags/list",
        "/v2/proxy/{app}/hub/X/tags/list",
        "/v2/proxy/{app}/hub/x/tags/list/",
        "/v2/proxy/{app}/hub/tags/list",
        "/v2/proxy/",
        "/v2/proxy/_catalog",
    ],
)
def test_path_tricks(stack: Stack, app: str, holder: License, path: str) -> None:
    """Attack 40: another spelling is another address, where nothing is, with and without a token."""
    target = path.format(app=app)
    token = Client(stack.port, holder.account).token(f"repository:proxy/{app}/hub/x:pull")
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        reply = ask(stack.port, "GET", target, headers=headers)
        assert (reply.status, reply.error()[0]) == (404, "NAME_INVALID")
