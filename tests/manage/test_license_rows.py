"""Rows of a file of licenses: each becomes checked terms, or is named by line and column with what is wrong."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from authsvc.manage.license_rows import (
    LICENSE_ROWS,
    MAX_LINE,
    LicenseRow,
    Read,
    RowProblem,
    RowType,
    changed_columns,
    read_csv,
    read_jsonl,
)
from authsvc.tenancy.records import LicenseType
from authsvc.tenancy.terms import LicenseTerms

END = datetime(2031, 1, 31, tzinfo=UTC)
START = datetime(2030, 1, 31, 12, tzinfo=UTC)
TERMS = LicenseTerms("Globex", END)


def from_csv(text: str) -> list[Read]:
    """Read a CSV file."""
    return list(read_csv(io.StringIO(text, newline=""), LICENSE_ROWS))


def from_jsonl(*objects: Any) -> list[Read]:
    """Read JSON lines; a text is a line as it is."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in objects]
    return list(read_jsonl((f"{line}\n" for line in lines), LICENSE_ROWS))


def named(found: list[Read]) -> list[tuple[int, str]]:
    """Return line and column of every problem."""
    return [(problem.line, problem.column) for read in found if isinstance(read, list) for problem in read]


def test_a_csv_row_says_everything_that_create_can_say() -> None:
    """Every column of a CSV file arrives, with the values of fields read as on the command line."""
    found = from_csv(
        "customer,expires,type,not_before,repositories,contact,reference,field.seats,field.plan,field.on,field.empty\r\n"
        '"Acme, ""Inc""",2031-01-31,trial,2030-01-31T12:00:00Z,worker; api/*,sales@acme.test,A-1,25,gold,true,\r\n'
    )
    fields = {"seats": 25, "plan": "gold", "on": True}
    terms = LicenseTerms('Acme, "Inc"', END, LicenseType.TRIAL, START, ("worker", "api/*"), fields, "sales@acme.test")

    assert [LicenseRow(2, "A-1", terms)] == found


def test_a_json_line_says_the_same_with_types_of_its_own() -> None:
    """Texts stay texts, numbers numbers; fields may stand in an object or beside the rest."""
    whole = {
        "customer": "Acme",
        "expires": "2031-01-31",
        "type": "dev",
        "not_before": "2030-01-31T12:00:00Z",
        "repositories": ["worker", "api/*"],
        "contact": "sales@acme.test",
        "reference": 7,
        "fields": {"seats": 25, "text": "25", "none": None, "ratio": 1.5},
        "field.on": False,
    }
    fields = {"seats": 25, "text": "25", "none": None, "ratio": 1.5, "on": False}
    terms = LicenseTerms("Acme", END, LicenseType.DEV, START, ("worker", "api/*"), fields, "sales@acme.test")

    assert [LicenseRow(1, "7", terms)] == from_jsonl(whole)


def test_two_columns_are_enough() -> None:
    """Without a reference the customer is the key; without a type it is paid, from now on, for the whole app."""
    assert [LicenseRow(2, "Globex", TERMS)] == from_csv("expires,customer\n2031-01-31, Globex \n")
    assert [LicenseRow(1, "Globex", TERMS)] == from_jsonl(
        {"customer": "Globex", "expires": "2031-01-31", "reference": None}
    )


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    """Blank lines and line breaks inside of quotes count, and blank rows are no rows."""
    found = from_csv('customer,expires\n\nA,2031-01-31\n,\n"B\nb",2031-01-31\nC,soon\n')

    assert [(5, "customer"), (7, "expires")] == named(found)
    assert [3] == [row.line for row in found if isinstance(row, LicenseRow)]


