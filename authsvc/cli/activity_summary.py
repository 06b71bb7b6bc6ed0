"""``authsvc activity license``, ``customer``, ``app`` and ``image``: summaries."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli import present
from authsvc.cli.console import common_options, print_table, say
from authsvc.cli.pagination import Column, Facts, ListOwner, Table, page_of, paging_options, print_list
from authsvc.wiring import clock

if TYPE_CHECKING:
    from authsvc.manage.activity_view import ActivitySummary
    from authsvc.tenancy.pages import Page
    from authsvc.wiring.management import Management

SHOWN_DIGEST = 19
"""Characters of a digest in a table; ``--json`` has all of it."""

USED_VERSIONS = 10
"""Most versions that are shown with a license or customer."""

MAX_CELL = 5
"""Most items that one cell lists."""

_since_option = click.option("--since", metavar="WHEN", help="From then on: 7d, 2027-01-31 or 2027-01-31T12:00:00Z.")


@click.command("license")
@click.argument("license_id")
@click.option("--app", metavar="APP", help="The license's app, if licenses of several apps have the reference.")
@paging_options
@common_options
def license_command(
    license_id: str, app: str | None, limit: int | None, after: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Show what a license, named by its id or reference, pulled, from where, and how much."""
    now = clock()

    async def read(manage: "Management", cursor: str | None, size: int) -> "ActivitySummary":
        return await manage.activity.license(manage.actor, license_id, now, app=app, after=cursor, limit=size)

    _print_summary(data_dir, read, limit=limit, after=after, as_json=as_json)


