"""``authsvc service-account``."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from authsvc.cli import present
from authsvc.cli.confirm import run_confirmed, yes_option
from authsvc.cli.console import common_options, everything, overlap_option, print_json, print_table, remark, run, say
from authsvc.cli.hints import secret_hint
from authsvc.tenancy.dates import parse_span, render_instant, render_optional
from authsvc.tenancy.machine_records import ServiceAccount
from authsvc.wiring import clock

if TYPE_CHECKING:
    from authsvc.redaction import Secret
    from authsvc.wiring.management import Management

_team_option = click.option("--team", required=True, metavar="TEAM", help="The team to which it belongs.")
_grants_option = click.option(
    "--grant",
    "grants",
    multiple=True,
    metavar="APP/PATTERN:ACTIONS",
    help="A right such as myapp/**:pull,push; repeatable.",
)


@click.group("service-account")
def service_account_group() -> None:
    """Accounts for machines, such as CI and clusters."""


@service_account_group.command("create")
@click.argument("name")
@_team_option
@_grants_option
@click.option("--api", type=click.Choice(["read", "manage"]), help="Access to the management API too.")
@click.option("--expires", metavar="WHEN", help="90d, 2027-01-31 or 2027-01-31T12:00:00Z.  [default: never]")
@common_options
def create(
    name: str,
    team: str,
    grants: tuple[str, ...],
    api: str | None,
    expires: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Create a service account and print its token once."""

    async def use(manage: "Management") -> "tuple[ServiceAccount, Secret, str]":
        operation = manage.operation()
        return *await manage.service_accounts.create(name, team, grants, api, expires, operation), manage.registry

    _print_secret(*run(data_dir, use), as_json=as_json)


@service_account_group.command("rotate")
@click.argument("name")
@_team_option
@overlap_option
@yes_option
@common_options
def rotate(name: str, team: str, overlap: str, data_dir: Path | None, *, yes: bool, as_json: bool) -> None:
    """Give the account a new token and print it once."""

    async def use(manage: "Management", confirmed: str | None) -> "tuple[ServiceAccount, Secret, str]":
        span, operation = parse_span(overlap, "overlap"), manage.operation()
        return *await manage.service_accounts.rotate(name, team, span, operation, confirmed), manage.registry

    _print_secret(*run_confirmed(data_dir, use, yes=yes), as_json=as_json)


@service_account_group.command("set-grants")
@click.argument("name")
@_team_option
@_grants_option
@common_options
def set_grants(name: str, team: str, grants: tuple[str, ...], data_dir: Path | None, *, as_json: bool) -> None:
    """Replace all grants of the account by these; its token stays."""
    changed = run(data_dir, lambda manage: manage.service_accounts.set_grants(name, team, grants, manage.operation()))
    facts = _facts(changed, clock())
    if as_json:
        print_json(facts)
    else:
        say(f"service account {facts['name']} has the grants {' '.join(facts['grants']) or '(none)'}")


@service_account_group.command("list")
@_team_option
@common_options
def list_(team: str, data_dir: Path | None, *, as_json: bool) -> None:
    """List a team's service accounts, without revoked ones."""
    found = run(
        data_dir, lambda manage: everything(lambda after: manage.service_accounts.list(manage.actor, team, after=after))
    )
    now = clock()
    facts = [_facts(account, now) | {"used_at": render_optional(used_at)} for account, used_at in found]
    if as_json:
        print_json(facts)
        return
    rows = [(f["name"], f["state"], " ".join(f["grants"]), f["expires_at"] or "-", f["used_at"] or "-") for f in facts]
    print_table(
        ("NAME", "STATE", "GRANTS", "ENDS", "LAST USED"), rows, f"no service account of {team} yet", cut=("GRANTS",)
    )


def _command(name: str, help_: str, use: "Callable[[Management, str, str], Awaitable[ServiceAccount]]") -> None:
    @service_account_group.command(name, help=help_)
    @click.argument("account_name", metavar="NAME")
    @_team_option
    @common_options
    def command(account_name: str, team: str, data_dir: Path | None, *, as_json: bool) -> None:
        facts = _facts(run(data_dir, lambda manage: use(manage, account_name, team)), clock())
        print_json(facts) if as_json else say(f"service account {facts['name']} is {facts['state']}")


_command(
    "disable",
    "Refuse the account from now on.",
    lambda manage, name, team: manage.service_accounts.disable(name, team, manage.operation()),
)
_command(
    "enable",
    "Undo disable.",
    lambda manage, name, team: manage.service_accounts.enable(name, team, manage.operation()),
)
_command(
    "revoke",
    "Refuse the account for good.",
    lambda manage, name, team: manage.service_accounts.revoke(name, team, manage.operation()),
)


def _print_secret(account: ServiceAccount, secret: "Secret", registry: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_facts(account, clock()) | {"token": secret.reveal()})
        return
    say(secret.reveal())
    remark(secret_hint(registry, account.name, api=account.api is not None, registry_too=bool(account.grants)))


def _facts(account: ServiceAccount, now: datetime) -> dict[str, Any]:
    expired = account.expires_at is not None and now >= account.expires_at
    state = (
        "revoked" if account.revoked_at else "disabled" if account.disabled_at else "expired" if expired else "active"
    )
    return {
        "id": account.id,
        "name": account.name,
        "team": account.team,
        "state": state,
        "grants": [grant.render() for grant in account.grants],
        "api": None if account.api is None else str(account.api),
        "created_at": render_instant(account.created_at),
        "expires_at": render_optional(account.expires_at),
        "tokens": present.tokens(account.tokens, now),
    }
