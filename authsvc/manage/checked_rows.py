"""The effect of each row of a file, for user interfaces that show it before it is carried out."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from attrs import frozen

from authsvc.tenancy.records import License

RowEffect = Literal["new", "unchanged", "changed"]


@frozen
class CheckedRow:
    """A row that could be parsed.

    Attributes:
        line: on which it begins, from 1.
        reference: of the license.
        effect: ``new`` makes a license; ``unchanged`` does nothing. In an import a ``changed`` row differs from its
            license and is left out; in a renewal it gives the license another end.
        expires_at: the end that it names.
        license: that has the reference already, or None.
        customer: that it names, or None.
        columns: in which a changed row of an import differs from its license.
    """

    line: int
    reference: str
    effect: RowEffect
    expires_at: datetime
    license: License | None = None
    customer: str | None = None
    columns: tuple[str, ...] = ()


OnRow = Callable[[CheckedRow], None]


def ignore_row(_row: CheckedRow) -> None:
    """Do nothing."""
