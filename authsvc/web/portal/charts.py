"""Charts: numbers into places in an inline SVG. A table with the same numbers stands beside each chart."""

from collections.abc import Sequence

from attrs import frozen

WIDTH, HEIGHT, FLOOR = 420, 140, 120
"""Size of the drawing, and where its ground line is."""

GAP = 0.25
"""Part of a bar's room that stays empty."""


@frozen
class Bar:
    """A bar of a chart.

    Attributes:
        x: of its left side.
        y: of its top.
        width: of it.
        height: of it; 0 for nothing.
        label: what it stands for.
        value: how much it is.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    value: int


def bars(values: Sequence[tuple[str, int]]) -> tuple[Bar, ...]:
    """Return a bar for each label and value, from left to right; the highest one fills the drawing."""
    room = WIDTH / max(1, len(values))
    highest = max((value for _, value in values), default=0)
    found = []
    for number, (label, value) in enumerate(values):
        height = round(value / highest * (FLOOR - 10), 1) if highest else 0.0
        height = max(height, 1.0) if value else 0.0
        found.append(
            Bar(
                round(number * room + room * GAP / 2, 1),
                FLOOR - height,
                round(room * (1 - GAP), 1),
                height,
                label,
                value,
            )
        )
    return tuple(found)