@click.command("customer")
@click.argument("customer")
@click.option("--team", metavar="TEAM", help="The vendor's team; needed for a name or a reference.")
@paging_options
@common_options
def customer_command(
    customer: str, team: str | None, limit: int | None, after: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Show the activity of all licenses of a customer, who is named by id, reference or name."""
    now = clock()

    async def read(manage: "Management", cursor: str | None, size: int) -> "ActivitySummary":
        return await manage.activity.customer(manage.actor, customer, now, team, after=cursor, limit=size)

    _print_summary(data_dir, read, limit=limit, after=after, as_json=as_json)


@click.command("app")
@click.argument("app")
@_since_option
@click.option("--until", metavar="WHEN", help="Before then, in the same forms.")
@paging_options
@common_options
def app_command(
    app: str,
    since: str | None,
    until: str | None,
    limit: int | None,
    after: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show the activity of all accounts together in an app, day by day, the newest first."""
    now = clock()

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        page = await manage.activity.app(manage.actor, app, now, since=since, until=until, after=cursor, limit=size)
        return page_of(page, present.app_day)

    names = ("pulls", "heads", "pushes", "deletes")
    columns = (Column("DAY"), *(Column(name.upper()) for name in names), Column("BYTES"))

    def row(facts: Facts) -> Sequence[str]:
        return (facts["day"][:10], *(str(facts[name]) for name in names), size(facts["bytes"]))

    table = Table(columns, row, f"no activity of {app}")
    print_list(data_dir, fetch, table, limit=limit, after=after, as_json=as_json)


@click.command("image")
@click.argument("image")
@_since_option
@click.option("--unused", metavar="SPAN", help="List the tags of a repository that no license pulled for SPAN instead.")
@paging_options
@common_options
def image_command(
    image: str,
    since: str | None,
    unused: str | None,
    limit: int | None,
    after: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show who has which version of IMAGE: REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST."""
    now = clock()
    if unused is not None:
        if since is not None:
            raise click.UsageError("give --since or --unused, not both")
        _print_unused(data_dir, image, unused, limit=limit, after=after, as_json=as_json)
        return

    async def found(manage: "Management") -> Facts:
        return present.image_history((await manage.image_users.show(manage.actor, image, now, limit=1)).history)

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        from authsvc.tenancy.pages import Page

        shown = await manage.image_users.show(manage.actor, image, now, since=since, after=cursor, limit=size)
        return page_of(Page(shown.users, shown.next), present.image_user)

    def row(facts: Facts) -> Sequence[str]:
        versions = facts["versions"]
        names = [] if versions is None else [", ".join(one["tags"]) or _short(one["digest"]) for one in versions]
        return (facts["customer"] or facts["subject"], facts["license"] or "-", facts["last_pull_at"], _several(names))

    columns = (Column("WHO", cut=True), Column("LICENSE"), Column("LAST PULL"), Column("VERSIONS", cut=True))
    owner = ListOwner(found, "users", _print_history)
    table = Table(columns, row, "no pull of it is known")
    print_list(data_dir, fetch, table, limit=limit, after=after, as_json=as_json, owner=owner)


def _print_unused(
    data_dir: Path | None, repository: str, span: str, *, limit: int | None, after: str | None, as_json: bool
) -> None:
    now = clock()

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        page = await manage.image_users.unused(manage.actor, repository, now, unused_for=span, after=cursor, limit=size)
        return page_of(page, present.image_history)

    def row(facts: Facts) -> Sequence[str]:
        return (facts["tag"], _short(facts["digest"]), _at(facts["pushed"]), _at(facts["pulled_by_license"]))

    columns = (Column("TAG"), Column("DIGEST"), Column("PUSHED"), Column("LAST PULL BY A LICENSE"))
    table = Table(columns, row, f"every tag of {repository} that is known was pulled within {span}")
    print_list(data_dir, fetch, table, limit=limit, after=after, as_json=as_json)


def _print_summary(
    data_dir: Path | None,
    read: "Callable[[Management, str | None, int], Awaitable[ActivitySummary]]",
    *,
    limit: int | None,
    after: str | None,
    as_json: bool,
) -> None:
    """Print a summary, and its versions page by page."""

    async def found(manage: "Management") -> Facts:
        return present.activity_summary(await read(manage, None, 1))

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        from authsvc.tenancy.pages import Page

        summary = await read(manage, cursor, size)
        return page_of(Page(summary.versions, summary.next), present.version)

    def row(facts: Facts) -> Sequence[str]:
        last = facts["last_pull_at"] or (f"asked {facts['last_head_at']}" if facts["last_head_at"] else "-")
        pulls = "part" if facts["is_part"] else str(facts["pulls"])
        return (facts["repository"], _several(facts["tags"]), _short(facts["digest"]), pulls, last)

    columns = (Column("IMAGE"), Column("TAGS", cut=True), Column("DIGEST"), Column("PULLS"), Column("LAST PULL"))
    table = Table(columns, row, "no version was pulled")
    owner = ListOwner(found, "versions", _print_facts)
    print_list(data_dir, fetch, table, limit=limit, after=after, as_json=as_json, owner=owner)


def _print_facts(facts: Facts) -> None:
    licenses, networks = facts["licenses"], facts["networks"]
    more = " and more" if facts["more_networks"] else ""
    rows = [
        ("first pull", facts["first_pull_at"] or "-"),
        ("last pull", facts["last_pull_at"] or "-"),
        ("counted since", facts["since"] or "-"),
        ("pulls", str(sum(one["pulls"] for one in licenses))),
        ("bytes", size(sum(one["bytes"] for one in licenses))),
        ("networks", f"{len(networks)}{more}: {_several(networks)}" if networks else "-"),
        ("licenses", f"{len(licenses)}{' and more' if facts['more_licenses'] else ''}"),
    ]
    print_table(("FIELD", "VALUE"), rows, "")
    if facts["more_versions"]:
        say("there are more versions than are remembered")
    say()


def _print_history(facts: Facts) -> None:
    rows = [
        ("digest", facts["digest"] or "-"),
        *((name.replace("_", " "), _at(facts[name])) for name in ("pushed", "found", "pulled", "pulled_by_license")),
        ("deleted", facts["deleted_at"] or "-"),
    ]
    print_table(("FIELD", "VALUE"), rows, "")
    say()


def usage_rows(usage: Facts) -> list[tuple[str, str]]:
    """Return the rows of :func:`authsvc.cli.present.usage` that are shown with a license or customer."""
    versions = [_version(one) for one in usage["versions"] if not one["is_part"]]
    more, networks = " and more" if usage["more_networks"] else "", usage["networks"]
    return [
        ("last_pull", usage["last_pull_at"] or "-"),
        ("versions_in_use", _several(versions) + (" and more" if usage["more_versions"] else "")),
        ("networks", f"{len(networks)}{more}: {_several(networks)}" if networks else "-"),
    ]


def _version(facts: Facts) -> str:
    """Return a version by its tags, or else its digest."""
    if facts["tags"]:
        return f"{facts['repository']}:{'|'.join(facts['tags'])}"
    return f"{facts['repository']}@{_short(facts['digest'])}"


def size(count: int | None) -> str:
    """Return a number of bytes in a readable form."""
    return "-" if count is None else f"{count:,}"


def _at(use: Facts | None) -> str:
    if use is None:
        return "unknown"
    return f"{use['at']} {use['subject'] or ''}".rstrip()


def _short(digest: str | None) -> str:
    return "-" if digest is None else digest[:SHOWN_DIGEST]


def _several(items: Sequence[str]) -> str:
    shown = ", ".join(items[:MAX_CELL]) or "-"
    return shown if len(items) <= MAX_CELL else f"{shown}, and {len(items) - MAX_CELL} more"
