"""Asks for secrets: on standard input, or at a terminal without echo."""

import sys

import click

from authsvc.cli.console import refuse, remark
from authsvc.errors import InputRefused
from authsvc.redaction import Secret

_LONGEST_SECRET = 16 * 1024
"""Most bytes that are read of a secret of another service; the limit of what is stored is lower, and its error says
so."""

_LONGEST_LINE = 4096
"""Most bytes that are read of a password, which may have 1,024."""


def read_password(*, from_stdin: bool) -> Secret:
    """Return the password: one line of standard input, or asked for twice without echo.

    Raises:
        click.UsageError: it has to be asked for, but there is no terminal.
    """
    if from_stdin:
        return read_line("password")
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password; use --password-stdin")
    while True:
        first: str = click.prompt("Password", hide_input=True, err=True)
        _check_length(first)  # before it is typed once more
        if click.prompt("Repeat for confirmation", hide_input=True, err=True) == first:
            return Secret(first)
        remark("the two entered values do not match")


def _check_length(text: str) -> None:
    from authsvc.manage.new_passwords import check_typed

    try:
        check_typed(text)
    except InputRefused as error:
        refuse(str(error))


def read_secret(what: str, *, from_stdin: bool) -> Secret:
    """Return a secret that another service issued: all of standard input, such as a key file, or typed without echo.

    Raises:
        click.UsageError: it has to be asked for, but there is no terminal.
    """
    if not from_stdin:
        if not sys.stdin.isatty():
            raise click.UsageError(f"there is no terminal to ask for the {what}; use --secret-stdin")
        return Secret(click.prompt(what[:1].upper() + what[1:], hide_input=True, err=True))
    if sys.stdin.isatty():
        remark(f"type the {what}, then Ctrl-D")
    text = sys.stdin.buffer.read(_LONGEST_SECRET + 1)
    if len(text) > _LONGEST_SECRET:
        refuse(f"the {what} is longer than {_LONGEST_SECRET} bytes")
    try:
        return Secret(text.decode("utf-8"))
    except UnicodeDecodeError:
        refuse(f"the {what} is not UTF-8 text")


def read_line(what: str) -> Secret:
    """Return one line of standard input; several secrets are on a line each."""
    # Never through sys.stdin itself, which would read ahead and leave nothing to the next one.
    line = sys.stdin.buffer.readline(_LONGEST_LINE).rstrip(b"\r\n")
    try:
        return Secret(line.decode("utf-8"))
    except UnicodeDecodeError:
        refuse(f"the {what} is not UTF-8 text; type it in a UTF-8 terminal, or save its file as UTF-8")
