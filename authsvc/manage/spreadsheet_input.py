"""Reads CSV files of spreadsheets, whose separators, headings and dates depend on the locale.

Unambiguous values are accepted; ambiguous ones are refused, and the error names both readings.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import chain

from authsvc.errors import InputRefused
from authsvc.tenancy.dates import parse_instant

DELIMITERS = (",", ";", "\t")
"""Possible separators of the cells of a row; no name of a column contains one of them."""

_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?\s*', re.ASCII | re.IGNORECASE)
"""A first line that spreadsheets understand, and some of them write."""

_SHORT_YEAR = 2
"""Digits of a year without its century."""

_DATE = re.compile(r"([0-9]{1,2})([./-])([0-9]{1,2})\2((?:[0-9]{2})?[0-9]{2})(?: 0?0:00(?::00)?)?", re.ASCII)


def split_heading(lines: Iterable[str]) -> tuple[str, Iterator[str], int]:
    """Return the separator of the cells, the lines from the heading on, and the number of lines before it."""
    rest = iter(lines)
    first = next(rest, "")
    told = _SEPARATOR_LINE.fullmatch(first)
    if told:
        return told[1], rest, 1
    found = next((delimiter for delimiter in DELIMITERS if delimiter in first), DELIMITERS[0])
    return found, chain([first], rest), 0


def column_name(cell: str, known: Iterable[str], prefix: str) -> str:
    """Return the name of a column as the documentation writes it: ``Not before`` is ``not_before``.

    Args:
        cell: of the heading.
        known: the names of columns.
        prefix: of the names of columns whose remainder is not normalised.
    """
    name = cell.strip()
    plain = name.lower().replace(" ", "_")
    if plain in known:
        return plain
    return f"{prefix}{name[len(prefix) :]}" if plain.startswith(prefix) else name


def parse_cell_date(text: str, what: str) -> datetime:
    """Return the instant of a cell: in a form of :func:`parse_instant`, or a date as spreadsheets write it.

    ``31.01.2027``: with dots the day is always first. With slashes or hyphens the month may be first, so one of the two
    numbers must be above 12.

    Raises:
        InputRefused: it has another form, is not a day of the calendar, or can be read as two different days.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return parse_instant(text, what)
    first, separator, second, year = found.groups()
    if len(year) == _SHORT_YEAR:
        raise _refused(text, what, "has a year of two digits; write all four")
    day_first, month_first = _day(year, second, first), _day(year, first, second)
    if separator == "." or month_first is None or month_first == day_first:
        if day_first is None:
            raise _refused(text, what, "is not a day of the calendar; write 2027-01-31")
        return day_first
    if day_first is None:
        return month_first
    raise _refused(text, what, f"can be {_both(day_first)} or {_both(month_first)}; write the one that is meant")


def _both(day: datetime) -> str:
    return f"{day:%Y-%m-%d} ({day.day} {day:%B})"


def _day(year: str, month: str, day: str) -> datetime | None:
    with suppress(ValueError):
        return datetime(int(year), int(month), int(day), tzinfo=UTC)
    return None


def _refused(text: str, what: str, why: str) -> InputRefused:
    return InputRefused(f"{what}: {text[:40]!r} {why}", code="date_invalid", field=what)
