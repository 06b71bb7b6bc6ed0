"""Untrusted text on its way to a terminal."""

import json
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc import printable as printable_module
from authsvc.printable import printable, printable_json, printable_lines

MOVES = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))]
"""Control characters of both sets, and the bidirectional overrides and isolates."""

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_what_a_terminal_obeys() -> None:
    """Each of them is shown by an escape, and readable text of any script is left alone."""
    assert all(printable(character).isprintable() and printable(character).isascii() for character in MOVES)
    assert r"a\u009b2J\u202eb\n\u007f\ud800" == printable("a\x9b2J\u202eb\n\x7f\ud800")
    assert "Zoë 東京 שלום" == printable("Zoë 東京 שלום")


def only_ascii_controls(character: str) -> str:
    """Forget the control characters that have the eighth bit."""
    return character if character >= "\x80" else shown(character)


def only_controls(character: str) -> str:
    """Forget the characters that change the direction."""
    return shown(character) if unicodedata.category(character) == "Cc" else character


shown = printable_module._shown


@pytest.mark.parametrize("bug", [only_ascii_controls, only_controls])
def test_a_gap_is_noticed(bug: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first test sees either kind of gap."""
    monkeypatch.setattr(printable_module, "_shown", bug)

    with pytest.raises(AssertionError):
        test_what_a_terminal_obeys()


@given(st.text())
def test_every_text(text: str) -> None:
    """Whatever comes, one line is printable; many are when their breaks are taken out."""
    assert printable(text).isprintable()
    assert all(line.isprintable() for line in printable_lines(text).split("\n"))
    assert text.count("\n") == printable_lines(text).count("\n")


@given(VALUES)
def test_json(value: object) -> None:
    """JSON is printable line by line and is still the same value."""
    for indent in (None, 2):
        text = printable_json(value, indent)
        assert all(line.isprintable() for line in text.split("\n"))
        assert value == json.loads(text)
        assert indent is not None or "\n" not in text
