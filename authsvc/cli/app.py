"""``authsvc app``."""

from pathlib import Path

import click

from authsvc.cli import present
from authsvc.cli.console import ACTOR, common_options, print_json, print_table, run, say
from authsvc.tenancy.records import App


@click.group("app")
def app_group() -> None:
    """Applications; each is one private registry namespace."""


@app_group.command("create")
@click.argument("slug")
@click.option("--team", required=True, metavar="TEAM", help="The owning team.")
@click.option("--name", help="Name for people.  [default: SLUG]")
@common_options
def create(slug: str, team: str, name: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Make an app and with it the namespace SLUG/."""
    made = run(data_dir, lambda manage: manage.teams.create_app(slug, team, name, manage.act(ACTOR)))
    if as_json:
        print_json(present.app(made))
    else:
        say(f"app {made.slug} created; its images are named {made.slug}/…")


@app_group.command("list")
@click.option("--team", metavar="TEAM", help="Only this team's apps.")
@common_options
def list_(team: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """List the apps in use."""
    apps = run(data_dir, lambda manage: manage.teams.apps(team))
    if as_json:
        print_json([present.app(app) for app in apps])
    else:
        print_table(("APP", "TEAM", "NAME"), [(app.slug, app.team, app.name) for app in apps], "no app yet")


@app_group.command("show")
@click.argument("slug")
@common_options
def show(slug: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Show one app."""
    _print(run(data_dir, lambda manage: manage.teams.app(slug)), as_json=as_json)


@app_group.command("archive")
@click.argument("slug")
@common_options
def archive(slug: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Put an app away: nobody pushes to it or pulls from it any more; its slug is never given away again."""
    _print(run(data_dir, lambda manage: manage.teams.archive_app(slug, manage.act(ACTOR))), as_json=as_json)


def _print(app: App, *, as_json: bool) -> None:
    facts = present.app(app)
    if as_json:
        print_json(facts)
    else:
        print_table(("FIELD", "VALUE"), [(name, str(value or "-")) for name, value in facts.items()], "")
