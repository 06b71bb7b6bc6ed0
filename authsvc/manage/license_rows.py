"""Parses the rows of a file of licenses, CSV or JSON lines, into checked terms or problems, one row at a time.

The file is not kept in memory, so its size does not matter. A problem has a line and a column, and a row may have
several.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import frozen

from authsvc.counts import counted
from authsvc.error_codes import ErrorCode
from authsvc.errors import InputRefused
from authsvc.manage.spreadsheet_input import column_name, parse_cell_date, split_heading
from authsvc.tenancy.dates import parse_instant
from authsvc.tenancy.names import parse_email, parse_text
from authsvc.tenancy.records import LicenseType
from authsvc.tenancy.terms import (
    FIELD_NAMES,
    LicenseTerms,
    check_field,
    check_fields,
    check_period,
    is_field_name,
    parse_field,
    parse_repositories,
    parse_type,
)

R = TypeVar("R")
T = TypeVar("T")

COLUMNS = (
    *("customer", "expires", "type", "not_before", "repositories", "contact", "reference"),
    *("customer_reference", "customer_email"),
)
REQUIRED = ("customer", "expires")
FIELD = "field."
"""Prefix of the column of a custom field: ``field.seats``."""

SEPARATOR = ";"
"""Separates the repositories in one cell."""

MAX_LINE = 65_536
"""Longest line of a file, in characters: far longer than any license, and a limit for memory."""

ROW = "row"
"""Stands for the column when the row as a whole cannot be read."""

Cells = Mapping[str, object]
"""The columns of one row that are not empty: texts, or JSON values."""


@frozen
class RowProblem:
    """Why a row cannot be imported.

    Attributes:
        line: on which the row begins, from 1.
        column: its name, or ``row``.
        text: what is wrong, for people.
        code: the same, machine-readable.
    """

    line: int
    column: str
    text: str
    code: ErrorCode


@frozen
class LicenseRow:
    """A row that makes a license.

    Attributes:
        line: on which it begins, from 1.
        reference: the vendor's own key; by default the customer's name.
        terms: checked, except for conditions that depend on the time and the app.
    """

    line: int
    reference: str
    terms: LicenseTerms


Read = LicenseRow | list[RowProblem]


@frozen
class RowFormat:
    """How the format of a file writes values other than plain text.

    Attributes:
        value: parses the value of a custom field, by its name.
        date: parses a date, by the name of its column.
    """

    value: Callable[[str, object], object]
    date: Callable[[str, str], datetime]


CSV_ROWS = RowFormat(lambda name, cell: parse_field(name, _text(cell)), parse_cell_date)
JSON_ROWS = RowFormat(check_field, parse_instant)


@frozen
class RowType(Generic[R]):
    """The type of the rows of a file.

    Attributes:
        required: the columns that each row needs.
        parse: returns a row, or a list of all its problems, from its line and its cells.
    """

    required: tuple[str, ...]
    parse: Callable[[int, Cells, RowFormat], R]


def read_csv(lines: Iterable[str], kind: RowType[R]) -> Iterator[R | list[RowProblem]]:
    """Yield the parsed rows of a CSV file (RFC 4180), whose first row names the columns.

    Cells may also be separated by semicolons or tabs, as spreadsheets write them.
    """
    try:
        delimiter, rest, before = split_heading(_bounded(lines))
    except _TooLongError as error:
        yield [_unreadable(1, f"it is not CSV: {error}")]
        return
    reader = csv.reader(rest, strict=True, delimiter=delimiter)
    try:
        names = [column_name(cell, COLUMNS, FIELD) for cell in next(reader, [])]
        problems = _heading_problems(names, kind.required, before + 1)
        if problems:
            yield problems
            return
        while True:
            line = before + reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) == len(names):
                filled = {name: cell for name, cell in zip(names, cells, strict=True) if cell.strip()}
                yield kind.parse(line, filled, CSV_ROWS)
            else:
                wrong = f"it has {counted(len(cells), 'cell')}, and the first row names {counted(len(names), 'column')}"
                yield [_unreadable(line, wrong)]
    except (csv.Error, _TooLongError) as error:
        yield [_unreadable(before + reader.line_num + isinstance(error, _TooLongError), f"it is not CSV: {error}")]


def read_jsonl(lines: Iterable[str], kind: RowType[R]) -> Iterator[R | list[RowProblem]]:
    """Yield the parsed lines of a file of JSON objects."""
    line = 0
    try:
        for line, text in enumerate(_bounded(lines), start=1):
            if text.strip():
                read = _read_object(line, text, kind)
                yield read
    except _TooLongError as error:
        yield [_unreadable(line + 1, f"it is not JSON: {error}")]


def _read_object(line: int, text: str, kind: RowType[R]) -> R | list[RowProblem]:
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return [_unreadable(line, "it is not JSON, or a name occurs twice")]
    cells = _flattened(found) if isinstance(found, dict) else None
    if cells is None:
        return [_unreadable(line, 'it is not a JSON object, or its "fields" is not one')]
    unknown = [name for name in cells if not _is_column(name)]
    if unknown:
        return [_unknown_field(line, name) if _is_field(name) else _unknown_column(line, name) for name in unknown]
    filled = {name: cell for name, cell in cells.items() if _is_field(name) or cell is not None}
    return kind.parse(line, filled, JSON_ROWS)


def _row(line: int, cells: Cells, form: RowFormat) -> Read:
    """Return the row in ``cells``, or all its problems."""
    problems: list[RowProblem] = []

    def column(name: str, parse: Callable[[Any], T]) -> T | None:
        if name not in cells:
            if name in REQUIRED:
                problems.append(_missing(line, name))
            return None
        return checked(name, lambda: parse(cells[name]))

    def checked(name: str, parse: Callable[[], T]) -> T | None:
        try:
            return parse()
        except InputRefused as error:
            problems.append(_refused(line, name, error))
            return None

    customer = column("customer", lambda cell: parse_text(_text(cell), "customer"))
    end = column("expires", lambda cell: form.date(_text(cell).strip(), "expires"))
    start = column("not_before", lambda cell: form.date(_text(cell).strip(), "not_before"))
    kind = column("type", lambda cell: parse_type(_text(cell).strip()))
    repositories = column("repositories", lambda cell: parse_repositories(_patterns(cell)))
    contact = column("contact", lambda cell: parse_text(_text(cell), "contact"))
    reference = column("reference", lambda cell: parse_text(_key(cell), "reference"))
    customer_reference = column("customer_reference", lambda cell: parse_text(_key(cell), "customer_reference"))
    customer_email = column("customer_email", lambda cell: parse_email(_text(cell)))
    fields: dict[str, object] = {}
    for name in filter(_is_field, cells):
        short = name.removeprefix(FIELD)
        fields[short] = checked(name, partial(form.value, short, cells[name]))
    checked(f"{FIELD}*", lambda: check_fields(fields))
    if end is not None:
        checked("not_before", lambda: check_period(start, end))
    if problems or customer is None or end is None:
        return problems
    terms = LicenseTerms(
        *(customer, end, kind or LicenseType.PAID, start, repositories, fields, contact),
        customer_reference=customer_reference,
        customer_email=customer_email,
    )
    return LicenseRow(line, reference or customer, terms)


LICENSE_ROWS: RowType[Read] = RowType(REQUIRED, _row)
"""The rows of an import."""


@frozen
class RenewalRow:
    """A row that gives a license another end.

    Attributes:
        line: on which it begins, from 1.
        reference: of the license.
        expires_at: its new end.
    """

    line: int
    reference: str
    expires_at: datetime


ReadRenewal = RenewalRow | list[RowProblem]


def _renewal(line: int, cells: Cells, form: RowFormat) -> ReadRenewal:
    problems: list[RowProblem] = []
    found: dict[str, Any] = {}
    # As in an import, the default of the reference is the customer's name.
    key = "reference" if "reference" in cells else "customer"
    parse: dict[str, Callable[[object], object]] = {
        "expires": lambda cell: form.date(_text(cell).strip(), "expires"),
        key: lambda cell: parse_text(_key(cell), key),
    }
    for name, parse_cell in parse.items():
        if name not in cells:
            problems.append(_missing(line, name if name == "expires" else "reference"))
            continue
        try:
            found[name] = parse_cell(cells[name])
        except InputRefused as error:
            problems.append(_refused(line, name, error))
    return problems or RenewalRow(line, found[key], found["expires"])


RENEWAL_ROWS: RowType[ReadRenewal] = RowType(("expires",), _renewal)
"""The rows of a renewal; a file of an import has the same columns, and its others are ignored."""


def changed_columns(terms: LicenseTerms, now_said: LicenseTerms, imported_end: datetime) -> list[str]:
    """Return the columns in which a row differs from the license that was made for its reference.

    Args:
        terms: of the row.
        now_said: the current columns of the license.
        imported_end: the end that the import gave it; a license that was extended since does not count as changed.
    """
    pairs = {
        "customer": (terms.customer, now_said.customer),
        "type": (terms.type, now_said.type),
        "not_before": (terms.not_before, now_said.not_before),
        "repositories": (terms.repositories, now_said.repositories),
        "contact": (terms.contact, now_said.contact),
    }
    found = [name for name, (mine, theirs) in pairs.items() if mine != theirs]
    if terms.expires_at not in {imported_end, now_said.expires_at}:
        found.append("expires")
    # A customer without one may still get it from another row with a new license.
    if now_said.customer_reference not in {None, terms.customer_reference} and terms.customer_reference is not None:
        found.append("customer_reference")
    if now_said.customer_email not in {None, terms.customer_email} and terms.customer_email is not None:
        found.append("customer_email")
    # Compared as JSON: 1, 1.0 and true are equal in Python, but differ in a license.
    mine, theirs = ({name: json.dumps(value) for name, value in t.fields.items()} for t in (terms, now_said))
    return found + sorted(FIELD + name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))


def _refused(line: int, column: str, error: InputRefused) -> RowProblem:
    # The column already names the argument.
    return RowProblem(line, column, str(error).removeprefix(f"{column}: "), error.code)


def _missing(line: int, column: str) -> RowProblem:
    return RowProblem(line, column, "it is empty", "value_missing")


def _unreadable(line: int, text: str) -> RowProblem:
    return RowProblem(line, ROW, text, "row_unreadable")


def _heading_problems(names: list[str], required: tuple[str, ...], line: int) -> list[RowProblem]:
    unknown = [_unknown_column(line, name) for name in names if not _is_column(name)]
    twice = [
        RowProblem(line, name, "the column occurs twice", "column_duplicated")
        for name, count in sorted(Counter(names).items())
        if count > 1
    ]
    missing = [
        RowProblem(line, name, "the column is missing", "column_missing") for name in required if name not in names
    ]
    return unknown + twice + missing


def _flattened(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return the columns of a JSON object, with its ``fields`` as columns of their own."""
    fields = found.pop("fields", None) or {}
    return {**found, **{FIELD + name: value for name, value in fields.items()}} if isinstance(fields, dict) else None


