"""Both forms of a token request, as every client sends them."""

import base64
from typing import Any, assert_never
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.redaction import Secret
from authsvc.spec.scope import merge_scopes
from authsvc.spec.token_request import (
    Presented,
    RefreshGrant,
    TokenRequest,
    Unreadable,
    UserPassword,
    from_form,
    from_query,
    from_query_string,
)
from tests.support.vectors import cases, name_of


def basic(user: str, password: str) -> str:
    """Return a Basic header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def shown(presented: Presented) -> list[str]:
    """Return ``presented`` in the words of the vectors."""
    match presented:
        case None:
            return ["nothing"]
        case UserPassword(username, password):
            return ["password", username, password.reveal()]
        case RefreshGrant(token):
            return ["refresh", token.reveal()]
        case Unreadable():
            return ["unreadable"]
        case _:
            assert_never(presented)


@pytest.mark.parametrize("case", cases("token_requests.toml", "request"), ids=name_of)
def test_examples(case: dict[str, Any]) -> None:
    """What each client sends becomes the one value that it means."""
    fields = parse_qsl(case["wire"], keep_blank_values=True)
    header = basic(*case["basic"]) if "basic" in case else None
    request = (from_query if case["method"] == "GET" else from_form)(fields, header)

    assert case["presents"] == shown(request.presented)
    assert case["scopes"] == [str(scope) for scope in request.scopes.scopes]
    assert case.get("service") == request.service
    assert case.get("client_id") == request.client_id
    assert case.get("offline", False) == request.offline


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Basic bWU6cHc=", ["password", "me", "pw"]),
        ("basic bWU6cHc=", ["password", "me", "pw"]),
        ("BASIC   bWU6cHc=  ", ["password", "me", "pw"]),
        ("Basic OnB3", ["password", "", "pw"]),
        ("Basic Og==", ["password", "", ""]),
        ("Basic bWU6YTpiOmM=", ["password", "me", "a:b:c"]),
    ],
)
def test_basic(header: str, expected: list[str]) -> None:
    """The scheme's case does not matter, the user may be empty, and only the first colon splits."""
    assert expected == shown(from_query([], header).presented)


@pytest.mark.parametrize(
    "header",
    ["", " ", "Basic", "Basic ", "Basic =", "Basic !!!!", "Basic bWU6cHc", "Basic bWU=", "Basic bWU6\ncHc=",
     "Bearer x.y.z", "Basic /w==", "Basic 6TpwdzE=", "Digest username=x",
     "Basic b\u0430U6cHc=", "bWU6cHc=", "Basic bWU6cHc= bWU6cHc="],
)  # fmt: skip
def test_unreadable_headers(header: str) -> None:
    """Credentials that nobody can read are no anonymous request: the reply must not be a token for nobody."""
    assert ["unreadable"] == shown(from_query([], header).presented)
    assert ["unreadable"] == shown(from_form([], header).presented)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(TEXT.filter(lambda user: ":" not in user), TEXT)
def test_basic_carries_every_password(user: str, password: str) -> None:
    """Any user name without a colon and any password arrive as they were typed, in UTF-8."""
    assert UserPassword(user, Secret(password)) == from_query([], basic(user, password)).presented


@given(TEXT, TEXT)
def test_the_form_carries_every_password(user: str, password: str) -> None:
    """Any user name and password arrive through the form as they were typed."""
    wire = urlencode({"grant_type": "password", "username": user, "password": password})
    request = from_form(parse_qsl(wire, keep_blank_values=True), None)

    assert UserPassword(user, Secret(password)) == request.presented


PAIRS = st.tuples(
    st.sampled_from(
        ["service", "scope", "account", "client_id", "offline_token", "access_type", "grant_type", "username",
         "password", "refresh_token", "x"]
    ),
    st.sampled_from(["", "true", "offline", "password", "refresh_token", "repository:a/b:pull"]) | TEXT,
)  # fmt: skip


@given(st.lists(PAIRS, max_size=12), st.none() | st.text(max_size=40))
def test_reading_is_total(fields: list[tuple[str, str]], header: str | None) -> None:
    """Any parameters and any header make a request; a scope is only ever what ``scope`` says."""
    scopes = merge_scopes(value for name, value in fields if name == "scope")

    assert scopes == from_query(fields, header).scopes
    assert scopes == from_form(fields, header).scopes


@given(st.lists(PAIRS, max_size=12), TEXT)
def test_account_is_never_read(fields: list[tuple[str, str]], account: str) -> None:
    """``account`` is what the client typed, proven by nothing: it changes no request."""
    without = [(name, value) for name, value in fields if name != "account"]

    assert from_query(without, None) == from_query([("account", account), *without], None)
    assert from_form(without, None) == from_form([("account", account), *without], None)


@given(st.lists(PAIRS, max_size=40), st.none() | st.text(max_size=40), st.booleans())
def test_a_query_is_read_as_its_fields(fields: list[tuple[str, str]], header: str | None, again: bool) -> None:
    """The first time and later ones, a short query and one too long to be remembered."""
    query = urlencode(fields, errors="replace")
    if again:
        from_query_string(query, None)

    assert from_query(parse_qsl(query, keep_blank_values=True), header) == from_query_string(query, header)


def test_no_credential_is_remembered() -> None:
    """Two who ask for the same are read each with their own password, and who shows none with none."""
    query = "service=registry.test&scope=repository:a/b:pull"
    found = [from_query_string(query, header).presented for header in (basic("a", "1"), basic("b", "2"), None)]

    assert [["password", "a", "1"], ["password", "b", "2"], ["nothing"]] == list(map(shown, found))


def test_a_request_prints_no_secret() -> None:
    """A request that lands in a log or a traceback shows no password."""
    fields = [("grant_type", "password"), ("username", "me"), ("password", "hunter2hunter2h")]
    requests: list[TokenRequest] = [
        from_form(fields, None),
        from_query([], basic("me", "hunter2hunter2h")),
        from_form([("grant_type", "refresh_token"), ("refresh_token", "hunter2hunter2h")], None),
    ]

    assert [False] * 3 == ["hunter2" in repr(request) or "hunter2" in str(request) for request in requests]
