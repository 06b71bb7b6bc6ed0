"""Asking for secrets: from standard input, or at a terminal without echo."""

import sys

import click

from authsvc.redaction import Secret

_LONGEST_LINE = 4096


def read_password(*, from_stdin: bool) -> Secret:
    """Return the password: one line of standard input, or asked for twice without echo.

    Raises:
        click.UsageError: it should be asked for, and there is no terminal.
    """
    if from_stdin:
        return Secret(sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n"))
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password; use --password-stdin")
    return Secret(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
