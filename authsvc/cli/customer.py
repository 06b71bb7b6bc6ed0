"""``authsvc customer``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli import present
from authsvc.cli.activity_summary import USED_VERSIONS, usage_rows
from authsvc.cli.console import common_options, print_json, print_table, run, say
from authsvc.cli.license_list import LicenseFacts, license_table, say_if_indexing
from authsvc.cli.pagination import Column, Facts, ListOwner, Table, page_of, paging_options, print_list

if TYPE_CHECKING:
    from authsvc.tenancy.customers import Customer
    from authsvc.tenancy.pages import Page
    from authsvc.wiring.management import Management

_team_option = click.option("--team", required=True, metavar="TEAM", help="The vendor's team.")


@click.group("customer")
def customer_group() -> None:
    """Customers: the holders of a team's licenses."""


@customer_group.command("create")
@click.argument("name")
@_team_option
@click.option("--reference", metavar="TEXT", help="Your own key for the customer, such as a CRM number.")
@click.option("--email", metavar="EMAIL", help="The customer's address.")
@common_options
def create(
    name: str, team: str, reference: str | None, email: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Create a customer; a license for an unknown customer creates one too."""
    made = run(data_dir, lambda manage: manage.customers.create(team, name, manage.operation(), reference, email))
    _print(made, f"customer {made.name} created; its id is {made.id}", as_json=as_json)


@customer_group.command("list")
@_team_option
@click.option("--name", metavar="TEXT", help="Only those whose name has words that begin with this.")
@click.option("--reference", metavar="TEXT", help="Only those whose reference begins with this.")
@paging_options
@common_options
def list_(
    team: str,
    name: str | None,
    reference: str | None,
    limit: int | None,
    after: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """List the customers of a team, by name."""

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        page = await manage.customers.list(manage.actor, team, text=name, reference=reference, after=cursor, limit=size)
        if cursor == after:
            say_if_indexing(await manage.licenses.index_progress(manage.actor))
        return page_of(page, present.customer)

    columns = (Column("ID"), Column("NAME", cut=True), Column("REFERENCE", cut=True), Column("EMAIL", cut=True))
    names = ("id", "name", "reference", "email")
    table = Table(columns, lambda facts: [facts[name] or "-" for name in names], f"no customer of {team} matches")
    print_list(data_dir, fetch, table, limit=limit, after=after, as_json=as_json)


@customer_group.command("show")
@click.argument("customer")
@_team_option
@common_options
def show(customer: str, team: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Show a customer, named by name, reference or id: what it pulled, and its licenses except archived ones."""
    licenses = LicenseFacts()

    async def found(manage: "Management") -> Facts:
        record, now = await manage.customers.show(manage.actor, customer, team), datetime.now(UTC)
        used = await manage.activity.customer(manage.actor, record.id, now, limit=USED_VERSIONS)
        return present.customer(record) | {"activity": present.usage(used)}

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        now = datetime.now(UTC)
        page = await manage.customers.licenses(manage.actor, customer, now, team, after=cursor, limit=size)
        return await licenses.of(manage, page)

    print_list(
        data_dir,
        fetch,
        license_table(None, empty="no license"),
        as_json=as_json,
        owner=ListOwner(found, "licenses", _print_facts),
    )


@customer_group.command("set")
@click.argument("customer")
@_team_option
@click.option("--name", help="New name; licenses and their files keep the old one.")
@click.option("--reference", metavar="TEXT", help="New reference; '' for none.")
@click.option("--email", metavar="EMAIL", help="New address; '' for none.")
@common_options
def set_(
    customer: str,
    team: str,
    name: str | None,
    reference: str | None,
    email: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Change a customer, named by name, reference or id."""
    if name is None and reference is None and email is None:
        raise click.UsageError("say what to change: --name, --reference or --email")
    changed = run(
        data_dir,
        lambda manage: manage.customers.set(
            customer, manage.operation(), team, name=name, reference=reference, email=email
        ),
    )
    _print(changed, f"customer {changed.name} changed; its id is {changed.id}", as_json=as_json)


def _print(customer: "Customer", sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(present.customer(customer))
    else:
        say(sentence)


def _print_facts(facts: Facts) -> None:
    rows = [(name, value or "-") for name, value in facts.items() if name != "activity"]
    print_table(("FIELD", "VALUE"), [*rows, *usage_rows(facts["activity"])], "")
    say()
