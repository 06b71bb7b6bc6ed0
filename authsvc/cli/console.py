"""Code shared by all commands: finding the installation, running an operation, and reporting refusals.

Exit codes: 0 done, 1 refused (the reason on standard error), 2 wrong usage or no installation.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from authsvc.cli.hints import explained
from authsvc.cli.lazy_group import no_garbage_collection
from authsvc.errors import (
    AuthsvcError,
    ConfirmationNeeded,
    InputRefused,
    LastOwner,
    SetupRefused,
    StoreRefused,
    StoreUnavailable,
)
from authsvc.printable import printable, printable_json, printable_lines

if TYPE_CHECKING:
    from authsvc.audit.entry import ChangeLog, Entry
    from authsvc.settings import Settings
    from authsvc.tenancy.pages import Page
    from authsvc.wiring.management import Management

T = TypeVar("T")


class OutputFailed(click.ClickException):
    """Standard output cannot be written any more, for instance because its disk is full."""

    def __init__(self, error: OSError) -> None:
        """Say why, by the system's ``error``."""
        super().__init__(f"cannot write standard output: {error.strerror}; look before you repeat a change")


DEFAULT_DATA_DIR = Path("authsvc-data")

PREFIX = "authsvc: "
"""Prefix of every line on standard error, except for questions and the line that says how a list continues."""

_FILE_ON_TERMINAL = "file-on-terminal"
"""Key under which a command records that it printed a file on a terminal, where remarks would appear inside the
file."""

_PERSON = "acting-person"
"""Key under which a command stores the value of ``--as``."""

DEADLINE = 30.0
"""Seconds that a command may take."""

_PLACES = (
    "AUTHSVC_REDIS_URL",
    "AUTHSVC_REDIS_URL_FILE",
    "AUTHSVC_SECRETS_DIR",
    "AUTHSVC_PUBLIC_URL",
    "AUTHSVC_CONFIG",
)
"""Settings that identify the installation; an explicit --data-dir overrides them all."""

_OF_THE_SERVER = ("AUTHSVC_UPSTREAM_PRIVATE_NETWORKS", "AUTHSVC_UPSTREAM_CA_FILE")
"""Settings that are read from the server's file in the data directory: commands check a linked registry as the server
does."""


overlap_option = click.option(
    "--overlap",
    default="24h",
    show_default=True,
    metavar="SPAN",
    help="How long the old token continues to work; 0 ends it at once.",
)


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--data-dir``, ``--json`` and ``--as``; :func:`run` reads the last one itself."""
    return click.option(
        "--as",
        "person",
        metavar="EMAIL",
        expose_value=False,
        callback=_note_person,
        help="The member who acts: the audit names this person beside the operator.",
    )(local_options(command))


def local_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--data-dir`` and ``--json``, for a command that neither reads nor writes the database."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")(command)
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The installation of `authsvc up`.  [default: $AUTHSVC_DATA_DIR, else ./authsvc-data]",
    )(command)


def _note_person(context: click.Context, _option: click.Parameter, email: str | None) -> None:
    context.meta[_PERSON] = email


def run(data_dir: Path | None, use: Callable[["Management"], Awaitable[T]], *, deadline: float | None = DEADLINE) -> T:
    """Run one use case on the installation and return its result; end the process when it is refused.

    Raises:
        ConfirmationNeeded: the user has to confirm it first.
        LastOwner: a team would have no owner.
    """
    with no_garbage_collection():
        import asyncio

        from authsvc.wiring.management import management

    context = click.get_current_context(silent=True)
    person: str | None = None if context is None else context.meta.get(_PERSON)

    async def opened(settings: "Settings", log: "ChangeLog") -> T:
        async with asyncio.timeout(deadline), management(settings, log) as use_cases:
            return await use(use_cases if person is None else await _on_behalf_of(use_cases, person))

    folder: Path | None = None
    try:
        settings, folder = find(data_dir, os.environ)
        return asyncio.run(opened(settings, _change_log(folder)))
    except SetupRefused as error:
        refuse(explained(error), code=2)
    except StoreRefused as error:
        refuse(f"{error} (Redis replied: {error.detail})")
    except StoreUnavailable as error:
        reason = error.detail if folder is None else f"is `authsvc up` running on {folder}?"
        refuse(f"{error} ({reason})" if reason else str(error))
    except (ConfirmationNeeded, LastOwner):
        raise  # the command asks the user, or explains how to confirm
    except AuthsvcError as error:
        refuse(explained(error))
    except TimeoutError:
        refuse(f"no answer within {deadline or DEADLINE:.0f} seconds; look before you repeat it, it may have been done")


async def _on_behalf_of(use_cases: "Management", email: str) -> "Management":
    try:
        return await use_cases.on_behalf_of(email)
    except InputRefused as error:
        raise InputRefused(f"--as: {error}", code=error.code, field="as", facts=error.facts) from error


def refuse(sentence: str, code: int = 1) -> NoReturn:
    """Print the reason of a refusal, and end the process."""
    print_error(sentence)
    sys.exit(code)


def find(data_dir: Path | None, environment: Mapping[str, str]) -> tuple["Settings", Path | None]:
    """Return the settings of the installation, and its data directory if it has one.

    ``--data-dir`` first, then ``AUTHSVC_REDIS_URL`` with ``AUTHSVC_SECRETS_DIR``, then ``AUTHSVC_DATA_DIR``, then
    ``./authsvc-data``.

    Raises:
        SetupRefused: there is none.
    """
    from authsvc.settings import CONFIG, DATA_DIR, load
    from authsvc.setup.data_dir import recognise

    named = {name for name in environment if name in _PLACES}
    if data_dir is None and named & {"AUTHSVC_REDIS_URL", "AUTHSVC_REDIS_URL_FILE", CONFIG}:
        return load(environment), None
    folder = data_dir or Path(environment.get(DATA_DIR) or DEFAULT_DATA_DIR)
    file = folder / "config" / "authsvc.toml"
    try:
        exists = file.is_file()
    except OSError as error:
        raise SetupRefused(f"cannot read {file}: {error.strerror}") from error
    if not exists:
        raise SetupRefused(
            f"there is no installation in {folder}; start one with `authsvc up`, or name it with --data-dir DIR"
        )
    recognise(folder)
    kept = {name: value for name, value in environment.items() if name not in (*_PLACES, *_OF_THE_SERVER)}
    return load({**kept, CONFIG: str(file)}), folder


def _change_log(folder: Path | None) -> "ChangeLog":
    """Return where changes are logged: the installation's ``log/changes.log``, or standard error without a folder."""
    from authsvc.log_line import info_line
    from authsvc.wiring import clock

    def write(entry: "Entry") -> None:
        line = info_line(entry.event, clock(), {"actor": entry.actor, "id": entry.id, **entry.facts})
        if folder is None:
            if not sys.stderr.isatty():  # a person sees the command's own sentence, and maybe a file beside it
                with suppress(OSError):  # the change is made, and the audit in the database knows it
                    click.echo(printable_lines(line), err=True)
            return
        log = folder / "log" / "changes.log"
        try:
            log.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(log, flags, 0o600), "a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:  # the change is made, and the audit in the database knows it
            remark(f"done, but {log} cannot be written: {error.strerror}")

    return write


