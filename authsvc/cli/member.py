"""``authsvc member``."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli import present
from authsvc.cli.confirm import run_confirmed, yes_option
from authsvc.cli.console import common_options, everything, print_json, print_table, refuse, remark, run, say
from authsvc.cli.pagination import Facts
from authsvc.cli.passwords import read_line, read_password
from authsvc.counts import counted
from authsvc.errors import LastOwner
from authsvc.redaction import Secret
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.machine_records import LINK_LIFE
from authsvc.wiring import clock

if TYPE_CHECKING:
    from authsvc.manage.links import OpenLink
    from authsvc.tenancy.records import Member
    from authsvc.wiring.management import Management

    _Ends = Callable[[Management, str, str | None, bool], Awaitable[Member]]

_role_option = click.option(
    "--role", required=True, type=click.Choice(["owner", "developer", "viewer"]), help="Role of the member."
)
_team_option = click.option("--team", required=True, metavar="TEAM", help="The team.")
_force_option = click.option("--force", is_flag=True, help="Even if the team has no other owner.")
_apps_option = click.option("--app", "apps", multiple=True, metavar="APP", help="Limit to this app; may be repeated.")


@click.group("member")
def member_group() -> None:
    """Members: the vendor's people."""


@member_group.command("add")
@click.argument("email")
@_team_option
@_role_option
@_apps_option
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
    """Create an account that signs in with EMAIL and a password."""
    password = read_password(from_stdin=password_stdin)

    async def use(manage: "Management") -> "tuple[Member, str]":
        added = await manage.members.add(email, team, role, apps, password, manage.operation())
        return added, manage.registry

    made, registry = run(data_dir, use)
    if as_json:
        print_json(present.member(made))
    else:
        say(f"{made.email} is {made.role} of {made.team}; next: docker login {registry} -u {made.email}")


@member_group.command("list")
@_team_option
@common_options
def list_(team: str, data_dir: Path | None, *, as_json: bool) -> None:
    """List the members of a team."""

    async def listed(manage: "Management") -> list[Facts]:
        members = await everything(lambda after: manage.members.list(manage.actor, team, after=after))
        counts = await manage.passkeys.counts(manage.actor, team, members)
        return [present.member(member) | {"passkeys": counts.get(member.id, 0)} for member in members]

    facts = run(data_dir, listed)
    if as_json:
        print_json(facts)
        return
    rows = [
        (
            *(f["email"], f["role"], ", ".join(f["apps"] or ["all"]), str(f["passkeys"])),
            *(f["disabled_at"] or "-", f["id"]),
        )
        for f in facts
    ]
    print_table(
        ("EMAIL", "ROLE", "APPS", "PASSKEYS", "DISABLED", "ID"), rows, f"no member of {team} yet", cut=("EMAIL", "APPS")
    )


@member_group.command("set-role")
@click.argument("email")
@_role_option
@_apps_option
@click.option("--all-apps", is_flag=True, help="Remove the limit to named apps.")
@_force_option
@common_options
def set_role(
    email: str, role: str, apps: tuple[str, ...], data_dir: Path | None, *, all_apps: bool, force: bool, as_json: bool
) -> None:
    """Give EMAIL another role; limits stay unless --app or --all-apps is given."""
    if apps and all_apps:
        raise click.UsageError("--app and --all-apps contradict each other")
    limits = apps if apps or all_apps else None
    with _insisting():
        changed = run(
            data_dir, lambda manage: manage.members.set_role(email, role, limits, manage.operation(), force=force)
        )
    _print(changed, f"{changed.email} is {changed.role} of {changed.team}", as_json=as_json)


@member_group.command("set-password")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@common_options
def set_password(email: str, data_dir: Path | None, *, password_stdin: bool, as_json: bool) -> None:
    """Set a new password; the old one, passkeys and docker's sign-ins end, personal tokens stay."""
    password = read_password(from_stdin=password_stdin)
    changed = run(data_dir, lambda manage: manage.members.set_password(email, password, manage.operation()))
    _print(changed, f"{changed.email} has a new password; the old one and its sign-ins have ended", as_json=as_json)


@member_group.command("invite")
@click.argument("email")
@_team_option
@_role_option
@_apps_option
@common_options
def invite(email: str, team: str, role: str, apps: tuple[str, ...], data_dir: Path | None, *, as_json: bool) -> None:
    """Create a one-time link with which EMAIL sets a password and joins."""
    secret = run(data_dir, lambda manage: manage.links.invite(email, team, role, apps, manage.operation()))
    _print_link(secret, email, as_json=as_json)


