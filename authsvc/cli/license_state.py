"""``authsvc license show``, ``revoke``, ``reinstate`` and ``archive``."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli import present
from authsvc.cli.activity_summary import USED_VERSIONS, usage_rows
from authsvc.cli.console import common_options, print_json, print_table, run, say
from authsvc.cli.license_output import license_options, say_if_archived

if TYPE_CHECKING:
    from authsvc.manage.activity_view import ActivitySummary
    from authsvc.tenancy.records import App, License
    from authsvc.wiring.management import Management


def _command(
    name: str, help_: str, use: "Callable[[Management, str, str | None], Awaitable[License]]"
) -> click.Command:
    @click.command(name, help=help_)
    @license_options
    @common_options
    def command(license_id: str, app: str | None, data_dir: Path | None, *, as_json: bool) -> None:
        async def with_app(manage: "Management") -> "tuple[License, App]":
            found = await use(manage, license_id, app)
            return found, await manage.teams.app(manage.actor, found.app)

        found, app_ = run(data_dir, with_app)
        facts = present.license_(found, app_, datetime.now(UTC))
        if as_json:
            print_json(facts)
        else:
            say(f"license {facts['id']} of {facts['customer']} is {facts['state']}")
        if not as_json:
            say_if_archived(app_)

    return command


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


@click.command("show")
@license_options
@common_options
def show(license_id: str, app: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Show one license, and what it pulled."""
    now = datetime.now(UTC)

    async def found(manage: "Management") -> "tuple[License, App, ActivitySummary]":
        license_ = await manage.licenses.show(manage.actor, license_id, app)
        used = await manage.activity.license(manage.actor, license_.id, now, limit=USED_VERSIONS)
        return license_, await manage.teams.app(manage.actor, license_.app), used

    license_, app_, used = run(data_dir, found)
    facts, usage = present.license_(license_, app_, now), present.usage(used)
    if as_json:
        print_json(facts | {"activity": usage})
        return
    covered = [f"all of {license_.app}"] if facts["repositories"] is None else facts["repositories"]
    facts["repositories"] = covered or ["nothing"]
    rows = [(key, _cell(value)) for key, value in facts.items()]
    print_table(("FIELD", "VALUE"), [*rows, *usage_rows(usage)], "")
    say_if_archived(app_)


revoke = _command(
    "revoke",
    "Refuse a license from now on; a pull token already given out still works for up to six minutes by default.",
    lambda manage, license_id, app: manage.licenses.revoke(license_id, manage.operation(), app),
)
reinstate = _command(
    "reinstate",
    "Undo revoke and archive.",
    lambda manage, license_id, app: manage.licenses.reinstate(license_id, manage.operation(), app),
)
archive = _command(
    "archive",
    "Revoke a license and hide it from lists.",
    lambda manage, license_id, app: manage.licenses.archive(license_id, manage.operation(), app),
)
