"""Figures with what is aimed at, as ``make scale`` prints them."""

from collections.abc import Sequence

from attrs import frozen


@frozen
class Figure:
    """One figure.

    Attributes:
        name: what was measured.
        value: that was seen.
        unit: of the value.
        most: that it should be at most; None for no such aim.
        least: that it should be at least; None for no such aim.
    """

    name: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None

    @property
    def misses(self) -> bool:
        """Whether it misses its aim."""
        too_much = self.most is not None and self.value > self.most
        return too_much or (self.least is not None and self.value < self.least)

    @property
    def aim(self) -> str:
        """The aim in words; nothing without one."""
        if self.most is not None:
            return f"≤ {self.most:,g}"
        return f"≥ {self.least:,g}" if self.least is not None else ""


def table(figures: Sequence[Figure]) -> str:
    """Return the figures for a person."""
    width = max(len(one.name) for one in figures)
    return "\n".join(
        f"{one.name:{width}}  {one.value:>12,.2f}  {one.aim:>9}  {one.unit:16}{'MISSED' if one.misses else ''}".rstrip()
        for one in figures
    )
