"""Reads files of rows, CSV or JSON lines, twice, also from standard input, and reports problems in them."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, TypeVar, cast

import click
from attrs import define, evolve, field, frozen
from typing_extensions import override

from authsvc.cli.console import remark
from authsvc.errors import InputRefused

if TYPE_CHECKING:
    from datetime import datetime

    from authsvc.manage.checked_rows import CheckedRow, RowEffect
    from authsvc.manage.license_rows import RowProblem, RowType
    from authsvc.manage.operation import BatchKind, Operation
    from authsvc.wiring.management import Management

R = TypeVar("R")

SHOWN = 200
"""Most problems that are printed for people; --json has all."""

STDIN = Path("-")

_STDIN_NAMES = ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")
"""Names of standard input, which are not opened as files: a container may run as another user than its pipe's owner."""


class _RowPath(click.Path):
    """An existing file, or standard input under any of its names."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, exists=True, dir_okay=False, readable=True, allow_dash=True)

    @override
    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        return STDIN if os.fspath(value) in _STDIN_NAMES else super().convert(value, param, ctx)


row_file_option = click.argument("file", type=_RowPath())
format_option = click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl"]), help="Format of FILE.  [default: by its name, else csv]"
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")


def operations_of(manage: "Management", kind: "BatchKind", rows: int, file: Path) -> "Callable[[], Operation]":
    """Return a function that begins the operation of each row: the audit names the file and its number of rows."""
    from authsvc.manage.operation import RowBatch

    batch = RowBatch(kind, rows, None if file == STDIN else file.name)
    return lambda: evolve(manage.operation(), batch=batch)


@frozen
class RowFile:
    """An open file of rows.

    Attributes:
        kind: ``csv`` or ``jsonl``.
    """

    kind: str
    _text: IO[str]

    @classmethod
    @contextmanager
    def open(cls, file: Path, form: str | None) -> "Iterator[RowFile]":
        """Open ``file``, ``-`` for standard input; bytes that are not UTF-8 are reported by their line and column.

        Args:
            file: as typed.
            form: ``csv`` or ``jsonl``; None to go by the name.

        Raises:
            InputRefused: it cannot be read.
        """
        from authsvc.manage.row_text import decoded, form_of

        try:
            with (
                _opened(file) as opened,
                decoded(cast("IO[bytes]", opened)) as text,
            ):
                yield cls(form or form_of(file.name), text)
        except OSError as error:
            name = "standard input" if file == STDIN else file
            raise InputRefused(
                f"cannot read {name}: {error.strerror or error}", code="file_unusable", field="file"
            ) from error

    def rows(self, kind: "RowType[R]") -> "Iterator[R | list[RowProblem]]":
        """Return the rows from the first one on."""
        from authsvc.manage.row_text import read_rows

        return read_rows(self._text, self.kind, kind)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """Open a file that can be read twice: a pipe is copied to an unnamed file."""
    if file == STDIN:
        with _copied(sys.stdin.buffer) as copy:
            yield copy
        return
    with file.open("rb") as opened:
        if opened.seekable():
            yield opened
            return
        with _copied(opened) as copy:
            yield copy


@contextmanager
def _copied(source: BinaryIO) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(source, copy)
        copy.seek(0)
        yield cast("BinaryIO", copy)


@contextmanager
def progress(rows: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on standard error if that is a terminal; yield the function that advances it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=rows, label="licenses", file=sys.stderr, show_pos=True) as bar:
        yield bar.update


def print_problems(file: Path, problems: "Sequence[RowProblem]", others: Iterable[str] = ()) -> None:
    """Print the problems of a file, one a line.

    Args:
        file: as typed.
        problems: in the order of the lines.
        others: further lines, which name the file themselves.
    """
    lines = [f"{file}:{problem.line}: {problem.column}: {problem.text}" for problem in problems]
    lines += others
    for line in lines[:SHOWN]:
        remark(line)
    if len(lines) > SHOWN:
        remark(f"and {len(lines) - SHOWN} more; --json prints all")


@define
class LastDays:
    """The earliest and the latest of the last days of a file's licenses, for the last line of a command.

    Attributes:
        effect: which rows count.
    """

    effect: "RowEffect"
    _ends: "list[datetime]" = field(init=False, factory=list)

    def note(self, row: "CheckedRow") -> None:
        """Count a row that can be read."""
        if row.effect == self.effect:
            ends = (*self._ends, row.expires_at)
            self._ends = [min(ends), max(ends)]

    def __str__(self) -> str:
        """Return the end of a sentence; empty when no license has a new end."""
        from authsvc.tenancy.dates import last_day

        days = sorted({last_day(end) for end in self._ends})
        if not days:
            return ""
        return f"; the last day is {days[0]}" if len(days) == 1 else f"; the last days are {days[0]} to {days[1]}"
