"""``authsvc license link``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli.console import common_options, print_json, print_table, remark, run, say
from authsvc.cli.license_output import license_options
from authsvc.counts import counted
from authsvc.tenancy.dates import render_instant, render_optional
from authsvc.tenancy.license_link import DEFAULT_LINK_LIFE
from authsvc.wiring import clock

if TYPE_CHECKING:
    from authsvc.manage.license_links import ListedLink
    from authsvc.redaction import Secret
    from authsvc.tenancy.license_link import LicenseLink
    from authsvc.wiring.management import Management


@click.command("link")
@license_options
@click.option(
    "--expires", metavar="WHEN", help=f"90d, 2027-01-31 or 2027-01-31T12:00:00Z.  [default: {DEFAULT_LINK_LIFE}]"
)
@click.option("--list", "listing", is_flag=True, help="List the links that have not expired, and create none.")
@click.option("--revoke", is_flag=True, help="Revoke every link of the license, or the one whose id is ID.")
@common_options
def link_command(
    license_id: str,
    app: str | None,
    expires: str | None,
    data_dir: Path | None,
    *,
    listing: bool,
    revoke: bool,
    as_json: bool,
) -> None:
    """Create a link to a page for the customer, with the license file, images and commands; it is printed only once."""
    if (expires is not None) + listing + revoke > 1:
        raise click.UsageError("--expires, --list and --revoke contradict each other")
    if revoke:
        count = run(data_dir, lambda manage: manage.license_links.revoke(license_id, manage.operation(), app=app))
        if as_json:
            print_json({"license": license_id, "revoked": count})
        else:
            say(f"{counted(count, 'link')} taken back; files that were downloaded go on working")
    elif listing:
        _print_links(
            run(data_dir, lambda manage: manage.license_links.list(manage.actor, license_id, clock(), app)),
            as_json=as_json,
        )
    else:
        _create(license_id, app, expires or DEFAULT_LINK_LIFE, data_dir, as_json=as_json)


def _create(license_id: str, app: str | None, expires: str, data_dir: Path | None, *, as_json: bool) -> None:
    async def use(manage: "Management") -> "tuple[LicenseLink, Secret, str]":
        made = await manage.license_links.create(license_id, manage.operation(), expires=expires, app=app)
        return *made, manage.settings.public_url.text

    link, secret, public_url = run(data_dir, use)
    url, ends = f"{public_url}/c/{secret.reveal()}", render_instant(link.expires_at)
    if as_json:
        print_json({"id": link.id, "license": link.license, "expires_at": ends, "url": url})
        return
    say(url)
    remark(f"shown once; anyone who has it can download the license file until {ends}")
    remark(f"take it back: authsvc license link --revoke {link.id}")


def _print_links(found: "tuple[ListedLink, ...]", *, as_json: bool) -> None:
    facts = [
        {
            "id": one.link.id,
            "license": one.link.license,
            "created_at": render_instant(one.link.created_at),
            "created_by": one.link.creator,
            "expires_at": render_instant(one.link.expires_at),
            "downloaded_at": render_optional(one.link.downloaded_at),
            "works": one.works,
        }
        for one in found
    ]
    if as_json:
        print_json(facts)
        return
    rows = [
        (
            *(str(one["id"]), str(one["expires_at"]), str(one["created_by"]), str(one["downloaded_at"] or "-")),
            "yes" if one["works"] else "no: the account that made it may no longer make links",
        )
        for one in facts
    ]
    print_table(("ID", "ENDS", "BY", "LAST DOWNLOAD", "WORKS"), rows, "the license has no link", cut=("BY", "WORKS"))
