"""A file of rows that was sent with a form: read once for the preview, carried by the page, and read again."""

import base64
import binascii
import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from attrs import evolve, field, frozen

from authsvc.errors import InputRefused
from authsvc.manage.checked_rows import CheckedRow
from authsvc.manage.confirmation import mark_of
from authsvc.manage.license_rows import RowProblem, RowType
from authsvc.manage.operation import BatchKind, Operation, RowBatch
from authsvc.manage.row_text import decoded, form_of, read_rows
from authsvc.web.portal.answers import Visit

R = TypeVar("R")

MAX_FILE = 256 * 1024
"""Bytes of a file."""

MAX_BODY = 2 * MAX_FILE
"""Bytes of a form with a file, which the second form has in base64."""

MAX_ROWS = 1000
"""Rows of a file: two requests make so many licenses, at the rate of the key service."""

MAX_NAME = 200
"""Characters of a file's name."""

SHOWN = 200
"""Most rows of one kind that a page lists."""


@frozen
class RowUpload:
    """The file.

    Attributes:
        app: slug of the app that was chosen with it.
        name: as sent by the browser.
        content: of it.
    """

    app: str
    name: str
    content: bytes = field(repr=False)

    @classmethod
    def sent(cls, visit: Visit) -> "RowUpload":
        """Return the file that was chosen, or that the page before has carried.

        Raises:
            InputRefused: there is none, or it is too long.
        """
        app = visit.form.get("app", "")
        if visit.file is not None:
            upload = cls(app, visit.file.name[:MAX_NAME], visit.file.content)
        else:
            try:
                content = base64.urlsafe_b64decode(visit.form.get("content", ""))
            except (binascii.Error, ValueError) as error:
                raise InputRefused(
                    "the file was not sent whole; choose it again", code="file_unusable", field="file"
                ) from error
            upload = cls(app, visit.form.get("file_name", "")[:MAX_NAME], content)
        if not upload.content:
            raise InputRefused("choose a file that is not empty", code="file_unusable", field="file")
        if len(upload.content) > MAX_FILE:
            raise InputRefused(
                f"the file has more than {MAX_FILE // 1024} KiB; split it, or use the command line",
                code="file_unusable",
                field="file",
            )
        return upload

    @property
    def carried(self) -> str:
        """The content, as a field of the next form has it."""
        return base64.urlsafe_b64encode(self.content).decode()

    def rows(self, kind: RowType[R]) -> Iterator[R | list[RowProblem]]:
        """Yield the rows from the first one on.

        Raises:
            InputRefused: there are too many.
        """
        with decoded(io.BytesIO(self.content)) as text:
            rows = read_rows(text, form_of(self.name), kind)
            yield from islice(rows, MAX_ROWS)
            if next(rows, None) is not None:
                raise InputRefused(
                    f"the file has more than {MAX_ROWS:,} rows; split it, or use the command line",
                    code="rows_too_many",
                    field="rows",
                )

    def operations(self, visit: Visit, kind: BatchKind, rows: int) -> Callable[[], Operation]:
        """Return a function that begins the operation of each row; the audit names the file."""
        batch = RowBatch(kind, rows, self.name or None)
        return lambda: evolve(visit.operation(), batch=batch)


@frozen
class RowPreview:
    """The effect of a file.

    Attributes:
        upload: the file.
        rows: how many it has.
        checked: the rows that can be read, in order.
        problems: what must be corrected first.
    """

    upload: RowUpload
    rows: int
    checked: Sequence[CheckedRow]
    problems: Sequence[RowProblem]

    def having(self, effect: str) -> list[CheckedRow]:
        """Return the rows with this effect."""
        wrong = {one.line for one in self.problems}
        return [one for one in self.checked if one.effect == effect and one.line not in wrong]

    def left(self, effect: str, kind: RowType[R]) -> Iterator[R | list[RowProblem]]:
        """Yield the rows with this effect that are left; a repetition begins with them."""
        lines = {one.line for one in self.having(effect)}
        return (row for row in self.upload.rows(kind) if getattr(row, "line", None) in lines)

    @property
    def mark(self) -> str:
        """Identifies the file and its whole effect as of now."""
        said = [(one.line, one.effect, one.license and one.license.expires_at.isoformat()) for one in self.checked]
        problems = [(one.line, one.column, one.text) for one in self.problems]
        return mark_of(self.upload.app, hashlib.sha256(self.upload.content).hexdigest(), said, problems)
