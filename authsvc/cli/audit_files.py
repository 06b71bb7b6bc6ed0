"""Reads exported files of the audit from their ends, so that the newest entries come first and soon.

Every line that is passed is checked, whether it is wanted or not: one that is damaged may have been wanted.
"""

import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from authsvc.audit.stored_entry import StoredEntry, cursor_of_line, position_of
from authsvc.errors import InputRefused
from authsvc.manage.audit_query import AuditFilter

BLOCK = 64 * 1024
"""Bytes that are read at once of each file."""

MAX_LINE = 1024 * 1024
"""Longest line in bytes that is read; an entry has at most 25 KiB."""

BEGINNING = b'{"cursor"'
"""How the line of an entry begins."""

_Position = tuple[int, int]


def newest_first(
    paths: Sequence[Path], filter_: AuditFilter, before: str, on_cut: Callable[[Path], None]
) -> Iterator[StoredEntry]:
    """Yield the selected entries of exported files, newest first, each once.

    Args:
        paths: of the files, in any order; they may overlap.
        filter_: selects.
        before: the cursor of an entry, to begin with older ones; empty for the newest.
        on_cut: is called with each file that ends in the middle of a line, which is left out.

    Raises:
        InputRefused: a file cannot be read, or is not a copy of an audit.
    """
    texts = _plain(filter_.selection.clauses)
    oldest = position_of(filter_.oldest) if filter_.oldest else None
    last = position_of(before) if before else None
    merged = heapq.merge(*(_lines_of(path, on_cut) for path in paths), key=itemgetter(0), reverse=True)
    for at, line in merged:
        if oldest is not None and at < oldest:
            return
        if last is not None and at >= last:
            continue
        last = at
        if all(any(text in line for text in clause) for clause in texts):
            yield from filter_.chosen([StoredEntry.of_line(line)])


def _plain(clauses: Sequence[Sequence[str]]) -> list[list[bytes]]:
    """Return those clauses whose texts are written in only one way in JSON."""
    return [
        [text.encode() for text in clause]
        for clause in clauses
        if all(text.isascii() and text.isprintable() and not {'"', "\\"} & set(text) for text in clause)
    ]


def _lines_of(path: Path, on_cut: Callable[[Path], None]) -> Iterator[tuple[_Position, bytes]]:
    """Yield the lines of a file, the last one first, with the positions of their entries."""
    newer, is_last = None, True
    for start, line in _lines_backwards(path):
        if not line.strip():
            is_last = False
            continue
        try:
            at = position_of(cursor_of_line(line))
        except ValueError as error:
            if is_last and (line.startswith(BEGINNING) or BEGINNING.startswith(line)):
                on_cut(path)
                is_last = False
                continue
            raise _not_an_entry(path, start) from error
        if newer is not None and at > newer:
            raise _wrong(path, start, "is newer than the one below it; name the copies that it was made of one by one")
        newer, is_last = at, False
        yield at, line


def _lines_backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield each line of a file with the byte at which it begins, the last one first.

    The first to come is what follows the last line break, often nothing. The file is not kept open: there may be many.
    """
    start, rest = _size(path), b""
    while start:
        end, start = start, max(0, start - BLOCK)
        rest, *lines = (_read(path, start, end - start) + rest).split(b"\n")
        begin = start + len(rest) + 1 + sum(map(len, lines)) + len(lines)
        for line in reversed(lines):
            begin -= len(line) + 1
            yield begin, line
        if len(rest) > MAX_LINE:
            raise _not_an_entry(path, start)
    yield 0, rest


def _size(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return file.seek(0, os.SEEK_END)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read(path: Path, start: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(length)
    except OSError as error:
        raise _unreadable(path, error) from error


def _not_an_entry(path: Path, start: int) -> InputRefused:
    return _wrong(path, start, "is not an entry of the audit; take another copy of the file, or remove this line")


def _wrong(path: Path, start: int, what: str) -> InputRefused:
    """Return the refusal of the line in which a byte of a file is."""
    before = sum(_read(path, at, min(BLOCK, start - at)).count(b"\n") for at in range(0, start, BLOCK))
    return InputRefused(f"{str(path)[:200]}: line {before + 1} {what}", code="file_unusable", field="file")


def _unreadable(path: Path, error: OSError) -> InputRefused:
    return InputRefused(f"cannot read {str(path)[:200]}: {error.strerror}", code="file_unusable", field="file")
