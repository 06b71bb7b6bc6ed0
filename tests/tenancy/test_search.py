"""What a search takes for the same, and that every beginning of a text finds it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.tenancy.search import INDEXED_BYTES, fold, has_words, indexed, words

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Acme", "acme"),
        ("M\u00fcller", "muller"),
        ("Mu\u0308ller", "muller"),
        ("STRASSE", "strasse"),
        ("Stra\u00dfe", "strasse"),
        ("\uff21\uff23\uff2d\uff25", "acme"),
        ("\u0130stanbul", "istanbul"),
    ],
)
def test_case_accents_and_width_make_no_difference(text: str, folded: str) -> None:
    """A person who types plain letters finds the name."""
    assert folded == fold(text)


@given(TEXT, st.integers(0, 60))
def test_a_beginning_of_a_text_begins_its_folded_form(text: str, length: int) -> None:
    """This is what an ordered index can answer; it holds for whatever is as long as an index keeps too."""
    whole, part = fold(text), fold(text[:length])

    assert whole.startswith(part)
    assert indexed(whole).startswith(indexed(part))
    assert len(indexed(whole).encode()) <= INDEXED_BYTES


def test_words_are_runs_of_letters_and_digits() -> None:
    """Each once, sorted; all words that are looked for must begin a word."""
    assert ("3", "acme", "co", "de") == words("Acme GmbH-Acme & Co. (DE) 3".replace("GmbH-", ""))
    assert has_words("Acme Corp", ("ac", "co"))
    assert has_words("Acme Corp", ())
    assert not has_words("Acme Corp", ("ac", "x"))
