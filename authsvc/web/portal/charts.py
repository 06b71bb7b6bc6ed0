"""Charts: computes positions in an inline SVG. Each chart has a table with the same numbers beside it.

Horizontal values are in per cent of the drawing's width, and vertical ones in pixels: a chart is as wide as possible,
and its text has the size of the surrounding text.
"""

from collections.abc import Sequence

from attrs import frozen

WIDTH, FLOOR = 100, 120
"""Width of the drawing, in percent, and where its ground line is, in pixels from the top."""

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
        top: height of what stands on the bar; 0 for nothing.
        other: how much that is.
    """

    x: float
    y: float
    width: float
    height: float
    label: str
    value: int
    top: float = 0.0
    other: int = 0


def bars(values: Sequence[tuple[str, int]], others: Sequence[int] = ()) -> tuple[Bar, ...]:
    """Return a bar for each label and value, from left to right; the highest one fills the drawing.

    Args:
        values: what the bars are of.
        others: what stands on each bar; empty for nothing.
    """
    room = WIDTH / max(1, len(values))
    added = others or [0] * len(values)
    highest = max((value + other for (_, value), other in zip(values, added, strict=True)), default=0)
    found = []
    for number, ((label, value), other) in enumerate(zip(values, added, strict=True)):
        height, top = _height(value, highest), _height(other, highest)
        found.append(
            Bar(
                round(number * room + room * GAP / 2, 2),
                FLOOR - height,
                round(room * (1 - GAP), 2),
                height,
                label,
                value,
                top,
                other,
            )
        )
    return tuple(found)


def _height(value: int, highest: int) -> float:
    """Return the height of a part of a bar: the least one is seen."""
    return max(1.0, round(value / highest * (FLOOR - 10), 1)) if value else 0.0


ROW = 36
"""Height of one row of a chart of rows, in pixels: label and value stand above the bar."""

MAX_LABEL = 32
"""Characters of a label; the table beside the chart has all of them."""


@frozen
class Row:
    """A row of a chart: a label, a bar, and how much it is.

    Attributes:
        y: of its top.
        width: of the bar.
        label: what it stands for, shortened.
        value: how much it is.
    """

    y: int
    width: float
    label: str
    value: int


def rows_chart(values: Sequence[tuple[str, int]]) -> tuple[Row, ...]:
    """Return a row for each label and value, from top to bottom; the longest bar fills its room."""
    highest = max((value for _, value in values), default=0)
    return tuple(
        Row(
            number * ROW,
            max(1.0, round(value / highest * WIDTH, 2)) if value else 0.0,
            label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…",
            value,
        )
        for number, (label, value) in enumerate(values)
    )
