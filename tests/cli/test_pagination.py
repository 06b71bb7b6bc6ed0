"""Lists that are printed page by page: tables, JSON, cursors, and what interrupts them."""

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import define, field

from authsvc.cli.console import print_json
from authsvc.cli.pagination import LEAST, LINE, MOST, Column, Facts, ListOwner, Table, print_list, widths_of
from authsvc.errors import InputRefused
from authsvc.tenancy.pages import Page
from tests.support.stack import Stack

if TYPE_CHECKING:
    from authsvc.wiring.management import Management

ID, NAME = Column("ID"), Column("NAME", cut=True)
TABLE = Table((ID, NAME), lambda item: (str(item["id"]), item["name"]), "there is nothing")


@define
class Numbers:
    """A list of numbered items, in pages that may be short.

    Attributes:
        names: of the items.
        short: most items of a page, whatever is asked for.
        fails_at: the item that cannot be read.
        asked: the sizes that were asked for.
    """

    names: Sequence[str]
    short: int = 100
    fails_at: int | None = None
    unreadable: tuple[str, ...] = ()
    asked: list[int] = field(factory=list)

    async def fetch(self, _manage: "Management", after: str | None, size: int) -> Page[Facts]:
        """Return a page; a cursor is the number of the first item behind the page before."""
        self.asked.append(size)
        start = int(after or 0)
        end = min(start + min(size, self.short), len(self.names))
        if self.fails_at is not None and start <= self.fails_at < end:
            raise InputRefused("it cannot be read", code="cursor_invalid", field="after")
        items = tuple({"id": place, "name": self.names[place]} for place in range(start, end))
        return Page(items, str(end) if end < len(self.names) else None, self.unreadable)


def shown(
    stack: Stack,
    numbers: Numbers,
    capsys: pytest.CaptureFixture[str],
    *,
    limit: int | None = None,
    after: str | None = None,
    as_json: bool = False,
) -> tuple[str, str]:
    """Print a list and return what was written to standard output and standard error."""
    print_list(stack.data_dir, numbers.fetch, TABLE, limit=limit, after=after, as_json=as_json)
    printed = capsys.readouterr()
    return printed.out, printed.err


@pytest.mark.parametrize("count", [0, 1, 2, 250])
@pytest.mark.parametrize("short", [100, 7])
def test_json_is_the_list_at_once(stack: Stack, capsys: pytest.CaptureFixture[str], count: int, short: int) -> None:
    """Page by page it is the same text as of a list that is printed at once."""
    names = [f"line\nbreak, Ünal \u202e{number}" for number in range(count)]
    out, err = shown(stack, Numbers(names, short), capsys, as_json=True)
    print_json([{"id": number, "name": name} for number, name in enumerate(names)])

    assert (capsys.readouterr().out, "") == (out, err)


