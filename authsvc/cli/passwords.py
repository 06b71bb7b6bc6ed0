"""Asking for secrets: from standard input, or at a terminal without echo."""

import sys

import click

from authsvc.cli.console import refuse
from authsvc.redaction import Secret

_LONGEST_LINE = 4096
"""Bytes that are read; a password may have 1,024."""


def read_password(*, from_stdin: bool) -> Secret:
    """Return the password: one line of standard input, or asked for twice without echo.

    Raises:
        click.UsageError: it should be asked for, and there is no terminal.
    """
    if from_stdin:
        return read_line("password")
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password; use --password-stdin")
    return Secret(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def read_line(what: str) -> Secret:
    """Return one line of standard input; of several secrets each is a line."""
    # Never through sys.stdin itself, which would read ahead and leave nothing to the next one.
    line = sys.stdin.buffer.readline(_LONGEST_LINE).rstrip(b"\r\n")
    try:
        return Secret(line.decode("utf-8"))
    except UnicodeDecodeError:
        refuse(f"the {what} is not UTF-8 text; type it in a UTF-8 terminal, or save its file as UTF-8")
