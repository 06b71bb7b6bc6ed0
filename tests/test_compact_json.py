"""JSON of plain facts: exactly what the slow encoder makes of them, and nothing at all of others."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st

from authsvc.compact_json import compact_json

ASCII = st.text(st.characters(codec="ascii", exclude_characters="\x7f"))
PLAIN = ASCII | st.integers(-(2**63), 2**63) | st.booleans() | st.none() | st.lists(ASCII, max_size=5)
LIMIT = 10_000


@frozen
class Key:
    """A value that hides a part of itself from everything but this encoder."""

    name: str
    secret: str = field(repr=False)


@given(st.dictionaries(ASCII, PLAIN))
def test_it_is_what_json_makes(facts: dict[str, Any]) -> None:
    """The order and the values are those of the slow encoder without spaces; only escapes may be spelt differently."""
    text = compact_json(facts, LIMIT)

    assert text is not None
    assert text.isascii()
    assert text.isprintable()
    assert list(facts.items()) == list(json.loads(text).items())
    assert len(text) <= len(json.dumps(facts, separators=(",", ":")))


@pytest.mark.parametrize(
    "value",
    [
        Key("leaf", "hidden"),
        [Key("leaf", "hidden")],
        {"a": 1},
        ["a", 1],
        [["a"]],
        ("a",),
        b"bytes",
        1.5,
        float("nan"),
        datetime(2026, 11, 28, tzinfo=UTC),
        Decimal(1),
        "é",
        "\x7f",
        ["a", "b\x7f"],
        "\N{RIGHT-TO-LEFT OVERRIDE}",
        "\udc80",
    ],
    ids=repr,
)
def test_what_is_not_plain_is_left(value: object) -> None:
    """No object is opened, and nothing but ASCII comes out."""
    assert compact_json({"a": "text", "value": value}, LIMIT) is None


def test_a_long_one_is_left() -> None:
    """The limit is that of the whole text, to the character."""
    assert '{"a":"xxxx"}' == compact_json({"a": "xxxx"}, 12)
    assert compact_json({"a": "xxxxx"}, 12) is None
