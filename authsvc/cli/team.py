"""``authsvc team``."""

from pathlib import Path

import click

from authsvc.cli import present
from authsvc.cli.console import common_options, everything, print_json, print_table, run, say


@click.group("team")
def team_group() -> None:
    """Teams: software vendors."""


@team_group.command("create")
@click.argument("slug")
@click.option("--name", help="Display name.  [default: SLUG]")
@common_options
def create(slug: str, name: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Create a team."""
    made = run(data_dir, lambda manage: manage.teams.create(slug, name, manage.operation()))
    if as_json:
        print_json(present.team(made))
    else:
        say(f"team {made.slug} created; next: authsvc app create APP --team {made.slug}")


@team_group.command("list")
@common_options
def list_(data_dir: Path | None, *, as_json: bool) -> None:
    """List all teams."""
    teams = run(data_dir, lambda manage: everything(lambda after: manage.teams.teams(manage.actor, after=after)))
    if as_json:
        print_json([present.team(team) for team in teams])
    else:
        print_table(("TEAM", "NAME"), [(team.slug, team.name) for team in teams], "no team yet", cut=("NAME",))


@team_group.command("set")
@click.argument("slug")
@click.option("--name", required=True, help="New display name.")
@common_options
def set_(slug: str, name: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Change the name of a team; its slug never changes."""
    changed = run(data_dir, lambda manage: manage.teams.set(slug, name, manage.operation()))
    if as_json:
        print_json(present.team(changed))
    else:
        say(f"team {changed.slug} is {changed.name}")
