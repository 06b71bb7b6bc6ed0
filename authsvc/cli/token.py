"""``authsvc token``: a member's personal tokens and sign-ins."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli.console import common_options, everything, print_json, print_table, remark, run, say
from authsvc.cli.hints import secret_hint
from authsvc.tenancy.dates import render_instant, render_optional
from authsvc.wiring import clock

if TYPE_CHECKING:
    from authsvc.redaction import Secret
    from authsvc.tenancy.machine_records import PersonalToken
    from authsvc.wiring.management import Management

_member_option = click.option("--member", required=True, metavar="EMAIL", help="The member.")


@click.group("token")
def token_group() -> None:
    """Members' tokens for tools, and the sign-ins that docker stores."""


@token_group.command("create")
@click.argument("name")
@_member_option
@click.option("--expires", metavar="WHEN", help="90d, 2027-01-31 or 2027-01-31T12:00:00Z.  [default: never]")
@click.option("--api", type=click.Choice(["read", "manage"]), help="Access to the management API too.")
@common_options
def create(
    name: str, member: str, expires: str | None, api: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Create a token with the rights of the member, and print it once."""

    async def use(manage: "Management") -> "tuple[PersonalToken, Secret, str]":
        return *await manage.tokens.create(name, member, expires, api, manage.operation()), manage.registry

    token, secret, registry = run(data_dir, use)
    if as_json:
        ends = None if token.expires_at is None else render_instant(token.expires_at)
        print_json({"id": token.id, "name": token.name, "expires_at": ends, "api": api, "token": secret.reveal()})
        return
    say(secret.reveal())
    remark(secret_hint(registry, member, api=token.api is not None))


@token_group.command("list")
@_member_option
@common_options
def list_(member: str, data_dir: Path | None, *, as_json: bool) -> None:
    """List the member's tokens and sign-ins."""
    lines = run(
        data_dir,
        lambda manage: everything(lambda after: manage.tokens.list(manage.actor, member, clock(), after=after)),
    )
    facts = [
        {
            "id": line.id,
            "kind": line.kind,
            "name": line.name,
            "created_at": render_instant(line.created_at),
            "ends_at": render_optional(line.ends_at),
            "used_at": render_optional(line.used_at),
            "api": line.api,
        }
        for line in lines
    ]
    if as_json:
        print_json(facts)
        return
    names = ("id", "kind", "name", "ends_at", "used_at")
    rows = [tuple(str(f[name] or "-") for name in names) for f in facts]
    print_table(("ID", "KIND", "NAME", "ENDS", "LAST USED"), rows, f"{member} has no token", cut=("NAME",))


@token_group.command("revoke")
@click.argument("token_id", metavar="ID")
@common_options
def revoke(token_id: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Refuse a personal token or a sign-in from now on."""
    run(data_dir, lambda manage: manage.tokens.revoke(token_id, manage.operation()))
    print_json({"id": token_id, "state": "revoked"}) if as_json else say(f"token {token_id} is revoked")
