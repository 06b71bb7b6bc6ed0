"""Cursors: they lead to the next page of their own list, and anything else is refused by name."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InputRefused
from authsvc.tenancy.pages import page_size, read_cursor, write_cursor

PLACES = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)


@given(PLACES, PLACES)
def test_a_cursor_comes_back(query: str, place: str) -> None:
    """Whatever the place is, its cursor is a word for a URL and leads there."""
    cursor = write_cursor(query, place)

    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert place == read_cursor(query, cursor)
    assert read_cursor(query, None) is None


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_what_is_made_up_is_refused(cursor: str) -> None:
    """The argument is named, so that an API can say which one it was."""
    with pytest.raises(InputRefused, match="is not a cursor of this list") as refused:
        read_cursor("licenses", cursor)
    assert ["after"] == [problem.field for problem in refused.value.errors]


@given(st.integers(0, 200), st.sampled_from("Ab0-_"))
def test_a_changed_cursor_is_refused(place: int, letter: str) -> None:
    """One changed letter, one more, or one less."""
    cursor = write_cursor("licenses", "acme\0k234")
    place %= len(cursor)
    for changed in (cursor[:place] + letter + cursor[place + 1 :], cursor + letter, cursor[:-1], cursor * 100):
        if changed != cursor:
            with pytest.raises(InputRefused):
                read_cursor("licenses", changed)


def test_a_cursor_of_another_list_is_refused() -> None:
    """Changed filters begin a new list: a place in the old one would leave some out."""
    with pytest.raises(InputRefused):
        read_cursor("licenses of acme, active", write_cursor("licenses of acme", "k234"))


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_a_page_has_at_most_a_hundred_items(limit: int) -> None:
    """No list can be asked for all at once."""
    with pytest.raises(InputRefused, match="1 to 100") as refused:
        page_size(limit)
    assert "limit" == refused.value.field
