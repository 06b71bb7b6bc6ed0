"""What leaves the token endpoint: response, claims, errors."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from authsvc.redaction import Secret
from authsvc.spec.claims import Access, Claims
from authsvc.spec.registry_error import MAX_REASON_PHRASE, RegistryError
from authsvc.spec.token_response import TokenResponse
from tests.support.vectors import load, name_of

VECTORS = load("token_documents.toml")


def test_token_response() -> None:
    """The response has every field that some client insists on, and the same token under both names."""
    case = VECTORS["response"]
    response = TokenResponse(Secret(case["token"]), case["expires_in"], case["issued_at"])

    assert json.loads(case["json"]) == response.to_json()
    assert case["token"] not in repr(response)


def make_claims(case: dict[str, Any]) -> Claims:
    """Return the claims of a vector."""
    access = tuple(Access(entry["type"], entry["name"], tuple(entry["actions"])) for entry in case["access"])
    names = ("issuer", "subject", "audience", "issued_at", "expires_at", "token_id")
    return Claims(**{name: case[name] for name in names}, access=access)


def test_claims() -> None:
    """The specification's example claim set comes out as it stands there."""
    case = VECTORS["claims"]

    assert json.loads(case["json"]) == make_claims(case).to_json()


def test_a_refresh_token_is_told_when_there_is_one() -> None:
    """A client that asked to stay signed in finds its token under the specification's name, and no repr shows it."""
    response = TokenResponse(Secret("t"), 270, datetime(2026, 8, 1, tzinfo=UTC), Secret("asv_ref_x"))

    assert response.to_json()["refresh_token"] == "asv_ref_x"
    assert "asv_ref_x" not in repr(response)


def test_a_token_from_memory_says_so() -> None:
    """The claim stands in such tokens alone; a registry ignores it."""
    claims = [replace(make_claims(VECTORS["claims"]), degraded=degraded).to_json() for degraded in (True, False)]

    assert claims[0] == {**claims[1], "degraded": True}
    assert "degraded" not in claims[1]


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),  # noqa: DTZ001
    st.timedeltas(timedelta(seconds=1), timedelta(hours=1)),
)
def test_times_are_integers(issued_at: datetime, life: timedelta) -> None:
    """Registry 2.8 refuses a float: every time is an integer, nbf lies a minute before iat, exp never after the end."""
    claims = Claims("i", "s", "a", issued_at, issued_at + life, "t").to_json()

    assert [int, int, int] == [type(claims[name]) for name in ("iat", "nbf", "exp")]
    assert claims["iat"] - 60 == claims["nbf"]
    assert claims["exp"] <= (issued_at + life).timestamp()
    assert claims["iat"] <= issued_at.timestamp()


def test_the_class_stands_beside_the_type() -> None:
    """A class is a field of its own; inside the type the registry would not know it."""
    expected = {"type": "repository", "class": "plugin", "name": "a/b", "actions": ["pull"]}

    assert expected == Access("repository", "a/b", ("pull",), "plugin").to_json()


@pytest.mark.parametrize("case", VECTORS["error"], ids=name_of)
def test_errors(case: dict[str, str]) -> None:
    """Body and reason phrase of an error are what the vectors say."""
    error = RegistryError(case["code"], case["message"])

    assert json.loads(case["json"], strict=False) == error.to_json()
    assert case["reason"] == error.reason_phrase()


@given(st.text(max_size=600))
def test_a_reason_phrase_is_one_printable_line(message: str) -> None:
    """Whatever a message holds, no header can be smuggled in its reason phrase, and it fits in 200 bytes."""
    phrase = RegistryError("DENIED", message).reason_phrase()

    assert phrase.isascii()
    assert phrase.isprintable() or not phrase
    assert len(phrase) <= MAX_REASON_PHRASE
    assert phrase == phrase.strip()


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=MAX_REASON_PHRASE))
def test_a_short_ascii_message_is_its_own_reason(message: str) -> None:
    """A message that can be a reason phrase is one, unchanged."""
    assert message.strip() == RegistryError("DENIED", message).reason_phrase()


def test_a_long_reason_phrase_keeps_the_request_id() -> None:
    """However long the sentence is, the end by which the vendor finds the request stays."""
    phrase = RegistryError("DENIED", "x" * 500, "5b23c852b967d14a").reason_phrase()

    assert len(phrase) == 200
    assert phrase.endswith("x... (request 5b23c852b967d14a)")
