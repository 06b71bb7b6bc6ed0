"""How far apart two clocks certainly are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.clock_skew import certain_skew


@pytest.mark.parametrize(
    ("first", "last", "before", "after", "expected"),
    [
        (100.0, 100.0, 99.9, 100.1, 0.0),
        (105.0, 105.0, 99.9, 100.0, 5.0),
        (95.0, 95.0, 100.0, 100.5, -5.0),
        (100.0, 101.0, 100.9, 101.5, 0.0),
        (102.0, 103.0, 100.0, 101.5, 0.5),
        (98.0, 99.0, 100.0, 130.0, -1.0),
    ],
)
def test_what_is_certain(first: float, last: float, before: float, after: float, expected: float) -> None:
    """An answer that took long, or is rounded to a second, explains as much of a difference."""
    assert expected == pytest.approx(certain_skew(first, last, before, after))


@given(
    offset=st.floats(-1000, 1000),
    asked=st.floats(0, 1e6),
    there=st.floats(0, 10),
    back=st.floats(0, 10),
    fine=st.booleans(),
)
def test_it_is_never_more_than_the_real_difference(
    offset: float, asked: float, there: float, back: float, fine: bool
) -> None:
    """However long question and answer took, and whether the other clock has a fraction or not."""
    shown = asked + there + offset
    first, last = (shown, shown) if fine else (float(int(shown // 1)), float(int(shown // 1)) + 1)
    found = certain_skew(first, last, asked, asked + there + back)
    assert abs(found) <= abs(offset) + 1e-6
    assert found * offset >= 0
    if abs(offset) > there + back + 1.001:
        assert found, "a difference beyond all doubt is found"
