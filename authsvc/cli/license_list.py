"""``authsvc license list``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from attrs import define, field

from authsvc.cli import present
from authsvc.cli.console import common_options, remark
from authsvc.cli.license_output import say_if_archived
from authsvc.cli.pagination import Column, Facts, Table, page_of, paging_options, print_list
from authsvc.tenancy.license_filter import STATES

if TYPE_CHECKING:
    from authsvc.tenancy.pages import IndexProgress, Page
    from authsvc.tenancy.records import App, License
    from authsvc.wiring.management import Management

MIDNIGHT = "T00:00:00Z"


@click.command("list")
@click.option("--app", metavar="APP", help="Only this app's.")
@click.option("--customer", metavar="TEXT", help="Only of customers whose name has words that begin with this.")
@click.option("--reference", metavar="TEXT", help="Only those whose reference begins with this.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.  [default: all but archived]")
@click.option(
    "--ends-within", metavar="SPAN", help="Only active and pending ones that end within this span, such as 30d."
)
@paging_options
@common_options
def list_command(
    app: str | None,
    customer: str | None,
    reference: str | None,
    state: str | None,
    ends_within: str | None,
    limit: int | None,
    after: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """List licenses; archived ones only with --state archived."""
    facts = LicenseFacts()

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        page = await manage.licenses.list(
            manage.actor,
            datetime.now(UTC),
            app=app,
            customer=customer,
            reference=reference,
            state=state,
            ends_within=ends_within,
            after=cursor,
            limit=size,
        )
        return await facts.of(manage, page)

    print_list(data_dir, fetch, license_table(app), limit=limit, after=after, as_json=as_json)
    if not as_json:
        for each in facts.archived_apps:
            say_if_archived(each)


@define(eq=False, repr=False)
class LicenseFacts:
    """Makes the output of pages of licenses; it reads each app and the progress of the indexes only once."""

    _apps: "dict[str, App]" = field(init=False, factory=dict)
    _begun: bool = field(init=False, default=False)

    async def of(self, manage: "Management", page: "Page[License]") -> "Page[Facts]":
        """Return a page of output; before the first one, report if lists are being indexed."""
        if not self._begun:
            say_if_indexing(await manage.licenses.index_progress(manage.actor))
            self._begun = True
        for license_ in page.items:
            if license_.app not in self._apps:
                self._apps[license_.app] = await manage.teams.app(manage.actor, license_.app)
        now = datetime.now(UTC)
        return page_of(page, lambda license_: present.license_(license_, self._apps[license_.app], now))

    @property
    def archived_apps(self) -> "list[App]":
        """The archived apps among those of the licenses."""
        return [app for app in self._apps.values() if app.archived_at is not None]


def say_if_indexing(progress: "IndexProgress") -> None:
    """Say on standard error, in one line, that lists are being indexed after an upgrade, if they are."""
    if not progress.settled and progress.total:
        remark(
            f"the lists are being indexed after an upgrade ({progress.percent} %): filters take longer, and "
            "customers of older licenses may be missing"
        )


def license_table(app: str | None, empty: str | None = None) -> Table:
    """Return the table of licenses; it names the app of each one when there may be several.

    Args:
        app: the one app, or None for several.
        empty: the sentence for a list without items; by default that no license matches.
    """
    apps = () if app else (Column("APP", cut=True),)
    columns = (
        Column("CUSTOMER", cut=True),
        Column("REFERENCE", cut=True),
        Column("TYPE"),
        Column("STATE"),
        Column("ENDS"),
    )

    def row(facts: Facts) -> tuple[str, ...]:
        ends = facts["expires_at"].removesuffix(MIDNIGHT)
        rest = (facts["customer"], facts["reference"] or "-", facts["type"], facts["state"], ends)
        return (facts["id"], *((facts["app"],) if apps else ()), *rest)

    nothing = empty or (f"no license for {app} matches" if app else "no license matches")
    return Table((Column("ID"), *apps, *columns), row, nothing)