@pytest.mark.parametrize(
    ("heading", "columns"),
    [
        ("", ["customer", "expires"]),
        ("customer", ["expires"]),
        ("customer,expires,expire", ["expire"]),
        ("customer,expires,Typ", ["Typ"]),
        ("customer,expires,", ["''"]),
        ("customer,expires,field.", ["field."]),
        ("customer,expires,field.a b", ["field.a b"]),
        ("customer,expires,customer", ["customer"]),
        ("customer,expires,x\x1b[31m", ["'x\\x1b[31m'"]),
        ("customer,expires,CUSTOMER", ["customer"]),
        ("customer,expires;type", ["expires;type", "expires"]),
        ("customer|expires", ["customer|expires", "customer", "expires"]),
    ],
)
def test_a_heading_is_checked_before_any_row(heading: str, columns: list[str]) -> None:
    """A misspelt, doubled or missing column is told in line 1, and nothing below it is read."""
    assert [(1, column) for column in columns] == named(from_csv(f"{heading}\nA,2031-01-31,x\n"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("told", ["", "sep={}\r\n", '"SEP={}"\n'])
@pytest.mark.parametrize(
    "names", ["customer expires repositories field.Seats", "Customer EXPIRES Repositories Field.Seats"]
)
def test_a_spreadsheet_of_any_country_is_read(delimiter: str, told: str, names: str) -> None:
    """Cells are separated as its country does it, a first line may say how, and headings may have capitals."""
    before = told.format(delimiter)
    rows = [names.split(" "), ["Globex", "31.01.2031", '"a;b"', "25"], ["Bad", "soon", "", ""]]
    found = from_csv(before + "\r\n".join(delimiter.join(row) for row in rows) + "\r\n")

    first = 3 if before else 2
    assert found[0] == LicenseRow(first, "Globex", evolve(TERMS, repositories=("a", "b"), fields={"Seats": 25}))
    assert [(first + 1, "expires")] == named(found[1:])


def test_a_heading_below_the_separator_is_named_by_its_own_line() -> None:
    """Line 1 says how cells are separated."""
    assert [(2, "expires")] == named(from_csv("sep=;\ncustomer\nA\n"))
    assert [(2, "customer"), (2, "expires")] == named(from_csv("sep=;\n"))


def test_columns_of_two_words_may_have_a_blank() -> None:
    """As people write headings."""
    assert not named(from_csv("Customer;Expires;Not before;Customer reference\nA;31.01.2031;1.2.2030;7\n"))


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("31.01.2031", (2031, 1, 31)),
        ("3.4.2031", (2031, 4, 3)),
        ("31.01.2031 00:00:00", (2031, 1, 31)),
        ("31/01/2031", (2031, 1, 31)),
        ("01/31/2031", (2031, 1, 31)),
        ("31-1-2031", (2031, 1, 31)),
        ("04/04/2031", (2031, 4, 4)),
    ],
)
def test_a_date_that_has_one_meaning_is_read(cell: str, day: tuple[int, int, int]) -> None:
    """In the forms of spreadsheets."""
    (row,) = from_csv(f"customer,expires\nA,{cell}\n")
    assert isinstance(row, LicenseRow)
    assert row.terms.expires_at == datetime(*day, tzinfo=UTC)


def test_a_date_of_json_has_one_form() -> None:
    """Programs write JSON, and the API documents that form."""
    assert [(1, "expires")] == named(from_jsonl({"customer": "A", "expires": "31.01.2031"}))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("03/04/2031", "'03/04/2031' can be 2031-04-03 (3 April) or 2031-03-04 (4 March); write the one that is meant"),
        ("3-4-2031", "'3-4-2031' can be 2031-04-03 (3 April) or 2031-03-04 (4 March); write the one that is meant"),
        ("31.01.31", "'31.01.31' has a year of two digits; write all four"),
        ("30.02.2031", "'30.02.2031' is not a day of the calendar; write 2027-01-31"),
        ("13/13/2031", "'13/13/2031' is not a day of the calendar; write 2027-01-31"),
        ("01.31.2031", "'01.31.2031' is not a day of the calendar; write 2027-01-31"),
        ("1.2/2031", "'1.2/2031' is not a date; write 2027-01-31 (00:00 UTC at its start) or 2027-01-31T12:00:00Z"),
    ],
)
def test_a_date_that_has_none_or_two_is_named(cell: str, text: str) -> None:
    """Nobody's license ends a month early because of a guess."""
    for column in ("expires", "not_before"):
        cells = {"customer": "A", "expires": "2032-12-31", column: cell}
        (problems,) = from_csv(f"{','.join(cells)}\n{','.join(cells.values())}\n")
        assert isinstance(problems, list)
        assert [(2, column, text)] == [(one.line, one.column, one.text) for one in problems]


