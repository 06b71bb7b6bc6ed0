"""``authsvc license list``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli import present
from authsvc.cli.console import common_options, print_json, print_table, run
from authsvc.cli.license_output import say_if_archived

if TYPE_CHECKING:
    from authsvc.tenancy.records import App, License
    from authsvc.wiring.management import Management


@click.command("list")
@click.option("--app", required=True, metavar="APP", help="Whose licenses.")
@common_options
def list_command(app: str, data_dir: Path | None, *, as_json: bool) -> None:
    """List the licenses of an app, without archived ones."""

    async def use(manage: "Management") -> "tuple[App, list[License]]":
        found, after = list["License"](), None
        while True:
            page = await manage.licenses.list(manage.actor, datetime.now(UTC), app=app, after=after)
            found += page.items
            after = page.next
            if after is None:
                return await manage.teams.app(manage.actor, app), found

    stored, licenses = run(data_dir, use)
    facts = [present.license_(license_, stored, datetime.now(UTC)) for license_ in licenses]
    if as_json:
        print_json(facts)
        return
    rows = [(f["id"], f["customer"], f["type"], f["state"], f["expires_at"]) for f in facts]
    print_table(("ID", "CUSTOMER", "TYPE", "STATE", "ENDS"), rows, f"no license for {app} yet")
    if rows:
        say_if_archived(stored)
