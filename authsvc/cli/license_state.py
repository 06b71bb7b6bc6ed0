"""``authsvc license show``, ``revoke``, ``reinstate`` and ``archive``."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli import present
from authsvc.cli.console import common_options, print_json, print_table, run, say
from authsvc.cli.license_output import license_options, say_if_archived

if TYPE_CHECKING:
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
        elif name == "show":
            covered = [f"all of {found.app}"] if facts["repositories"] is None else facts["repositories"]
            facts["repositories"] = covered or ["nothing"]
            print_table(("FIELD", "VALUE"), [(key, _cell(value)) for key, value in facts.items()], "")
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


show = _command(
    "show", "Show one license.", lambda manage, license_id, app: manage.licenses.show(manage.actor, license_id, app)
)
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