BAD: list[tuple[str, Any, str]] = [
    ("customer", "x" * 201, "1 to 200 characters"),
    ("customer", "two\nlines", "control character"),
    ("customer", "\udcff", "is not UTF-8"),
    ("expires", "soon", "is not a date"),
    ("expires", "2031-02-30", "is not a date"),
    ("expires", "365d", "is not a date"),
    ("type", "gratis", "is not a license type"),
    ("type", "Paid", "is not a license type"),
    ("not_before", "2031-01-31", "would end before it begins"),
    ("not_before", "never", "is not a date"),
    ("repositories", "UPPER", "is not a repository pattern"),
    ("repositories", "a;;b", "is not a repository pattern"),
    ("repositories", ";", "is not a repository pattern"),
    ("repositories", ";".join(f"x{n}" for n in range(101)), "at most 100"),
    ("contact", "x\ty", "control character"),
    ("reference", "x" * 201, "1 to 200 characters"),
    ("field.note", "two\nlines", "control character"),
]


@pytest.mark.parametrize(("column", "cell", "text"), BAD)
def test_a_bad_cell_is_named(column: str, cell: str, text: str) -> None:
    """Both forms name the line, the column and what is wrong."""
    cells = {"customer": "Globex", "expires": "2031-01-31", column: cell}
    file = io.StringIO(newline="")
    csv.writer(file).writerows([cells.keys(), cells.values()])
    problems = [found[0] for found in (from_csv(file.getvalue()), from_jsonl(cells))]

    assert [[(2, column)], [(1, column)]] == [named([found]) for found in problems]
    assert all(isinstance(found, list) and text in found[0].text for found in problems)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("customer", 7),
        ("customer", ["Globex"]),
        ("expires", 2031),
        ("expires", None),
        ("type", True),
        ("repositories", {"a": 1}),
        ("repositories", [1]),
        ("reference", 1.5),
        ("reference", True),
        ("field.a", {"b": 1}),
        ("field.a", [1]),
    ],
)
def test_a_value_of_another_type_is_named(column: str, value: object) -> None:
    """JSON has more types than a license."""
    assert [(1, column)] == named(from_jsonl({"customer": "Globex", "expires": "2031-01-31", column: value}))


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        '"customer"',
        '{"customer": "A", "customer": "B", "expires": "2031-01-31"}',
        '{"customer": "A", "expires": "2031-01-31", "fields": [1]}',
        '{"customer": "A", "expires": "2031-01-31", "fields": {"a": 1, "a": 2}}',
        "[" * 5000,
        '{"customer": "A", "expires": ' + "9" * 5000 + "}",
    ],
)
def test_a_line_that_is_no_object_is_named(line: str) -> None:
    """The row as a whole is the column then, and the next row is read as usual."""
    found = from_jsonl(line, {"customer": "Globex", "expires": "2031-01-31"})

    assert [(1, "row")] == named(found)
    assert LicenseRow(2, "Globex", TERMS) == found[1]


def test_infinity_is_no_value_of_a_field() -> None:
    """What Python reads beyond JSON is refused, and as a text in CSV it stays a text."""
    cells = '{"customer": "Globex", "expires": "2031-01-31", "field.x": %s}'

    assert [(n, "field.x") for n in (1, 2, 3)] == named(from_jsonl(*(cells % v for v in ("NaN", "Infinity", "1e400"))))
    (row,) = from_csv("customer,expires,field.x\nGlobex,2031-01-31,NaN\n")
    assert isinstance(row, LicenseRow)
    assert {"x": "NaN"} == row.terms.fields


def test_every_problem_of_a_row_is_told() -> None:
    """Who mends a file wants to mend it once."""
    found = from_csv("customer,expires,type,contact\n,soon,free,a\x07b\nA,,,\n")

    assert [(2, "customer"), (2, "expires"), (2, "type"), (2, "contact"), (3, "expires")] == named(found)


def test_a_row_of_another_width_is_named() -> None:
    """A comma too many or too few shifts every cell, so the row is refused as a whole."""
    found = from_csv("customer,expires\nA,2031-01-31,x\nB\nC,2031-01-31\n")

    assert [(2, "row"), (3, "row")] == named(found)


@pytest.mark.parametrize(
    "text", ['customer,expires\nA,"2031\n', 'customer,expires\nA,"x"y\n', f"{'x' * (MAX_LINE + 1)}\n"]
)
def test_broken_csv_ends_the_reading(text: str) -> None:
    """After a quote that is never closed nobody knows what is a row; what came before stays checked."""
    assert "row" == named(from_csv(text))[-1][1]


