"""``authsvc license``."""

import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from authsvc import atomic_file
from authsvc.cli import present
from authsvc.cli.confirm import run_confirmed, yes_option
from authsvc.cli.console import (
    common_options,
    overlap_option,
    print_document,
    print_json,
    print_table,
    refuse,
    run,
    say,
)
from authsvc.cli.license_folder import is_older_key_file
from authsvc.cli.license_import import import_command
from authsvc.license_file import COMFORTABLE_BYTES
from authsvc.tenancy.dates import parse_span, render_instant

if TYPE_CHECKING:
    from authsvc.tenancy.records import App, License
    from authsvc.wiring.management import Management

STDOUT = "-"


LICENSE_SUFFIX, KEY_SUFFIX = ".license.json", ".license-key.json"

key_option = click.option(
    "--key-output",
    metavar="FILE",
    help="Write the keys that verify the file there.  [default: NAME.license-key.json beside it]",
)


@click.group("license")
def license_group() -> None:
    """Licenses: a customer's right to pull one app's images until it ends."""


@license_group.command("create")
@click.option("--app", required=True, metavar="APP", help="The app whose images it pulls.")
@click.option("--customer", required=True, metavar="NAME", help="Who holds it.")
@click.option(
    "--type",
    "type_",
    type=click.Choice(["trial", "paid", "dev"]),
    default="paid",
    show_default=True,
    help="For reports.",
)
@click.option("--expires", required=True, metavar="WHEN", help="2028-01-31, 2028-01-31T12:00:00Z, or 365d from now.")
@click.option("--not-before", metavar="WHEN", help="When it begins, written likewise.  [default: now]")
@click.option("--repository", "repositories", multiple=True, metavar="PATTERN", help="Only these; may be repeated.")
@click.option("--field", "fields", multiple=True, metavar="K=V", help="For the vendor's software; may be repeated.")
@click.option("--contact", metavar="TEXT", help="Whom the customer asks; shown in every refusal.")
@click.option("--output", metavar="FILE", help="Write the license file there; - is standard output.")
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
    output: str | None,
    key_output: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make a license and its file, and hand out the key that verifies it."""

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
            now=operation.now,
        )
        made, file = await manage.licenses.create(app, terms, operation)
        return made, await manage.teams.app(manage.actor, made.app), file, await manage.licenses.verification_keys()

    with _Target(output) as target:
        made, app_, file, key = run(data_dir, use)
        target.write(file)
    key_file = _write_key(key, key_output, output)
    if len(file) > COMFORTABLE_BYTES:
        say(f"authsvc: the file has {len(file)} bytes; Windows stores passwords of at most 2560", err=True)
    what = f"for {made.app} until {render_instant(made.expires_at)}"
    _print_changed(made, app_, output, what, as_json=as_json, key_file=key_file)


@license_group.command("download")
@click.argument("license_id", metavar="ID")
@click.option("--output", required=True, metavar="FILE", help="Write the license file there; - is standard output.")
@key_option
@common_options
def download(license_id: str, output: str, key_output: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Write a license's file again, with the key that verifies it; its registry token is the same."""

    async def use(manage: "Management") -> tuple[str, str]:
        return await manage.licenses.download(manage.actor, license_id), await manage.licenses.verification_keys()

    with _Target(output) as target:
        file, key = run(data_dir, use)
        target.write(file)
    key_file = _write_key(key, key_output, output)
    if output != STDOUT:
        print_json({"id": license_id, "output": output}) if as_json else say(f"wrote {_both(output, key_file)}")


