"""Reads exported files of the audit from their ends, so that the newest entries come first and soon."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from authsvc.audit.stored_entry import StoredEntry
from authsvc.errors import InputRefused
from authsvc.manage.audit_query import AuditFilter, position

BLOCK = 256 * 1024
"""Bytes that are read at once."""

MAX_LINE = 1024 * 1024
"""Longest line in bytes that is taken for an entry, though it is not; an entry has at most 25 KiB."""


def newest_first(paths: Sequence[Path], filter_: AuditFilter, before: str) -> Iterator[StoredEntry]:
    """Yield the selected entries of exported files, newest first.

    Args:
        paths: of the files, in any order; their entries do not overlap, or are yielded once for each file.
        filter_: selects.
        before: the cursor of an entry, to begin with older ones; empty for the newest.

    Raises:
        InputRefused: a file cannot be read, or is not a copy of an audit.
    """
    oldest, texts = filter_.oldest, _plain(filter_.selection.clauses)
    for path in sorted(paths, key=lambda path: position(_first_cursor(path)), reverse=True):
        for line in _lines_backwards(path):
            if not all(any(text in line for text in clause) for clause in texts):
                continue
            entry = _entry(line, path)
            if oldest and entry.position < position(oldest):
                break
            if not before or entry.position < position(before):
                yield from filter_.chosen([entry])


def _plain(clauses: Sequence[Sequence[str]]) -> list[list[bytes]]:
    """Return those clauses whose texts are written in only one way in JSON."""
    return [
        [text.encode() for text in clause]
        for clause in clauses
        if all(text.isascii() and text.isprintable() and not {'"', "\\"} & set(text) for text in clause)
    ]


def _first_cursor(path: Path) -> str:
    try:
        with path.open("rb") as file:
            line = file.readline(BLOCK)
    except OSError as error:
        raise _unreadable(path, error) from error
    return _entry(line, path).cursor


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a file, the last one first; what is behind the last line break is not whole."""
    try:
        with path.open("rb") as file:
            place, rest, line_break = file.seek(0, os.SEEK_END), b"", b""
            while place and len(rest) <= MAX_LINE:
                start = max(0, place - BLOCK)
                file.seek(start)
                block, place = file.read(place - start), start
                if not line_break:
                    block, line_break, _ = block.rpartition(b"\n")
                if line_break:
                    rest, *lines = (block + rest).split(b"\n")
                    yield from reversed(lines)
            if line_break:
                yield rest
    except OSError as error:
        raise _unreadable(path, error) from error


def _entry(line: bytes, path: Path) -> StoredEntry:
    try:
        return StoredEntry.of_line(line)
    except ValueError as error:
        raise InputRefused(
            f"{str(path)[:200]} is not a copy of the audit: a line is not an entry", code="file_unusable", field="file"
        ) from error


def _unreadable(path: Path, error: OSError) -> InputRefused:
    return InputRefused(f"cannot read {str(path)[:200]}: {error.strerror}", code="file_unusable", field="file")