def test_an_endless_line_is_not_read_to_its_end() -> None:
    """Memory stays bounded whatever the file holds."""

    def endless() -> Iterator[str]:
        yield "x" * (MAX_LINE + 1)
        raise AssertionError("it was read on")

    for read in (read_csv, read_jsonl):
        (found,) = read(endless(), LICENSE_ROWS)
        assert isinstance(found, list)
        assert [(1, "row")] == named([found])
        assert "longer than 65,536 characters" in found[0].text


@pytest.mark.parametrize("read", [read_csv, read_jsonl])
@given(text=st.text(max_size=200))
def test_no_file_breaks_the_reader(read: Callable[[Iterator[str], RowType[Read]], Iterator[Read]], text: str) -> None:
    """Whatever a file holds, it becomes rows and named problems."""
    for found in read(iter(io.StringIO(text, newline="")), LICENSE_ROWS):
        assert isinstance(found, LicenseRow) or all(isinstance(problem, RowProblem) for problem in found)


words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@given(customer=words, contact=words, text=words, number=st.integers(-(10**12), 10**12), flag=st.booleans())
def test_csv_and_json_lines_say_the_same(customer: str, contact: str, text: str, number: int, flag: bool) -> None:
    """A row written in either form makes the same license."""
    cells = {"customer": customer, "expires": "2031-01-31", "contact": contact}
    fields: dict[str, object] = {"text": f"t {text}", "number": number, "flag": flag}
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow([*cells, *(f"field.{name}" for name in fields)])
    writer.writerow([*cells.values(), f"t {text}", number, json.dumps(flag)])
    (one,), (other,) = from_csv(file.getvalue()), from_jsonl({**cells, "fields": fields})

    assert isinstance(one, LicenseRow)
    assert isinstance(other, LicenseRow)
    assert one.terms == other.terms == LicenseTerms(customer, END, fields=fields, contact=contact)


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({}, []),
        ({"customer": "Other"}, ["customer"]),
        ({"type": LicenseType.DEV}, ["type"]),
        ({"not_before": START}, ["not_before"]),
        ({"repositories": ("a",)}, ["repositories"]),
        ({"repositories": ()}, ["repositories"]),
        ({"contact": "x"}, ["contact"]),
        ({"expires_at": START}, ["expires"]),
        ({"fields": {"seats": 1, "new": None}}, ["field.new"]),
        ({"fields": {"seats": True}}, ["field.seats"]),
        ({"fields": {"seats": 1.0}}, ["field.seats"]),
        ({"fields": {}}, ["field.seats"]),
    ],
)
def test_changed_columns_are_named(changes: dict[str, Any], columns: list[str]) -> None:
    """Every difference is found, also between 1, 1.0 and true."""
    terms = evolve(TERMS, fields={"seats": 1})

    assert columns == changed_columns(evolve(terms, **changes), terms, END)


def test_an_extended_license_is_no_changed_row() -> None:
    """The file may still say the end that was imported, or already the new one; any third end is a change."""
    extended = evolve(TERMS, expires_at=datetime(2032, 1, 31, tzinfo=UTC))

    assert [] == changed_columns(TERMS, extended, END)
    assert [] == changed_columns(extended, extended, END)
    assert ["expires"] == changed_columns(evolve(TERMS, expires_at=START), extended, END)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("customer,expires,expire\n", ["column_unknown"]),
        ("customer\n", ["column_missing"]),
        ("customer,expires,customer\n", ["column_duplicated"]),
        ("customer;expires\nA\n", ["row_unreadable"]),
        ("customer,expires\nA\n", ["row_unreadable"]),
        ('customer,expires\n"A,2031-01-31\n', ["row_unreadable"]),
        ("customer,expires,type\n,soon,gratis\n", ["value_missing", "date_invalid", "license_type_invalid"]),
    ],
)
def test_a_problem_has_a_code(text: str, codes: list[str]) -> None:
    """Programs tell one kind of problem from another without reading the sentence."""
    problems = [problem for read in from_csv(text) if isinstance(read, list) for problem in read]

    assert codes == [problem.code for problem in problems]
