"""Comma-separated values (RFC 4180) that a spreadsheet opens without running anything in them.

An apostrophe is put before a text that begins with a character by which spreadsheets recognise a formula, as OWASP
recommends ("CSV Injection"): names and what clients say about themselves are untrusted.
"""

import re
from collections.abc import Iterable

MEDIA_TYPE = "text/csv"
END = "\r\n"

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")  # noqa: RUF001 - spreadsheets take wide forms for the same
_QUOTED = re.compile(r'[",\r\n]|^\s|\s$')


def csv_line(cells: Iterable[object]) -> str:
    """Return one line with its end. None becomes an empty cell; numbers are not changed, not even negative ones."""
    return ",".join(map(_cell, cells)) + END


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, str) and _FORMULA.match(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
