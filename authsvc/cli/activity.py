"""``authsvc activity``: who pushed and pulled what."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import define, field

from authsvc.cli import present
from authsvc.cli.activity_summary import app_command, customer_command, image_command, license_command, size
from authsvc.cli.console import common_options, print_document
from authsvc.cli.pagination import Column, Facts, Table, page_of, paging_options, print_list
from authsvc.wiring import clock

if TYPE_CHECKING:
    from authsvc.tenancy.pages import Page
    from authsvc.wiring.management import Management


@click.group("activity")
def activity_group() -> None:
    """Who pushed and pulled what, and when."""


@activity_group.command("list")
@click.option("--team", metavar="TEAM", help="Only this team's.")
@click.option("--app", metavar="APP", help="Only this app's.")
@click.option("--license", "license_name", metavar="ID", help="Only this license's, by id or reference.")
@click.option("--customer", metavar="NAME", help="Only this customer's; a name or reference needs --team or --app.")
@click.option("--image", metavar="IMAGE", help="Only REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST.")
@click.option("--since", metavar="WHEN", help="From then on: 7d, 2027-01-31 or 2027-01-31T12:00:00Z.")
@click.option("--until", metavar="WHEN", help="Before then, in the same forms.")
@click.option("--resolution", type=click.Choice(("hour", "day")), help="Hours are kept for 14 days.  [default: day]")
@click.option(
    "--source",
    type=click.Choice(("registry", "token")),
    help="The registry's events, or decisions on tokens.  [default: registry]",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, for a spreadsheet.")
@paging_options
@common_options
def list_(
    team: str | None,
    app: str | None,
    license_name: str | None,
    customer: str | None,
    image: str | None,
    since: str | None,
    until: str | None,
    resolution: str | None,
    source: str | None,
    limit: int | None,
    after: str | None,
    data_dir: Path | None,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List activity by the hour or day, newest days first."""
    from authsvc.manage.activity import ActivityQuery

    if as_csv and as_json:
        raise click.UsageError("give --csv or --json, not both")
    wanted = ActivityQuery(app, license_name, customer, image, since, until, resolution, source, team)
    now = clock()

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        page = await manage.activity.rows(manage.actor, wanted, now, after=cursor, limit=size)
        return page_of(page, present.activity_row)

    print_list(data_dir, fetch, TABLE, limit=limit, after=after, as_json=as_json, output=CsvLines() if as_csv else None)


activity_group.add_command(license_command)
activity_group.add_command(customer_command)
activity_group.add_command(app_command)
activity_group.add_command(image_command)


@define
class CsvLines:
    """Rows as comma-separated values below the names of the columns, printed as they arrive."""

    _begun: bool = field(init=False, default=False)

    def add(self, items: Sequence[Facts], *, more: bool) -> None:  # noqa: ARG002 - for tables
        """Print the rows of one page."""
        from authsvc.activity.export import COLUMNS
        from authsvc.spreadsheet_csv import csv_line

        lines = [] if self._begun else [csv_line(COLUMNS)]
        self._begun = True
        print_document("".join([*lines, *(csv_line(item[name] for name in COLUMNS) for item in items)]))

    def end(self) -> None:
        """Print what is missing: the names of the columns, if there was no page."""
        if not self._begun:
            self.add((), more=False)


def _row(facts: Facts) -> Sequence[str]:
    day = facts["resolution"] == "day"
    return (
        facts["period"][:10] if day else _minute(facts["period"]),
        facts["action"],
        _image(facts),
        facts["customer"] or facts["subject"] or "-",
        str(facts["count"]) if facts["bytes"] is None else "-",
        size(facts["bytes"]),
        _cache(facts),
        _minute(facts["last_at"]),
    )


def _minute(instant: str) -> str:
    """Return an instant in UTC to the minute."""
    return f"{instant[:16]}Z"


def _cache(facts: Facts) -> str:
    """Return how much the cache for linked registries had, and how often it answered with a tag's last known digest."""
    if facts["hits"] is None:
        return "-"
    had = f"{facts['hits']}/{facts['hits'] + facts['misses']}"
    return f"{had}, {facts['stale']} stale" if facts["stale"] else had


def _image(facts: Facts) -> str:
    if facts["repository"] is None:
        return f"{facts['app']}/…"
    if facts["tag"] is not None:
        return f"{facts['repository']}:{facts['tag']}"
    return facts["repository"] if facts["digest"] is None else f"{facts['repository']}@{facts['digest'][:19]}"


TABLE = Table(
    (
        *(Column("PERIOD"), Column("ACTION"), Column("IMAGE", cut=True), Column("WHO", cut=True)),
        *(Column("COUNT"), Column("BYTES"), Column("CACHE", cut=True), Column("LAST")),
    ),
    _row,
    "no activity matches",
)
