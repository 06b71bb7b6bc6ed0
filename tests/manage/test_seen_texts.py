"""A small dictionary: it remembers what a dictionary remembers, in a fraction of the memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from authsvc.manage.seen_texts import SeenTexts

NUMBERS = st.integers(min_value=0, max_value=2**64 - 1)


@given(st.lists(st.tuples(st.text(max_size=3), NUMBERS), max_size=300))
def test_it_is_a_dictionary(pairs: list[tuple[str, int]]) -> None:
    """The first number of a text stays."""
    found, expected = SeenTexts(), dict[str, int]()
    for text, number in pairs:
        assert expected.setdefault(text, number) == found.setdefault(text, number)


def test_20_000_texts_take_half_a_megabyte() -> None:
    """So that the memory of an import hardly depends on its rows; while the table is enlarged, half as much more."""
    numbers = SeenTexts()
    tracemalloc.start()
    try:
        for number in range(20_000):
            assert number == numbers.setdefault(f"a reference, however long it may be, {number}", number)
        current, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert current < 0.6e6
    assert peak < 0.9e6
    assert all(number == numbers.setdefault(f"a reference, however long it may be, {number}", 0) for number in range(9))