@member_group.command("reset")
@click.argument("email")
@common_options
def reset(email: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Create a one-time link with which EMAIL sets a new password."""
    _print_link(run(data_dir, lambda manage: manage.links.reset(email, manage.operation())), email, as_json=as_json)


@member_group.command("redeem")
@click.option(
    "--stdin", "from_stdin", is_flag=True, help="Read the link and then the password from standard input, one a line."
)
@common_options
def redeem(data_dir: Path | None, *, from_stdin: bool, as_json: bool) -> None:
    """Use a link of `invite` or `reset` to set the password."""
    if from_stdin:
        link = read_line("link")
    elif sys.stdin.isatty():
        link = Secret(click.prompt("Link", hide_input=True, err=True))
    else:
        raise click.UsageError("there is no terminal to ask; use --stdin")
    password = read_password(from_stdin=from_stdin)
    changed = run(data_dir, lambda manage: manage.links.redeem(link, password, manage.operation()))
    _print(changed, f"{changed.email} is {changed.role} of {changed.team} and can sign in", as_json=as_json)


@member_group.command("links")
@_team_option
@common_options
def links(team: str, data_dir: Path | None, *, as_json: bool) -> None:
    """List the unused links of `invite` and `reset`, without their secrets."""
    found = run(data_dir, lambda manage: manage.links.list(manage.actor, team, clock()))
    if as_json:
        print_json([_facts_of(one) for one in found])
        return
    rows = [
        (
            *(one.link.email, str(one.link.purpose), str(one.link.role), ", ".join(one.link.apps or ["all"])),
            *(f"{one.link.expires_at:%Y-%m-%d %H:%M}", one.maker or "operator"),
            *("yes" if one.works else "no", one.link.id),
        )
        for one in found
    ]
    headings = ("EMAIL", "PURPOSE", "ROLE", "APPS", "ENDS", "BY", "WORKS", "ID")
    print_table(headings, rows, f"no open link of {team}", cut=("EMAIL", "APPS", "BY"))


@member_group.command("revoke-link")
@click.argument("email")
@_team_option
@common_options
def revoke_link(email: str, team: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Revoke the unused link of `invite` or `reset` for EMAIL, or the one with this id."""
    run(data_dir, lambda manage: manage.links.revoke(email, team, manage.operation()))
    if as_json:
        print_json({"link": email, "team": team})
    else:
        say(f"the link for {email} no longer works")


@contextmanager
def _insisting() -> Iterator[None]:
    """Explain how to force a change that would leave a team without an owner."""
    try:
        yield
    except LastOwner as error:
        refuse(f"{error}, or repeat it with --force")


def _end_command(name: str, help_: str, done: str, use: "_Ends") -> None:
    @member_group.command(name, help=help_)
    @click.argument("email")
    @_force_option
    @yes_option
    @common_options
    def command(email: str, data_dir: Path | None, *, force: bool, yes: bool, as_json: bool) -> None:
        with _insisting():
            changed = run_confirmed(data_dir, lambda manage, confirmed: use(manage, email, confirmed, force), yes=yes)
        _print(changed, f"{changed.email} is {done}", as_json=as_json)


@member_group.command("enable")
@click.argument("email")
@common_options
def enable(email: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Let EMAIL sign in again."""
    changed = run(data_dir, lambda manage: manage.members.enable(email, manage.operation()))
    _print(changed, f"{changed.email} is enabled", as_json=as_json)


_end_command(
    "disable",
    "Refuse EMAIL and its tokens from now on; docker's sign-ins end for good.",
    "disabled",
    lambda manage, email, confirmed, force: manage.members.disable(email, manage.operation(), confirmed, force=force),
)
_end_command(
    "remove",
    "End the membership of EMAIL; its tokens and the service accounts that it made end, too.",
    "not a member any more",
    lambda manage, email, confirmed, force: manage.members.remove(email, manage.operation(), confirmed, force=force),
)


def _print(member: "Member", sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(present.member(member))
    else:
        say(sentence)


def _facts_of(one: "OpenLink") -> dict[str, object]:
    link = one.link
    return {
        "id": link.id,
        "purpose": str(link.purpose),
        "email": link.email,
        "role": str(link.role),
        "apps": None if link.apps is None else [*link.apps],
        "created_at": render_instant(link.created_at),
        "created_by": one.maker,
        "expires_at": render_instant(link.expires_at),
        "works": one.works,
    }


def _print_link(secret: Secret, email: str, *, as_json: bool) -> None:
    hours = int(LINK_LIFE.total_seconds()) // 3600
    if as_json:
        print_json({"email": email, "link": secret.reveal(), "hours": hours})
        return
    say(secret.reveal())
    remark(f"shown once; works once within {counted(hours, 'hour')}, for {email} only: authsvc member redeem")
