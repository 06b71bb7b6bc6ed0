"""Names of arguments in errors: those that the client has sent, and not those of the use cases.

Every error that any test of the API gets is checked by the API's test server; here, every name that the code writes.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import authsvc
from authsvc.web.api import collections, endpoint
from authsvc.web.api.endpoint import Endpoint
from tests.support.api_server import DOCUMENT, ApiServer, arguments_of
from tests.web.api.conftest import People

HOUSE = Path(authsvc.__file__).parent

REACHED = ("manage", "tenancy", "credentials", "images", "activity", "audit", "license_file.py", "web/api")
"""What the API calls."""

PARSERS = {"parse_text", "parse_instant", "parse_moment", "parse_end", "parse_span", "parse_slug", "find_subject"}
"""Functions that take the name of an argument."""

ELSEWHERE = {
    "body": "stands for the whole body",
    "password": "set in person, never by a token",
    "session_id": "ended in person, in the portal",
    "passkey_id": "renamed and removed in person, in the portal",
    "life": "a leaf certificate, on the command line",
    "request": "a certificate request, on the command line",
}
"""Names that no endpoint has, and why."""


def written() -> dict[str, list[str]]:
    """Return the names of arguments that the code writes in errors, with where."""
    found = defaultdict(list)
    for path in sorted(HOUSE.rglob("*.py")):
        place = path.relative_to(HOUSE).as_posix()
        if place.startswith(REACHED):
            for name in names(ast.parse(path.read_text(encoding="utf-8"))):
                found[name.replace("-", "_")].append(place)
    return found


def names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that calls hand over as texts."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        given = [word.value for word in call.keywords if word.arg in {"field", "what"}]
        if called in PARSERS:
            given += call.args[1:]
        if called == "FieldProblem":
            given += call.args[:1]
        yield from (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str))


@pytest.mark.parametrize("one", collections.ENDPOINTS, ids=lambda one: one.name)
def test_an_endpoint_knows_what_it_declares(one: Endpoint) -> None:
    """The document lists the same names, and each stays itself."""
    operation = DOCUMENT["paths"][f"/api/v1{one.path}"][one.method.lower()]
    headers = {"Idempotency-Key", "If-Match", "If-None-Match"}

    assert one.arguments == arguments_of(operation) - headers - {"body"}
    assert one.arguments == {one.argument(name) for name in one.arguments}


def test_every_name_is_that_of_a_request() -> None:
    """Each that the code can write is one of an endpoint, or becomes one."""
    declared = frozenset[str]().union(*(one.arguments for one in collections.ENDPOINTS))
    strange = {
        name: places
        for name, places in written().items()
        if name not in declared | ELSEWHERE.keys() and not set(endpoint.ARGUMENTS.get(name, ())) & declared
    }
    assert strange == {}
    assert len(written()) > 30
    assert {name for names in endpoint.ARGUMENTS.values() for name in names} <= declared
    assert ELSEWHERE.keys().isdisjoint(declared)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("GET", "/licenses/nothing", None, "license"),
        ("GET", "/activity?license=nothing", None, "license"),
        ("GET", "/activity/unused-tags?repository=nothing/x", None, "repository"),
        ("GET", "/audit?event=nothing", None, "event"),
        ("GET", "/members/nobody@acme.test", None, "member"),
        ("GET", "/tokens/0123456789abcdef", None, "token"),
        ("GET", "/service-accounts/nothing", None, "service_account"),
        ("GET", "/customers/nothing", None, "customer"),
        ("POST", "/apps", {"slug": "-"}, "slug"),
        ("POST", "/members", {"email": "x", "role": "viewer"}, "email"),
        ("POST", "/members", {"email": "x@acme.test", "role": "viewer", "apps": ["nothing"]}, "apps"),
        ("POST", "/members", {"email": "x@acme.test", "role": "viewer", "apps": ["-"]}, "apps"),
        ("POST", "/service-accounts", {"name": "x", "grants": ["nothing/x:pull"]}, "grants"),
        (
            "POST",
            "/licenses",
            {"app": "acme", "customer": "x", "expires": "9d", "customer_email": "x"},
            "customer_email",
        ),
        ("POST", "/licenses", {"app": "acme", "customer": "x", "expires": "9d", "not_before": "x"}, "not_before"),
        ("POST", "/licenses/import", {"app": "acme", "rows": []}, "rows"),
        ("POST", "/licenses/renew", {"app": "acme", "rows": []}, "rows"),
        ("POST", "/licenses/renew?dry_run=true", {"app": "acme", "rows": []}, "rows"),
    ],
)
async def test_names_in_answers(
    api: ApiServer, people: People, method: str, path: str, body: object, field: str
) -> None:
    """As a client meets them."""
    reply = await api.ask(method, path, people["owner"], body)
    assert [field] == list(reply.fields()), reply