def _is_column(name: str) -> bool:
    return name in COLUMNS or (_is_field(name) and is_field_name(name.removeprefix(FIELD)))


def _is_field(name: str) -> bool:
    return name.startswith(FIELD)


def _shown(name: str) -> str:
    """Return the name of a column for people, whatever characters it contains."""
    return name[:60] if name.isprintable() and name else ascii(name[:60])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name occurs twice")
    return dict(pairs)


def _unknown_column(line: int, name: str) -> RowProblem:
    known = f"there is no such column; known are {', '.join(COLUMNS)} and {FIELD}NAME"
    return RowProblem(line, _shown(name), known, "column_unknown")


def _unknown_field(line: int, name: str) -> RowProblem:
    return RowProblem(line, _shown(name), f"it cannot name a field: use {FIELD_NAMES}", "field_invalid")


def _text(cell: object) -> str:
    if not isinstance(cell, str):
        raise InputRefused("it must be a text", code="text_expected", field=None)
    if not cell.isascii() and any("\ud800" <= letter <= "\udfff" for letter in cell):
        raise InputRefused("it is not UTF-8; save the file as UTF-8", code="encoding_invalid", field=None)
    return cell


def _key(cell: object) -> str:
    whole = isinstance(cell, int) and not isinstance(cell, bool)
    return str(cell) if whole else _text(cell)


def _patterns(cell: object) -> list[str]:
    if isinstance(cell, list):
        return [_text(pattern) for pattern in cell]
    return [pattern.strip() for pattern in _text(cell).split(SEPARATOR)]


class _TooLongError(Exception):
    """A line is longer than any license; the following lines are not read."""


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if len(line) > MAX_LINE:
            raise _TooLongError(f"the line is longer than {MAX_LINE:,} characters")
        yield line
