"""Prints a list page by page, in bounded memory."""

import shutil
import sys
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
from attrs import define, field, frozen

from authsvc.cli.console import discard_output, print_document, print_next, remark, run, say
from authsvc.printable import printable, printable_json

if TYPE_CHECKING:
    from authsvc.tenancy.pages import Page
    from authsvc.wiring.management import Management

T = TypeVar("T")

Facts = dict[str, Any]
"""One item of a list, as in JSON."""

Fetch = Callable[["Management", str | None, int], Awaitable["Page[Facts]"]]
"""Reads the page after a cursor, or the first one, with at most the given number of items."""

PAGE_DEADLINE = 30.0
"""Seconds that one page may take."""

LINE = 100
"""Characters of a table's line, if enough columns can be cut; a wider terminal gets more."""

LEAST, MOST = 6, 40
"""Smallest width to which a column is cut, and its width if later pages may need it."""

MOST_ITEMS = 1_000_000
"""Largest ``--limit``; without one a list has no end."""

_GAP = "  "


@frozen
class Column:
    """A column of a table.

    Attributes:
        heading: its name.
        cut: whether long cells are cut so that a line fits; a value that other commands need is never cut.
        least: smallest width to which it is cut.
    """

    heading: str
    cut: bool = False
    least: int = LEAST


@frozen
class Table:
    """The columns of a list for people.

    Attributes:
        columns: from left to right.
        row: makes the cells of an item.
        empty: the sentence for a list without items.
        below: makes a text for the lines below an item, in the whole width; None for no text.
        below_heading: the heading of that text.
    """

    columns: tuple[Column, ...]
    row: Callable[[Facts], Sequence[str]]
    empty: str
    below: Callable[[Facts], str] | None = None
    below_heading: str = ""


@frozen
class ListOwner:
    """The object to which a list belongs; in text it is printed above the list.

    Attributes:
        fetch: reads it.
        member: the list's name in the JSON object.
        show: prints it as text.
    """

    fetch: Callable[["Management"], Awaitable[Facts]]
    member: str
    show: Callable[[Facts], None]


class ListOutput(Protocol):
    """Prints a list, page by page."""

    def add(self, items: Sequence[Facts], *, more: bool) -> None:
        """Print the items of one page; ``more`` says whether other pages follow."""
        ...

    def end(self) -> None:
        """Print the end of the list."""
        ...


