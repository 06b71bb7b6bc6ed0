"""Comma-separated values: every reader gets the same cells back, and no spreadsheet takes one for a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.spreadsheet_csv import csv_line

FORMULA = "=+-@\t\r\n＝＋－＠"  # noqa: RUF001 - spreadsheets take wide forms for the same

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.none() | st.integers() | texts, min_size=2))
def test_cells_come_back(cells: list[object]) -> None:
    """Except for the apostrophe in front of what could be a formula; there is one line for one row, to a CSV reader."""
    (found,) = csv.reader(io.StringIO(csv_line(cells), newline=""))
    for cell, text in zip(cells, found, strict=True):
        expected = "" if cell is None else str(cell)
        if isinstance(cell, str) and text != expected:
            assert text == f"'{expected}"
            assert expected.lstrip()[:1] in FORMULA or expected[:1] in FORMULA
        else:
            assert text == expected
            assert not isinstance(cell, str) or text == "" or text[0] not in FORMULA


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1+1", '=HYPERLINK("x")'])  # noqa: RUF001
def test_a_formula_is_text(text: str) -> None:
    """It begins with an apostrophe for every reader."""
    (found,) = csv.reader(io.StringIO(csv_line([text, 1]), newline=""))
    assert found == [f"'{text}", "1"]


def test_what_needs_no_quotes_has_none() -> None:
    """Numbers, also negative ones, and plain names are as they are; lines end as RFC 4180 says."""
    assert csv_line(["acme/web", None, -1, "Initech, Inc.", 'a "b"']) == 'acme/web,,-1,"Initech, Inc.","a ""b"""\r\n'
