"""Files of rows as text: decoded, cut into lines of a bounded length, and read as CSV or JSON lines."""

from collections.abc import Iterator
from io import TextIOWrapper
from typing import IO, TypeVar

from authsvc.manage.license_rows import MAX_LINE, RowProblem, RowType, read_csv, read_jsonl

R = TypeVar("R")

CSV, JSON_LINES = "csv", "jsonl"

_ENDINGS = (".jsonl", ".ndjson")


def form_of(name: str) -> str:
    """Return the format of a file by its name: ``jsonl``, otherwise ``csv``."""
    return JSON_LINES if name.lower().endswith(_ENDINGS) else CSV


def decoded(stream: IO[bytes]) -> TextIOWrapper:
    """Return the text of a file; bytes that are not UTF-8 are reported later, by their line and column."""
    return TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")


def read_rows(text: IO[str], form: str, kind: RowType[R]) -> Iterator[R | list[RowProblem]]:
    """Yield the rows of an open file from the first one on.

    Args:
        text: must be seekable.
        form: ``csv`` or ``jsonl``.
        kind: type of the rows.
    """
    text.seek(0)
    # A line that is too long is read only up to one character more than is accepted.
    lines = iter(lambda: text.readline(MAX_LINE + 1), "")
    read = read_jsonl if form == JSON_LINES else read_csv
    yield from read(lines, kind)