def test_a_short_table_is_as_wide_as_it_needs(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are aligned, and lines have no blanks at their ends."""
    out, err = shown(stack, Numbers(["one", "the second"]), capsys)
    assert (["ID  NAME", "0   one", "1   the second"], "") == (out.splitlines(), err)


def test_a_long_table_keeps_its_columns(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """All pages have one heading, and no line is longer than it was decided on the first page."""
    out, _ = shown(stack, Numbers(["x" * number for number in range(250)]), capsys)
    lines = out.splitlines()

    assert 251 == len(lines)
    assert ["0", "1   x", f"30  {'x' * 30}"] == [lines[1], lines[2], lines[31]]
    assert [f"99  {'x' * 95}…", f"249  {'x' * 95}…"] == [lines[100], lines[250]]
    assert LINE == len(lines[100])


def test_an_empty_list_says_so(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence is on standard error, also when only pages without items came."""
    assert ("", "authsvc: there is nothing\n") == shown(stack, Numbers([]), capsys)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(("limit", "short", "asked"), [(250, 100, [100, 100, 50]), (3, 2, [3, 1]), (1, 100, [1])])
def test_a_limit_stops_and_gives_a_cursor(
    stack: Stack, capsys: pytest.CaptureFixture[str], limit: int, short: int, asked: list[int], *, as_json: bool
) -> None:
    """Exactly so many are printed, short pages included; the cursor leads to the rest, without a gap."""
    numbers = Numbers([str(number) for number in range(300)], short)
    out, err = shown(stack, numbers, capsys, limit=limit, as_json=as_json)

    assert (asked, f"next: {limit}\n") == (numbers.asked, err)
    assert limit == (len(json.loads(out)) if as_json else len(out.splitlines()) - 1)
    rest, _ = shown(stack, Numbers(numbers.names), capsys, after=str(limit), as_json=True)
    assert list(range(limit, 300)) == [item["id"] for item in json.loads(rest)]


def test_a_limit_at_the_end_gives_no_cursor(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing follows, and nothing is said."""
    assert "" == shown(stack, Numbers(["a", "b"]), capsys, limit=2)[1]


def test_what_cannot_be_read_is_named(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """A record of a newer version is left out of the list, and not silently."""
    out, err = shown(stack, Numbers(["a"], unreadable=("0123456789abcdef",)), capsys, as_json=True)
    assert 1 == len(json.loads(out))
    assert "authsvc: 0123456789abcdef was written by a newer authsvc and is left out\n" == err


@pytest.mark.parametrize(("fails_at", "end"), [(0, ""), (150, '"99"\n  }')])
def test_a_list_that_fails_has_no_end(
    stack: Stack, capsys: pytest.CaptureFixture[str], fails_at: int, end: str
) -> None:
    """Exit code 1 and one line on standard error; what was printed before is no complete JSON."""
    numbers = Numbers([str(number) for number in range(300)], fails_at=fails_at)
    with pytest.raises(SystemExit) as ended:
        shown(stack, numbers, capsys, as_json=True)
    printed = capsys.readouterr()

    assert (1, "authsvc: it cannot be read\n") == (ended.value.code, printed.err)
    assert printed.out.endswith(end)
    assert bool(end) is bool(printed.out)
    with pytest.raises(ValueError, match=r"^Expecting "):
        json.loads(printed.out)


@pytest.mark.parametrize("as_json", [True, False])
def test_memory_does_not_grow_with_the_list(stack: Stack, *, as_json: bool) -> None:
    """Ten times as many items need as much memory, but for a little."""

    def peak(count: int) -> int:
        tracemalloc.start()
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            names = range(count)
            print_list(
                stack.data_dir, Numbers(_Names(names)).fetch, TABLE, limit=None, after=None, as_json=as_json
            )  # fmt: skip
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # imports
    assert peak(20_000) - peak(2_000) < 500_000


class _Names(Sequence[str]):
    """Names that are made when they are read."""

    def __init__(self, numbers: range) -> None:
        """Make as many as ``numbers``."""
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: int) -> str:  # type: ignore[override]
        return "x" * 50 + str(self._numbers[place])


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_closed_pipe_ends_quietly(stack: Stack, options: tuple[str, ...]) -> None:
    """A reader that has seen enough is no error: nothing is said, and the exit code is 0."""
    environ = {**stack.environ, "AUTHSVC_DATA_DIR": str(stack.data_dir)}
    script = (
        "import sys; from tests.cli.test_pagination import *; "
        "numbers = Numbers(['x' * 200] * 50_000); "
        "print_list(None, numbers.fetch, TABLE, limit=None, after=None, as_json='--json' in sys.argv)"
    )
    command = (sys.executable, "-W", "error", "-c", script, *options)
    with subprocess.Popen(
        command, env=environ, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
    assert (0, "") == (process.returncode, said)
    assert first == ("[\n" if options else "ID  NAME\n")


@pytest.mark.parametrize(
    ("columns", "cells", "more", "widths"),
    [
        ((ID, NAME), [10, 20], False, [10, 20]),
        ((ID, NAME), [1, 2], False, [2, 4]),
        ((ID, NAME), [10, 20], True, [10, MOST]),
        ((ID, NAME), [10, 200], False, [10, LINE - 2 - 10]),
        ((ID, NAME), [95, 200], False, [95, LEAST]),
        ((ID, NAME, NAME), [16, 100, 60], False, [16, 40, 40]),
        ((ID, NAME, NAME), [16, 100, 20], False, [16, 60, 20]),
        ((ID, ID), [90, 90], False, [90, 90]),
    ],
)
def test_widths(columns: tuple[Column, ...], cells: list[int], widths: list[int], *, more: bool) -> None:
    """A line fits when what may be cut makes room; what is typed elsewhere is never cut."""
    assert widths == widths_of(columns, [["x" * length for length in cells]], more=more)


@pytest.mark.parametrize("count", [0, 1, 250])
def test_a_list_in_an_object_is_the_object_at_once(
    stack: Stack, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    """With something above the list JSON is one object, the same text as if it was printed at once."""
    facts: Facts = {"name": "line\nbreak", "none": None, "list": []}

    async def fetch(_manage: "Management") -> Facts:
        return facts

    def show(found: Facts) -> None:
        print_json(found, None)

    owner = ListOwner(fetch, "items", show)
    numbers = Numbers([str(number) for number in range(count)])
    print_list(stack.data_dir, numbers.fetch, TABLE, as_json=True, owner=owner)
    print_list(stack.data_dir, numbers.fetch, TABLE, as_json=False, owner=owner)
    out = capsys.readouterr().out
    items = [{"id": number, "name": str(number)} for number in range(count)]
    print_json({**facts, "items": items})
    print_json(facts, None)

    assert out.startswith(capsys.readouterr().out)
    assert count + bool(count) == len(out.partition(f"{json.dumps(facts)}\n")[2].splitlines())
