"""What a client can send that is no request to the management API: answered as a problem, never as a fault."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from authsvc.web.api import json_body
from tests.support.api_server import ApiServer
from tests.support.installation import APP
from tests.web.api.conftest import THEIR_APP, People
from tests.web.api.test_licenses import NEW

CREATE = ("POST", "/licenses")

NGINX = Path(__file__).parents[3] / "registry-config/nginx.conf"


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "app is missing"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b'{"app": "a", "app": "b"}', "twice"),
        (b'{"fields": {"a": 1, "a": 2}}', "twice"),
        (b'{"fields": {"a": NaN}}', "NaN is not a number"),
        (b'{"fields": {"a": -Infinity}}', "-Infinity is not a number"),
        (b'{"fields": {"a": 1e999}}', "out of range"),
        (b'{"fields": {"a": 1' + b"0" * 5000 + b"}}", "not JSON"),
        (b'{"customer": "\\ud800"}', "not JSON"),
        (b'{"\\udc00": 1}', "not JSON"),
        (b'{"customer": "\xff"}', "not JSON"),
        (b'\xef\xbb\xbf{"customer": "x"}', "not JSON"),
        (b'{"customer": "x"}'.decode().encode("utf-16"), "not JSON"),
        (b"[" * 30_000 + b"]" * 30_000, "not JSON"),
        (b'{"fields":' * 20 + b"1" + b"}" * 20, "nested"),
        (b'{"customer": "x"} trailing', "not JSON"),
        (b"{'customer': 'x'}", "not JSON"),
    ],
)
async def test_bodies_that_are_not_understood(api: ApiServer, people: People, raw: bytes, sentence: str) -> None:
    """Each gets a sentence, and makes nothing."""
    before = len(api.house.told)
    reply = await api.ask(*CREATE, people["developer"], raw=raw)
    assert (reply.status, sentence in reply.json()["detail"]) == (400, True), reply
    assert len(api.house.told) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": ""},
        {"Content-Encoding": "gzip"},
    ],
)
async def test_bodies_that_are_not_json(api: ApiServer, people: People, headers: dict[str, str]) -> None:
    """A form in a browser can send none that is accepted."""
    reply = await api.ask(*CREATE, people["developer"], raw=json.dumps(NEW).encode(), headers=headers)
    assert (reply.status, reply.code) == (415, "media_type_unsupported")


async def test_a_body_that_is_too_long(api: ApiServer, people: People) -> None:
    """The limit is on what is read, not on what is said."""
    reply = await api.ask(*CREATE, people["developer"], raw=b" " * 70_000)
    assert (reply.status, reply.code) == (413, "body_too_large")


async def test_a_list_that_is_too_long_is_not_looked_at(api: ApiServer, people: People) -> None:
    """One problem, and not one for each of its items, which take a worker seconds to list."""
    for path, name, items in (
        ("/licenses/import", "rows", [1] * 20_000),
        ("/licenses", "repositories", [1] * 20_000),
        ("/licenses/preview", "repositories", ["x"] * 10_000),
    ):
        body = {"app": "acme", "customer": "x", "expires": "9d", name: items}
        reply = await api.ask("POST", path, people["developer"], body, checked=False)
        problem = next(one for one in reply.json()["errors"] if one["field"] == name)
        assert (reply.status, problem["detail"]) == (400, f"{name} must be a list of at most 1,000 items")


async def test_a_body_that_does_not_arrive(api: ApiServer, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops in the middle of its body holds nothing for long."""
    monkeypatch.setattr(json_body, "BODY_DEADLINE", 0.05)
    head = (
        "POST /api/v1/licenses HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"Content-Length: 100\r\nAuthorization: Bearer {people['developer'].reveal()}\r\n\r\n{{"
    )
    answer = await api.say(head.encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"the body did not arrive" in answer


async def test_a_body_where_none_is_expected(api: ApiServer, people: People) -> None:
    """Its members are unknown, so it is refused; an empty object is no body."""
    await api.ask(*CREATE, people["developer"], NEW)
    reply = await api.ask("POST", "/licenses/order-1001/revoke", people["developer"], {"reason": "x"})
    assert (reply.status, reply.fields()) == (400, {"reason": "argument_unknown"})
    assert (await api.ask("GET", "/apps", people["developer"], {"limit": 1})).status == 400
    assert (await api.ask("POST", "/licenses/order-1001/revoke", people["developer"], {})).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api", 404),
        ("GET", "/api/", 404),
        ("GET", "/api/v1", 404),
        ("GET", "/api/v1/", 404),
        ("GET", "/api/v2/apps", 404),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/api/v1/apps/", 404),
        ("GET", "/api//v1/apps", 404),
        ("GET", "/api/v1//apps", 404),
        ("GET", "/api/v1/../v1/apps", 404),
        ("GET", "/api/v1/%2e%2e/v1/apps", 404),
        ("GET", "/api/v1/apps/acme/x", 404),
        ("GET", "/api/V1/apps", 404),
        ("GET", "/api/v1/apps;x=1", 404),
        ("GET", "/api/openapi.json/", 404),
        ("HEAD", "/api/v1/licenses/x/revoke", 405),
        ("OPTIONS", "/api/v1/apps", 405),
        ("PUT", "/api/v1/apps", 405),
        ("DELETE", "/api/v1/apps/acme", 405),
        ("TRACE", "/api/v1/apps", 405),
        ("GET", "/api/v1/licenses/x/revoke", 405),
    ],
)
async def test_addresses_that_are_not_served(
    api: ApiServer, people: People, method: str, path: str, status: int
) -> None:
    """In the dialect of the API, with what is allowed."""
    reply = await api.ask(method, path, people["owner"], checked=False)
    assert reply.status == status, reply
    if method != "HEAD":
        assert reply.code == {404: "path_not_found", 405: "method_not_allowed"}[status]
        assert reply.json()["request_id"] == reply.headers["x-request-id"]
    assert ("allow" in reply.headers) == (status == 405)


def passed_methods() -> list[str]:
    """Return the methods that nginx passes on below /api/ alone."""
    (methods,) = re.findall(r'"~\^\(([A-Z|]+)\)\\\|/api/" "";', NGINX.read_text(encoding="utf-8"))
    return [*methods.split("|")]


@pytest.mark.parametrize("method", passed_methods())
async def test_a_method_of_other_protocols(api: ApiServer, people: People, method: str) -> None:
    """What nginx passes on is answered in the dialect of the API, not by the HTTP parser."""
    reply = await api.ask(method, "/api/v1/apps", people["owner"], checked=False)
    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET,HEAD,POST"


async def test_a_method_is_what_the_request_says(api: ApiServer, people: People) -> None:
    """Headers and parameters that other servers take for another method change nothing."""
    await api.ask(*CREATE, people["developer"], NEW)
    headers = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "DELETE", "X-Method-Override": "PATCH"}
    reply = await api.ask("GET", "/licenses/order-1001", people["developer"], headers=headers)
    assert (reply.status, reply.json()["state"]) == (200, "active")
    assert (await api.ask("GET", "/licenses/order-1001?_method=DELETE", people["developer"])).status == 400


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("?limit=0", {"limit": "limit_invalid"}),
        ("?limit=101", {"limit": "limit_invalid"}),
        ("?limit=-1", {"limit": "type_invalid"}),
        ("?limit=1e1", {"limit": "type_invalid"}),
        ("?limit=%D9%A3", {"limit": "type_invalid"}),
        ("?limit=99999999999999999999", {"limit": "type_invalid"}),
        ("?limit=", {"limit": "type_invalid"}),
        ("?limit=1&limit=2", {"limit": "argument_repeated"}),
        ("?after=x", {"after": "cursor_invalid"}),
        ("?archived=yes", {"archived": "type_invalid"}),
        ("?x=1&archived=2", {"x": "argument_unknown", "archived": "type_invalid"}),
        ("?%00=1", {"'\\x00'": "argument_unknown"}),
        ("?after=%ff", {}),
        ("?after=%ed%a0%80", {}),
        ("?" + "&".join(f"a{number}=1" for number in range(200)), {}),
    ],
)
async def test_queries_that_are_not_understood(
    api: ApiServer, people: People, query: str, fields: dict[str, str]
) -> None:
    """Every parameter is one that the endpoint has, once, in its form."""
    reply = await api.ask("GET", f"/apps{query}", people["owner"])
    assert (reply.status, reply.fields()) == (400, fields)