def paging_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--limit`` and ``--after``."""
    command = click.option("--after", metavar="CURSOR", help="Continue after the list that ended with this cursor.")(
        command
    )
    return click.option(
        "--limit",
        type=click.IntRange(1, MOST_ITEMS),
        metavar="N",
        help="Stop after N; the cursor of the remaining items is on standard error.",
    )(command)


def print_list(
    data_dir: Path | None,
    fetch: Fetch,
    table: Table,
    *,
    as_json: bool,
    limit: int | None = None,
    after: str | None = None,
    owner: ListOwner | None = None,
    rest: str = "next: {}",
    output: ListOutput | None = None,
) -> None:
    """Print a list as its pages arrive: a table, one JSON list, or another format.

    The process ends when a page is refused; a JSON list that has begun then remains incomplete. A reader that closes
    the pipe ends the list without a message.

    Args:
        data_dir: as typed.
        fetch: reads a page.
        table: the form of the list as text.
        as_json: whether to print JSON.
        limit: largest number of items, or None for all.
        after: the cursor after which to continue, or None.
        owner: the object that the list belongs to, if any; JSON is this object then.
        rest: the sentence that says that there are more items; the braces stand for the cursor.
        output: prints the list in another format, if it is given.
    """
    import asyncio

    async def use(manage: "Management") -> str | None:
        async with asyncio.timeout(PAGE_DEADLINE):
            facts = None if owner is None else await owner.fetch(manage)
        printed = output or (_json_list(owner, facts) if as_json else _Lines(table))
        cursor, left = after, limit
        while True:
            async with asyncio.timeout(PAGE_DEADLINE):
                page = await fetch(manage, cursor, _page_size(left))
            if owner is not None and facts is not None and not as_json:
                owner.show(facts)
                facts = None
            printed.add(page.items, more=page.next is not None)
            _warn(page.unreadable)
            cursor = page.next
            left = None if left is None else left - len(page.items)
            if cursor is None or left == 0:
                printed.end()
                return cursor

    _print_all(lambda: run(data_dir, use, deadline=None), rest)


def print_page(page: "Page[Facts]", table: Table, *, as_json: bool, rest: str) -> None:
    """Print a list that is a single page: a table, or one JSON list; ``rest`` says that there are more items."""
    printed = _JsonList() if as_json else _Lines(table)

    def show() -> str | None:
        printed.add(page.items, more=False)
        printed.end()
        return page.next

    _print_all(show, rest)


def _print_all(show: Callable[[], str | None], rest: str) -> None:
    """Print a list by ``show``, which returns the cursor of further items; a reader may close the pipe."""
    try:
        following = show()
    except BrokenPipeError:
        discard_output()
        return
    if following is not None:
        print_next(rest.format(following))


def page_of(page: "Page[T]", facts: Callable[[T], Facts]) -> "Page[Facts]":
    """Return a page with the shown form of the records of ``page``."""
    from authsvc.tenancy.pages import Page

    return Page(tuple(map(facts, page.items)), page.next, page.unreadable)


def _page_size(left: int | None) -> int:
    from authsvc.tenancy.pages import MAX_PAGE

    return MAX_PAGE if left is None else min(left, MAX_PAGE)


def _warn(unreadable: Sequence[str]) -> None:
    for name in unreadable:
        remark(f"{name} was written by a newer authsvc and is left out")


@define
class _JsonList:
    """A JSON list, printed as it arrives: the same text as a value that is printed at once."""

    before: str = ""
    margin: str = ""
    behind: str = ""
    _begun: bool = field(init=False, default=False)

    def add(self, items: Sequence[Facts], *, more: bool) -> None:  # noqa: ARG002 - for tables
        if items:
            texts = (textwrap.indent(printable_json(item, 2), self.margin + _GAP) for item in items)
            print_document((",\n" if self._begun else f"{self.before}[\n") + ",\n".join(texts))
            self._begun = True

    def end(self) -> None:
        closing = f"\n{self.margin}]" if self._begun else f"{self.before}[]"
        print_document(f"{closing}{self.behind}\n")


def _json_list(owner: ListOwner | None, facts: Facts | None) -> _JsonList:
    if owner is None or facts is None:
        return _JsonList()
    whole = printable_json({**facts, owner.member: []}, 2)
    return _JsonList(whole.removesuffix("[]\n}"), _GAP, "\n}")


@define
class _Lines:
    """A table, printed as it arrives. Its columns are as wide as the first page needs."""

    table: Table
    _widths: list[int] | None = field(init=False, default=None)

    def add(self, items: Sequence[Facts], *, more: bool) -> None:
        if not items:
            return
        table = self.table
        rows = [[printable(cell) for cell in table.row(item)] for item in items]
        below = [printable(table.below(item)) if table.below else "" for item in items]
        if self._widths is None:
            self._widths = widths_of(table.columns, rows, more=more)
            rows.insert(0, [column.heading for column in table.columns])
            below.insert(0, table.below_heading)
        for row, text in zip(rows, below, strict=True):
            say("\n".join((table_line(row, table.columns, self._widths), *lines_below(text))))

    def end(self) -> None:
        if self._widths is None:
            remark(self.table.empty)


def table_line(row: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    """Return a line of a table, whose cells are printable."""
    cells = []
    for cell, column, width in zip(row, columns, widths, strict=True):
        shown = f"{cell[: width - 1]}…" if column.cut and len(cell) > width else cell
        cells.append(shown.ljust(width))
    return _GAP.join(cells).rstrip()


def lines_below(text: str) -> list[str]:
    """Return the lines of a text below an item, indented and never cut."""
    return textwrap.wrap(text, line_length(), initial_indent=_GAP, subsequent_indent=_GAP * 2, break_on_hyphens=False)


def line_length() -> int:
    """Return how many characters a line may have: at a terminal as many as it shows."""
    return max(LINE, shutil.get_terminal_size().columns) if sys.stdout.isatty() else LINE


def widths_of(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, more: bool) -> list[int]:
    """Return the widths of a table's columns.

    Args:
        columns: of the table.
        rows: of its first page, at least one.
        more: whether other pages follow, whose cells may be longer.
    """
    cells, longest = zip(*rows, strict=True), line_length()
    widths = [max(len(column.heading), *map(len, texts)) for column, texts in zip(columns, cells, strict=True)]
    flexible = [place for place, column in enumerate(columns) if column.cut]
    if more:
        for place in flexible:
            widths[place] = max(widths[place], MOST)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > longest:
        wide = [place for place in flexible if widths[place] > columns[place].least]
        if not wide:
            break
        widest = max(wide, key=lambda place: widths[place])
        widths[widest] -= 1
    return widths
