"""``authsvc license download``, ``extend`` and ``rotate``, which write a license's file again."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli.confirm import run_confirmed, yes_option
from authsvc.cli.console import common_options, overlap_option, print_json, run, say
from authsvc.cli.file_name import FILE_NAME
from authsvc.cli.license_output import (
    STDOUT,
    LicenseOutput,
    key_option,
    license_options,
    print_changed,
    write_key,
    written,
)
from authsvc.tenancy.dates import last_day, parse_span, render_instant

if TYPE_CHECKING:
    from authsvc.tenancy.records import App, License
    from authsvc.wiring.management import Management


@click.command("download")
@license_options
@click.option(
    "--output",
    required=True,
    type=FILE_NAME,
    metavar="FILE",
    help="Write the license file there; - is standard output.",
)
@key_option
@common_options
def download(
    license_id: str, app: str | None, output: str, key_output: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Write a license's file again, with the key that verifies it; its registry token stays the same."""

    async def use(manage: "Management") -> tuple[str, str, str]:
        found = await manage.licenses.show(manage.actor, license_id, app)
        file = await manage.licenses.download(manage.actor, found.id)
        return found.id, file, await manage.licenses.verification_keys()

    with LicenseOutput(output) as target:
        found_id, file, key = run(data_dir, use)
        target.write(file)
    key_file = write_key(key, key_output, output)
    if output != STDOUT:
        print_json({"id": found_id, "output": output}) if as_json else say(f"wrote {written(output, key_file)}")


@click.command("extend")
@license_options
@click.option("--expires", required=True, metavar="WHEN", help="2028-01-31, 2028-01-31T12:00:00Z, or 365d from now.")
@click.option(
    "--output", type=FILE_NAME, metavar="FILE", help="Write the new license file there; - is standard output."
)
@common_options
def extend(
    license_id: str, app: str | None, expires: str, output: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Set a new end of a license; its registry token stays the same, so nothing has to be installed again."""

    async def use(manage: "Management") -> "tuple[License, App, str]":
        changed, file = await manage.licenses.extend(license_id, expires, manage.operation(), app)
        return changed, await manage.teams.app(manage.actor, changed.app), file

    with LicenseOutput(output) as target:
        changed, app_, file = run(data_dir, use)
        target.write(file)
    what = f"ends at {render_instant(changed.expires_at)} (its last day is {last_day(changed.expires_at)})"
    print_changed(changed, app_, output, what, as_json=as_json)


@click.command("rotate")
@license_options
@overlap_option
@click.option(
    "--output", type=FILE_NAME, metavar="FILE", help="Write the new license file there; - is standard output."
)
@yes_option
@common_options
def rotate(
    license_id: str,
    app: str | None,
    overlap: str,
    output: str | None,
    data_dir: Path | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Give a license a new registry token, for instance because the old file has leaked."""

    async def use(manage: "Management", confirmed: str | None) -> "tuple[License, App, str]":
        span, operation = parse_span(overlap, "overlap"), manage.operation()
        changed, file = await manage.licenses.rotate(license_id, span, operation, confirmed, app)
        return changed, await manage.teams.app(manage.actor, changed.app), file

    with LicenseOutput(output) as target:
        changed, app_, file = run_confirmed(data_dir, use, yes=yes)
        target.write(file)
    old = "the old one has ended" if len(changed.tokens) == 1 else f"the old one works for {overlap}"
    print_changed(changed, app_, output, f"has a new registry token; {old}", as_json=as_json)