@pytest.mark.parametrize(
    "name",
    ["%00", "%0a", "..%2f..%2fetc", "%2e%2e", "a%2fb", "%ff", "%ed%a0%80", "%F0%9F%92%A9", "x" * 3000, "*", "%25", "'"],
)
async def test_names_that_name_nothing(api: ApiServer, people: People, name: str) -> None:
    """Whatever stands in a path is the name of something that is not there."""
    license_ = await api.ask("GET", f"/licenses/{name}", people["owner"], checked=False)
    app = await api.ask("GET", f"/apps/{name}", people["owner"], checked=False)
    assert (license_.status, app.status in {400, 404}) == (404, True), (license_, app)


async def test_what_is_another_vendors_is_not_there(api: ApiServer, people: People) -> None:
    """To the letter: an app or a license of another vendor is answered as one that exists nowhere."""

    async def told(method: str, path: str, name: str, body: Any = None) -> tuple[int, str]:
        reply = await api.ask(method, path.replace("NAME", name), people["stranger"], body)
        text = reply.body.decode().replace(reply.json()["request_id"], "").replace(name, "NAME")
        return reply.status, text

    made = await api.ask(*CREATE, people["developer"], NEW)
    license_id = made.json()["id"]
    for method, path, body in (
        ("GET", "/licenses/NAME", None),
        ("GET", "/licenses/NAME/file", None),
        ("PATCH", "/licenses/NAME", {"contact": "x"}),
        ("POST", "/licenses/NAME/extend", {"expires": "2028-01-01"}),
        ("POST", "/licenses/NAME/rotate", None),
        ("POST", "/licenses/NAME/revoke", None),
        ("POST", "/licenses/NAME/archive", None),
        ("POST", "/licenses/NAME/reinstate", None),
    ):
        nowhere = await told(method, path, "0" * 16, body)
        assert nowhere[0] == 404
        assert await told(method, path, license_id, body) == nowhere
        assert await told(method, path, "order-1001", body) == nowhere
    for method, path in (
        ("GET", "/apps/NAME"),
        ("POST", "/apps/NAME/archive"),
        ("POST", "/apps/NAME/reinstate"),
        ("GET", "/licenses?app=NAME"),
    ):
        assert await told(method, path, APP) == await told(method, path, "nowhere")
    assert await told(*CREATE, APP, {**NEW, "app": APP}) == await told(*CREATE, "nowhere", {**NEW, "app": "nowhere"})
    assert (await api.ask("GET", "/licenses", people["stranger"])).json() == {"items": [], "next": None}
    assert [one["slug"] for one in (await api.ask("GET", "/apps", people["stranger"])).json()["items"]] == [THEIR_APP]
    foreign = await api.ask("POST", "/apps", people["stranger"], {"slug": "mine", "team": "acme-team"})
    assert (foreign.status, foreign.code) == (404, "team_not_found")


async def test_secrets_and_values_are_not_logged(api: ApiServer, people: People) -> None:
    """One line for each request, with who asked and the route, and nothing of path, query, body or credential."""
    await api.ask(*CREATE, people["developer"], {**NEW, "customer": "Hush Corp"})
    await api.ask("GET", "/licenses/order-1001?app=acme&x=hushquery", people["developer"])
    await api.ask("GET", "/apps", "asv_pat_hushtoken")
    await api.ask("GET", "/nowhere/hushpath")
    text = api.log.getvalue()
    assert "hush" not in text.lower().replace("hush corp", "")
    assert all(secret.reveal() not in text for secret in people.tokens.values())
    (answered,) = api.logged("api.answered")
    assert (answered["route"], answered["status"]) == ("/api/v1/licenses", 201)
    assert answered["actor"].startswith("member:")
    codes = [line["code"] for line in api.logged("api.refused") if "code" in line]
    assert codes == ["argument_unknown", "credentials_refused"]
    assert api.counted == [
        ("licenses", "POST", 201),
        ("licenses", "GET", 400),
        ("apps", "GET", 401),
        ("other", "GET", 404),
    ]
