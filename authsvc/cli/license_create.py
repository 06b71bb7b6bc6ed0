"""``authsvc license create``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli.console import common_options, remark, run
from authsvc.cli.file_name import FILE_NAME
from authsvc.cli.license_output import LicenseOutput, key_option, print_changed, say_if_app_is_named_twice, write_key
from authsvc.counts import counted
from authsvc.license_file import COMFORTABLE_BYTES
from authsvc.tenancy.dates import last_day, render_instant

if TYPE_CHECKING:
    from authsvc.tenancy.records import App, License
    from authsvc.wiring.management import Management


@click.command("create")
@click.option("--app", required=True, metavar="APP", help="The app whose images it pulls.")
@click.option("--customer", required=True, metavar="NAME", help="Name of the holder.")
@click.option(
    "--type",
    "type_",
    type=click.Choice(["trial", "paid", "dev"]),
    default="paid",
    show_default=True,
    help="For reports only.",
)
@click.option("--expires", required=True, metavar="WHEN", help="2028-01-31, 2028-01-31T12:00:00Z, or 365d from now.")
@click.option("--not-before", metavar="WHEN", help="When it begins, in the same forms.  [default: now]")
@click.option(
    "--repository", "repositories", multiple=True, metavar="PATTERN", help="Only these repositories; may be repeated."
)
@click.option(
    "--field", "fields", multiple=True, metavar="K=V", help="Custom field for the vendor's software; may be repeated."
)
@click.option("--contact", metavar="TEXT", help="Whom the customer should contact; shown in every refusal.")
@click.option("--reference", metavar="TEXT", help="Your own key for it, such as an order; unique in the app.")
@click.option(
    "--customer-reference", metavar="TEXT", help="Your own key for the customer, which is looked up before the name."
)
@click.option("--customer-email", metavar="EMAIL", help="E-mail address of the customer, if it has none yet.")
@click.option(
    "--output", type=FILE_NAME, metavar="FILE", help="Write the license file to this path; - is standard output."
)
@key_option
@common_options
def create(
    app: str,
    customer: str,
    type_: str,
    expires: str,
    not_before: str | None,
    repositories: tuple[str, ...],
    fields: tuple[str, ...],
    contact: str | None,
    reference: str | None,
    customer_reference: str | None,
    customer_email: str | None,
    output: str | None,
    key_output: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Create a license and its file, and write the key that verifies it."""

    async def use(manage: "Management") -> "tuple[License, App, str, str]":
        from authsvc.tenancy.terms import LicenseTerms

        operation = manage.operation()
        terms = LicenseTerms.parse(
            customer=customer,
            expires=expires,
            type_=type_,
            not_before=not_before,
            repositories=repositories or None,
            fields=fields,
            contact=contact,
            customer_reference=customer_reference,
            customer_email=customer_email,
            now=operation.now,
        )
        made, file = await manage.licenses.create(app, terms, operation, reference)
        return made, await manage.teams.app(manage.actor, made.app), file, await manage.licenses.verification_keys()

    with LicenseOutput(output) as target:
        made, app_, file, key = run(data_dir, use)
        target.write(file)
    key_file = write_key(key, key_output, output)
    if len(file) > COMFORTABLE_BYTES:
        remark(f"the file has {counted(len(file), 'byte')}; Windows stores passwords of at most 2560")
    say_if_app_is_named_twice(made)
    what = f"for {made.app} until {render_instant(made.expires_at)} (its last day is {last_day(made.expires_at)})"
    print_changed(made, app_, output, what, as_json=as_json, key_file=key_file)