@license_group.command("extend")
@click.argument("license_id", metavar="ID")
@click.option("--expires", required=True, metavar="WHEN", help="2028-01-31, 2028-01-31T12:00:00Z, or 365d from now.")
@click.option("--output", metavar="FILE", help="Write the new license file there; - is standard output.")
@common_options
def extend(license_id: str, expires: str, output: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Give a license another end; its registry token stays the same, so nothing must be installed again."""

    async def use(manage: "Management") -> "tuple[License, App, str]":
        changed, file = await manage.licenses.extend(license_id, expires, manage.operation())
        return changed, await manage.teams.app(manage.actor, changed.app), file

    with _Target(output) as target:
        changed, app, file = run(data_dir, use)
        target.write(file)
    _print_changed(changed, app, output, f"ends at {render_instant(changed.expires_at)}", as_json=as_json)


@license_group.command("rotate")
@click.argument("license_id", metavar="ID")
@overlap_option
@click.option("--output", metavar="FILE", help="Write the new license file there; - is standard output.")
@yes_option
@common_options
def rotate(
    license_id: str, overlap: str, output: str | None, data_dir: Path | None, *, yes: bool, as_json: bool
) -> None:
    """Give a license a new registry token, for instance because the old file has leaked."""

    async def use(manage: "Management", confirmed: str | None) -> "tuple[License, App, str]":
        span, operation = parse_span(overlap, "overlap"), manage.operation()
        changed, file = await manage.licenses.rotate(license_id, span, operation, confirmed)
        return changed, await manage.teams.app(manage.actor, changed.app), file

    with _Target(output) as target:
        changed, app, file = run_confirmed(data_dir, use, yes=yes)
        target.write(file)
    old = "the old one has ended" if len(changed.tokens) == 1 else f"the old one works for {overlap}"
    _print_changed(changed, app, output, f"has a new registry token; {old}", as_json=as_json)


def _write_key(key: str, key_output: str | None, output: str | None) -> str | None:
    """Write the vendor's public keys where it was asked for, or beside the license file; the customer needs both.

    Returns:
        The file with the keys; None when there is none.
    """
    if key_output is None:
        if output in {None, STDOUT}:
            return None
        key_output = f"{str(output).removesuffix(LICENSE_SUFFIX)}{KEY_SUFFIX}"
    path = Path(key_output)
    try:
        if not path.exists() or is_older_key_file(path, key):
            atomic_file.write_output(path, key.encode("ascii"), mode=atomic_file.PUBLIC)
        else:
            refuse(
                f"the license is done, but {path} is not a key file of this installation and was left alone; choose "
                "another --key-output"
            )
    except OSError as error:
        refuse(f"the license is done, but cannot write {path}: {error.strerror}")
    return key_output


def _both(output: str, key_file: str | None) -> str:
    return f"{output} and {key_file}" if key_file else output


def _print_changed(
    changed: "License", app: "App", output: str | None, what: str, *, as_json: bool, key_file: str | None = None
) -> None:
    if as_json and output != STDOUT:
        print_json({**present.license_(changed, app, datetime.now(UTC)), "output": output})
    else:
        where = (
            "its file is on standard output"
            if output == STDOUT
            else f"wrote {_both(output, key_file)}"
            if output
            else f"get its file with: authsvc license download {changed.id} --output FILE"
        )
        say(f"license {changed.id} of {changed.customer} {what}; {where}", err=output == STDOUT)
    if changed.revoked_at or changed.archived_at:
        state = changed.state(datetime.now(UTC))
        say(f"it stays {state}; to restore access: authsvc license reinstate {changed.id}", err=True)


@license_group.command("list")
@click.option("--app", required=True, metavar="APP", help="Whose licenses.")
@common_options
def list_(app: str, data_dir: Path | None, *, as_json: bool) -> None:
    """List the licenses of an app, without archived ones."""

    async def use(manage: "Management") -> "tuple[App, list[License]]":
        return await manage.teams.app(manage.actor, app), await manage.licenses.list(manage.actor, app)

    stored, licenses = run(data_dir, use)
    facts = [present.license_(license_, stored, datetime.now(UTC)) for license_ in licenses]
    if as_json:
        print_json(facts)
        return
    rows = [(f["id"], f["customer"], f["type"], f["state"], f["expires_at"]) for f in facts]
    print_table(("ID", "CUSTOMER", "TYPE", "STATE", "ENDS"), rows, f"no license for {app} yet")
    if rows:
        _say_if_archived(stored)


def _command(name: str, help_: str, use: "Callable[[Management, str], Awaitable[License]]") -> None:
    @license_group.command(name, help=help_)
    @click.argument("license_id", metavar="ID")
    @common_options
    def command(license_id: str, data_dir: Path | None, *, as_json: bool) -> None:
        async def with_app(manage: "Management") -> "tuple[License, App]":
            found = await use(manage, license_id)
            return found, await manage.teams.app(manage.actor, found.app)

        found, app = run(data_dir, with_app)
        facts = present.license_(found, app, datetime.now(UTC))
        if as_json:
            print_json(facts)
        elif name == "show":
            covered = [f"all of {found.app}"] if facts["repositories"] is None else facts["repositories"]
            facts["repositories"] = covered or ["nothing"]
            print_table(("FIELD", "VALUE"), [(key, _cell(value)) for key, value in facts.items()], "")
        else:
            say(f"license {facts['id']} of {facts['customer']} is {facts['state']}")
        if not as_json:
            _say_if_archived(app)


license_group.add_command(import_command)
_command("show", "Show one license.", lambda manage, license_id: manage.licenses.show(manage.actor, license_id))
_command(
    "revoke",
    "Refuse a license from now on; a pull token already given out still works for up to six minutes by default.",
    lambda manage, license_id: manage.licenses.revoke(license_id, manage.operation()),
)
_command(
    "reinstate",
    "Undo revoke and archive.",
    lambda manage, license_id: manage.licenses.reinstate(license_id, manage.operation()),
)
_command(
    "archive",
    "Revoke a license and hide it from lists.",
    lambda manage, license_id: manage.licenses.archive(license_id, manage.operation()),
)


def _say_if_archived(app: "App") -> None:
    if app.archived_at is not None:
        since = render_instant(app.archived_at)
        say(f"the app {app.slug} is archived since {since}: authsvc app reinstate {app.slug}", err=True)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        pairs = (f"{name}={each if isinstance(each, str) else json.dumps(each)}" for name, each in value.items())
        return ", ".join(pairs) or "-"
    if isinstance(value, list):
        return "; ".join(_token(each) if isinstance(each, dict) else str(each) for each in value) or "-"
    return str(value)


def _token(facts: dict[str, object]) -> str:
    return f"token {facts['generation']}" + (f" until {facts['ends_at']}" if facts["ends_at"] else "")


class _Target:
    """Where a license file goes. A file is reserved first, so that no license is made whose file cannot be kept."""

    def __init__(self, output: str | None) -> None:
        self._output = output
        self._written = False

    def __enter__(self) -> Self:
        if self._output is not None and self._output != STDOUT:
            try:
                os.close(os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                refuse(f"{self._output} exists already; remove it or choose another name")
            except OSError as error:
                refuse(f"cannot write {self._output}: {error.strerror}")
        return self

    def write(self, text: str) -> None:
        if self._output == STDOUT:
            print_document(text)
        elif self._output is not None:
            try:
                atomic_file.replace(self._output, text.encode("ascii"))
            except OSError as error:
                refuse(
                    f"done, but cannot write {self._output} ({error.strerror}); get it with: authsvc license download"
                )
        self._written = True

    def __exit__(self, *_: object) -> None:
        if self._output is not None and self._output != STDOUT and not self._written:
            Path(self._output).unlink(missing_ok=True)
