"""What the document says of texts, and what the use cases accept: the same."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from authsvc.errors import InputRefused
from authsvc.manage.lookup import SERVICE_ACCOUNT_NAME
from authsvc.tenancy.dates import parse_moment, parse_span
from authsvc.tenancy.names import MAX_EMAIL, MAX_TEXT, RESERVED_SLUGS, parse_email, parse_slug, parse_text
from authsvc.web.api.schemas import Email, Line, Slug, Span, When, component_schemas
from authsvc.web.api.service_accounts import NewServiceAccount, ServiceAccountName

NOW = datetime(2026, 11, 27, tzinfo=UTC)

ALPHABET = st.text(alphabet="az09-_.@T:Zdhm \n\u00e4A", max_size=45)


def described(kind: Any, text: str) -> bool:
    """Whether the schema of a type accepts a text."""
    meta = get_args(kind)[1]
    schema = {"type": "string", "minLength": meta.min_length, "maxLength": meta.max_length, "pattern": meta.pattern}
    return True is OAS31Validator({name: value for name, value in schema.items() if value is not None}).is_valid(text)


def accepted(parse: Callable[[str], object], text: str) -> bool:
    """Whether a parser accepts a text."""
    try:
        parse(text)
    except InputRefused:
        return False
    return True


@given(ALPHABET | st.from_regex(r"[a-z0-9]{1,3}(-[a-z0-9]{1,3}){0,3}", fullmatch=True))
def test_slugs(text: str) -> None:
    """A slug is what its pattern says, without the reserved words; but a line break at its end."""
    assert accepted(lambda one: parse_slug(one, "app"), text) == (
        described(Slug, text) and text not in RESERVED_SLUGS and not text.endswith("\n")
    )


@given(ALPHABET)
def test_lines_and_addresses(text: str) -> None:
    """Whatever is accepted is described."""
    for kind, parse in ((Line, lambda one: parse_text(one, "name")), (Email, parse_email)):
        if accepted(parse, text):
            assert described(kind, text)


@given(st.from_regex(r"[0-9]{1,7}[mhd]?|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}Z?)?", fullmatch=True))
def test_times(text: str) -> None:
    """Whatever is accepted is described."""
    if accepted(lambda one: parse_moment(one, NOW, "expires"), text):
        assert described(When, text)
    if accepted(lambda one: parse_span(one, "overlap"), text):
        assert described(Span, text)


@pytest.mark.parametrize("text", ["ci-build", "a", "x" * 60])
def test_names_of_service_accounts(text: str) -> None:
    """Its pattern is that of the use case."""
    assert described(ServiceAccountName, text)
    assert SERVICE_ACCOUNT_NAME.fullmatch(text)
    assert not described(ServiceAccountName, text * 61)
    schema = component_schemas([NewServiceAccount], ())["NewServiceAccount"]["properties"]["name"]
    assert schema["pattern"] == f"^{SERVICE_ACCOUNT_NAME.pattern.replace('(?:', '(')}$"


def test_limits() -> None:
    """The longest that is described is the longest that is accepted."""
    assert accepted(lambda one: parse_text(one, "name"), "x" * MAX_TEXT)
    assert described(Line, "x" * MAX_TEXT)
    assert not described(Line, "x" * (MAX_TEXT + 1))
    assert not described(Email, f"{'x' * MAX_EMAIL}@acme.test")
