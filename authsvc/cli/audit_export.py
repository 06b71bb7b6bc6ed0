"""A copy of the audit in a file, one JSON object a line, that can be continued where it ends."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from attrs import define

from authsvc.audit.stored_entry import StoredEntry
from authsvc.errors import InputRefused

TAIL = 64 * 1024
"""Bytes at the end of a file that contain its whole last line: an entry has at most 25 KiB."""

STANDARD_OUTPUT = "-"


@define
class AuditExport:
    """A file that is being continued.

    Attributes:
        cursor: of the last entry in it; empty for none.
    """

    cursor: str
    _descriptor: int

    @classmethod
    @contextmanager
    def open(cls, path: str) -> Iterator["AuditExport"]:
        """Yield the file; at the end, everything that was added is on the disk.

        Raises:
            InputRefused: it cannot be written, or is not a copy of an audit.
        """
        if path == STANDARD_OUTPUT:
            try:
                yield cls("", sys.stdout.fileno())
            except BrokenPipeError:
                raise
            except OSError as error:
                raise InputRefused(
                    f"cannot write standard output: {error.strerror}", code="file_unusable", field="file"
                ) from error
            return
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InputRefused(
                f"cannot write {path[:200]}: {error.strerror}", code="file_unusable", field="file"
            ) from error
        try:
            yield cls(_prepared(descriptor, path), descriptor)
            os.fsync(descriptor)
        except OSError as error:
            raise InputRefused(
                f"cannot write {path[:200]}: {error.strerror}; run it again to continue",
                code="file_unusable",
                field="file",
            ) from error
        finally:
            os.close(descriptor)

    def is_behind(self, trimmed_until: str) -> bool:
        """Whether entries after the last one in the file no longer exist."""
        return bool(self.cursor) and StoredEntry(trimmed_until, b"").position > StoredEntry(self.cursor, b"").position

    def add(self, page: Sequence[StoredEntry]) -> None:
        """Write some entries.

        Raises:
            OSError: the file cannot be written.
        """
        text = "".join(f"{kept.line()}\n" for kept in page).encode()
        while text:
            text = text[os.write(self._descriptor, text) :]
        if page:
            self.cursor = page[-1].cursor


def _prepared(descriptor: int, path: str) -> str:
    """Return the cursor of the last whole line, and remove what follows it: a write was interrupted there."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    start = max(0, size - TAIL)
    tail = os.pread(descriptor, TAIL, start)
    whole = tail[: tail.rfind(b"\n") + 1]
    if tail and not whole and start:
        raise InputRefused(
            f"{path[:200]} is not a copy of an audit; choose another file", code="file_unusable", field="file"
        )
    cursor = ""
    if whole:
        try:
            cursor = str(json.loads(whole[whole.rfind(b"\n", 0, -1) + 1 :])["cursor"])
            _ = StoredEntry(cursor, b"").position
        except (ValueError, KeyError, TypeError) as error:
            raise InputRefused(
                f"{path[:200]} is not a copy of an audit; choose another file", code="file_unusable", field="file"
            ) from error
    elif tail and not tail.startswith(b'{"cursor"'):
        raise InputRefused(
            f"{path[:200]} is not a copy of an audit; choose another file", code="file_unusable", field="file"
        )
    os.ftruncate(descriptor, start + len(whole))
    os.lseek(descriptor, 0, os.SEEK_END)
    return cursor


def _unusable(sentence: str) -> InputRefused:
    return InputRefused(sentence, code="file_unusable", field="file")
