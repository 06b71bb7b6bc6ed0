"""``authsvc member``."""

import sys
from pathlib import Path

import click

from authsvc.cli import present
from authsvc.cli.console import ACTOR, common_options, print_json, run
from authsvc.redaction import Secret

_LONGEST_LINE = 4096


@click.group("member")
def member_group() -> None:
    """The vendor's people."""


@member_group.command("add")
@click.argument("email")
@click.option("--team", required=True, metavar="TEAM", help="The team to join.")
@click.option("--role", required=True, type=click.Choice(["owner", "developer", "viewer"]), help="What they may do.")
@click.option("--app", "apps", multiple=True, metavar="APP", help="Limit to this app; may be repeated.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@common_options
def add(
    email: str,
    team: str,
    role: str,
    apps: tuple[str, ...],
    data_dir: Path | None,
    *,
    password_stdin: bool,
    as_json: bool,
) -> None:
    """Make an account that signs in with EMAIL and a password."""
    password = _password(from_stdin=password_stdin)
    made = run(data_dir, lambda manage: manage.teams.add_member(email, team, role, apps, password, manage.act(ACTOR)))
    if as_json:
        print_json(present.member(made))
    else:
        click.echo(f"{made.email} is {made.role} of {made.team}; next: docker login REGISTRY -u {made.email}")


def _password(*, from_stdin: bool) -> Secret:
    """Return the password: one line of standard input, or asked for twice without echo at a terminal."""
    if from_stdin:
        return Secret(sys.stdin.readline(_LONGEST_LINE).rstrip("\r\n"))
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password; use --password-stdin")
    return Secret(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
