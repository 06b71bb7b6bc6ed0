"""``authsvc license set``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli.console import common_options, run
from authsvc.cli.file_name import FILE_NAME
from authsvc.cli.license_output import LicenseOutput, license_options, print_changed

if TYPE_CHECKING:
    from authsvc.tenancy.records import App, License
    from authsvc.wiring.management import Management


@click.command("set")
@license_options
@click.option("--customer", metavar="NAME", help="New holder; an unknown customer is created.")
@click.option("--customer-reference", metavar="TEXT", help="New holder, by your own key for the customer.")
@click.option("--contact", metavar="TEXT", help="New contact; '' for none.")
@click.option(
    "--repository", "repositories", multiple=True, metavar="PATTERN", help="Only these repositories; may be repeated."
)
@click.option("--whole-app", is_flag=True, help="All repositories of the app.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="K=V",
    help="New value of a custom field; K= removes it; may be repeated.",
)
@click.option(
    "--output", type=FILE_NAME, metavar="FILE", help="Write the new license file to this path; - is standard output."
)
@common_options
def set_command(
    license_id: str,
    app: str | None,
    customer: str | None,
    customer_reference: str | None,
    contact: str | None,
    repositories: tuple[str, ...],
    fields: tuple[str, ...],
    output: str | None,
    data_dir: Path | None,
    *,
    whole_app: bool,
    as_json: bool,
) -> None:
    """Change a license; its registry token stays the same, and what it may pull changes at once."""
    if whole_app and repositories:
        raise click.UsageError("--repository and --whole-app contradict each other")
    if not any((customer, customer_reference, contact is not None, repositories, whole_app, fields)):
        raise click.UsageError("say what to change; see: authsvc license set --help")

    async def use(manage: "Management") -> "tuple[License, App, str]":
        from authsvc.tenancy.license_update import LicenseUpdate

        changes = LicenseUpdate.parse(
            customer=customer,
            customer_reference=customer_reference,
            contact=contact,
            repositories=repositories or None,
            whole_app=whole_app,
            fields=fields,
        )
        changed, file = await manage.licenses.set(license_id, changes, manage.operation(), app)
        return changed, await manage.teams.app(manage.actor, changed.app), file

    with LicenseOutput(output) as target:
        changed, app_, file = run(data_dir, use)
        target.write(file)
    print_changed(changed, app_, output, "is changed", as_json=as_json)
