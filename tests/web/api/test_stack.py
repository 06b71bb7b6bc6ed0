"""The management API of a running stack, through nginx and the key service."""

import base64
import json
import re

import pytest

from tests.support.http_client import Reply, ask, get_token
from tests.support.stack import Stack
from tests.support.tenants import Account, License, make_member, make_team, unique


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """Return an app."""
    slug = unique("app")
    make_team(stack, slug)
    return slug


@pytest.fixture(scope="module")
def token(stack: Stack, app: str) -> str:
    """Return the token of an owner of the app's team."""
    team = stack.json("app", "show", app)["team"]
    owner = make_member(stack, team, "owner")
    made = stack.json("token", "create", "crm", "--member", owner.username, "--api", "manage")
    return str(made["token"])


def call(stack: Stack, method: str, path: str, token: str | None = None, body: object = None) -> Reply:
    """Call the API."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return ask(stack.port, method, path, headers=headers, body=b"" if body is None else json.dumps(body).encode())


def test_a_license_that_was_made_by_a_program_pulls(stack: Stack, app: str, token: str) -> None:
    """The worker's key service signs it; the command line sees it; revoking it ends it at once."""
    made = call(stack, "POST", "/api/v1/licenses", token, {"app": app, "customer": "Globex", "expires": "90d"})
    assert made.status == 201, made
    license_id = made.json()["id"]
    file = call(stack, "GET", f"/api/v1/licenses/{license_id}/file", token)
    license_ = License(license_id, file.body.decode())
    downloaded = json.loads(stack.authsvc("license", "download", license_id, "--output", "-").out)
    assert license_.document["license"] == downloaded["license"]
    scope = f"repository:{app}/x:pull"
    assert get_token(stack.port, license_.account, scope).status == 200
    assert call(stack, "POST", f"/api/v1/licenses/{license_id}/revoke", token).status == 200
    assert get_token(stack.port, license_.account, scope).status == 401
    assert stack.json("license", "show", license_id)["state"] == "revoked"


def test_every_address_reaches_a_worker(stack: Stack) -> None:
    """With nothing to show, each operation of the document is refused by the API, not redirected by nginx."""
    for path, item in call(stack, "GET", "/api/openapi.json").json()["paths"].items():
        for method in item:
            reply = call(stack, method.upper(), re.sub(r"{\w+}", "x", path))
            reached = reply.status == 401 or path == "/api/openapi.json"
            assert reached, (method, path, reply)


def test_the_document_is_public(stack: Stack) -> None:
    """At the one address of the registry."""
    reply = call(stack, "GET", "/api/openapi.json")
    assert (reply.status, reply.json()["openapi"]) == (200, "3.1.0")


@pytest.mark.parametrize(
    ("method", "path", "size", "status", "code"),
    [
        ("GET", "/api", 0, 404, "path_not_found"),
        ("GET", "/api/", 0, 404, "path_not_found"),
        ("GET", "/api/v1/nothing?x=1", 0, 404, "path_not_found"),
        ("DELETE", "/api/v1/apps", 0, 405, "method_not_allowed"),
        ("POST", "/api/v1/apps", 70_000, 413, "body_too_large"),
        ("GET", "/api/v1/apps", 0, 401, "credentials_refused"),
        ("GET", "//api/v1/apps", 0, 404, "path_not_found"),
        ("GET", "//api/v1/images/x", 0, 404, "path_not_found"),
        ("GET", "/api%2fv1/apps", 0, 404, "path_not_found"),
        ("GET", "/x/../api/v1/apps", 0, 404, "path_not_found"),
        ("POST", "/api?x=1", 70_000, 413, "body_too_large"),
        ("GET", f"/api/v1/apps?after={'x' * 17_000}", 0, 414, "request_refused"),
        ("GET", "/api/v1/%zz", 0, 400, "request_refused"),
        ("GET", "/api/../../x", 0, 400, "request_refused"),
    ],
)
def test_errors_are_problems(stack: Stack, method: str, path: str, size: int, status: int, code: str) -> None:
    """Those of nginx too."""
    reply = ask(stack.port, method, path, body=b"x" * size)
    assert reply.headers["content-type"].startswith("application/problem+json"), reply
    problem = json.loads(reply.body)
    assert (reply.status, problem["status"], problem["code"]) == (status, status, code)
    assert problem.keys() >= {"type", "title", "detail", "request_id"}


def test_a_registry_token_is_not_a_bearer_token(stack: Stack, app: str, token: str) -> None:
    """The classes of tokens never mix, either way."""
    registry = get_token(stack.port, Account("x", token), f"repository:{app}/x:pull").json()["token"]
    assert call(stack, "GET", "/api/v1/apps", registry).status == 401
    basic = base64.b64encode(f"x:{token}".encode()).decode()
    assert ask(stack.port, "GET", "/api/v1/apps", headers={"Authorization": f"Basic {basic}"}).status == 401


@pytest.mark.parametrize("target", ["/apis", f"/auth/token?service=/api/{'x' * 17_000}"])
def test_other_addresses_keep_the_dialect_of_the_registry(stack: Stack, target: str) -> None:
    """Also those that look a little like the API."""
    assert ask(stack.port, "GET", target).error()[0] in {"NOT_FOUND", "UNSUPPORTED", "UNAUTHORIZED"}


def test_headers_that_are_too_long(stack: Stack) -> None:
    """As every error of nginx below /api."""
    reply = ask(stack.port, "GET", "/api/v1/apps", headers={"Authorization": f"Bearer {'x' * 17_000}"})
    assert reply.headers["content-type"] == "application/problem+json"
    assert (reply.status, json.loads(reply.body)["code"]) == (431, "request_refused")