def discard_output() -> None:
    """Discard what is still to be written to standard output, since it cannot be written any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def _output() -> Iterator[None]:
    """Turn a failure to write standard output into a refusal."""
    try:
        yield
    except BrokenPipeError:
        raise  # a reader that closes the pipe early is not an error
    except OSError as error:
        discard_output()
        raise OutputFailed(error) from error


def say(text: str = "") -> None:
    """Print the result of a command on standard output, each line made printable."""
    with _output():
        click.echo(printable_lines(text))


def print_error(text: str) -> None:
    """Print text for people on standard error, each line after the prefix."""
    for line in text.split("\n"):
        click.echo(f"{PREFIX}{printable(line)}", err=True)


def remark(text: str) -> None:
    """Print an additional remark on standard error, unless a file is printed on a terminal."""
    context = click.get_current_context(silent=True)
    if context is None or not context.meta.get(_FILE_ON_TERMINAL):
        print_error(text)


def print_next(line: str) -> None:
    """Print on standard error how a list continues: a line that scripts read, without the prefix."""
    click.echo(printable(line), err=True)


def print_file(text: str) -> None:
    """Print a file as the only content of standard output: on a terminal, no remark follows it."""
    print_document(text)
    context = click.get_current_context(silent=True)
    if context is not None and sys.stdout.isatty():
        context.meta[_FILE_ON_TERMINAL] = True


def print_document(text: str) -> None:
    """Print a file as it is, for another program to read."""
    with _output():
        click.echo(text, nl=False)


async def everything(page_after: "Callable[[str | None], Awaitable[Page[T]]]") -> list[T]:
    """Return all items of a short list, page by page, and warn of records that a newer authsvc wrote."""
    found, after = list[T](), None
    while True:
        page = await page_after(after)
        found += page.items
        for name in page.unreadable:
            remark(f"{name} was written by a newer authsvc and is left out; upgrade this one")
        after = page.next
        if after is None:
            return found


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print one JSON value; without ``indent`` on one line."""
    with _output():
        click.echo(printable_json(value, indent))


def print_table(
    headings: tuple[str, ...], rows: Sequence[tuple[str, ...]], empty: str, *, cut: Collection[str] = ()
) -> None:
    """Print aligned columns, or one sentence when there is nothing.

    Args:
        headings: of the columns.
        rows: each with a cell for every column.
        empty: the sentence.
        cut: headings of the columns whose long cells are cut so that a line fits.
    """
    from authsvc.cli.pagination import Column, table_line, widths_of

    if not rows:
        remark(empty)
        return
    rows = [tuple(map(printable, row)) for row in rows]
    columns = [Column(heading, cut=heading in cut) for heading in headings]
    widths = widths_of(columns, rows, more=False)
    for row in (headings, *rows):
        say(table_line(row, columns, widths))
