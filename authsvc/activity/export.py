"""Activity as comma-separated values (RFC 4180) that a spreadsheet opens without running anything.

A cell that begins with a character by which a spreadsheet recognises a formula gets an apostrophe in front, as OWASP
recommends ("CSV Injection"): a customer's name is a text that somebody else wrote.
"""

import re
from collections.abc import Iterable

MEDIA_TYPE = "text/csv; charset=utf-8"
END = "\r\n"

COLUMNS = (
    *("period", "resolution", "app", "repository", "tag", "digest", "action", "subject", "license", "customer"),
    *("customer_id", "count", "bytes", "first_at", "last_at", "source"),
)
"""The columns of a list of activity, named as the members of a row."""

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")  # noqa: RUF001 - spreadsheets take wide forms for the same
_QUOTED = re.compile(r'[",\r\n]|^\s|\s$')


def csv_line(cells: Iterable[object]) -> str:
    """Return one line with its end; None is an empty cell."""
    return ",".join(map(_cell, cells)) + END


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, str) and _FORMULA.match(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
