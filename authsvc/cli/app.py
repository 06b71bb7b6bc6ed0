"""``authsvc app``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import asdict

from authsvc.cli import image_format, present
from authsvc.cli.confirm import run_confirmed, yes_option
from authsvc.cli.console import common_options, everything, print_json, print_table, run, say

if TYPE_CHECKING:
    from authsvc.cli.image_format import Facts
    from authsvc.manage.teams import AppUse
    from authsvc.tenancy.records import App
    from authsvc.wiring.management import Management


@click.group("app")
def app_group() -> None:
    """Applications; each is one private registry namespace."""


@app_group.command("create")
@click.argument("slug")
@click.option("--team", required=True, metavar="TEAM", help="The owning team.")
@click.option("--name", help="Display name.  [default: SLUG]")
@common_options
def create(slug: str, team: str, name: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Create an app and with it the namespace SLUG/."""
    made = run(data_dir, lambda manage: manage.teams.create_app(slug, team, name, manage.operation()))
    if as_json:
        print_json(present.app(made))
    else:
        say(f"app {made.slug} created; its images are named {made.slug}/…")


@app_group.command("list")
@click.option("--team", metavar="TEAM", help="Only this team's apps.")
@click.option("--all", "archived", is_flag=True, help="Include archived apps.")
@common_options
def list_(team: str | None, data_dir: Path | None, *, archived: bool, as_json: bool) -> None:
    """List the apps in use."""
    apps = run(
        data_dir,
        lambda manage: everything(lambda after: manage.teams.apps(manage.actor, team, archived=archived, after=after)),
    )
    if as_json:
        print_json([present.app(app) for app in apps])
        return
    rows = [(app.slug, app.team, "archived" if app.archived_at else "in use", app.name) for app in apps]
    print_table(("APP", "TEAM", "STATE", "NAME"), rows, "no app yet", cut=("TEAM", "NAME"))


@app_group.command("show")
@click.argument("slug")
@common_options
def show(slug: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Show one app, archived or not, and who has access to it."""
    from authsvc.manage.image_facts import sum_facts

    async def use(manage: "Management") -> "tuple[App, AppUse, Facts]":
        app = await manage.teams.app(manage.actor, slug)
        images = image_format.as_json(sum_facts(slug, *await manage.images.sum(manage.actor, slug)))
        return app, await manage.teams.use_of(manage.actor, slug, manage.operation().now), images

    app, found, images = run(data_dir, use)
    access = "access" if app.archived_at is None else "access_if_reinstated"
    facts = present.app(app) | {access: asdict(found)}
    _print(facts | {"images": images if as_json else _images(images)}, as_json=as_json)


@app_group.command("archive")
@click.argument("slug")
@yes_option
@common_options
def archive(slug: str, data_dir: Path | None, *, yes: bool, as_json: bool) -> None:
    """Archive an app: pushes and pulls are refused until it is reinstated; its slug is never reused."""

    async def use(manage: "Management", confirmed: str | None) -> "App":
        return await manage.teams.archive_app(slug, manage.operation(), confirmed)

    _print(present.app(run_confirmed(data_dir, use, yes=yes)), as_json=as_json)


@app_group.command("reinstate")
@click.argument("slug")
@common_options
def reinstate(slug: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Undo archive: licenses, members and service accounts get their access back."""
    app = run(data_dir, lambda manage: manage.teams.reinstate_app(slug, manage.operation()))
    _print(present.app(app), as_json=as_json)


def _print(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        print_table(("FIELD", "VALUE"), [(name, _cell(value)) for name, value in facts.items()], "")


def _images(facts: "Facts") -> str:
    """Return totals of an app's images in one line; it names what is not known."""
    from authsvc.counts import counted

    if facts["counted_at"] is None:
        return "not counted yet"
    unknown, unfinished = facts["images_of_unknown_size"], facts["unfinished_deletions"]
    notes = [
        f"{counted(facts['tags'], 'tag', 'tags')} in {counted(facts['repositories'], 'repository', 'repositories')}",
        image_format.size(facts["size"]) + (f" and {unknown} of unknown size" if unknown else ""),
        *([counted(unfinished, "unfinished deletion", "unfinished deletions")] if unfinished else []),
        *([] if facts["all_indexed"] else ["more than are indexed"]),
        f"as of {facts['counted_at']}",
    ]
    return ", ".join(notes)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        names = {name: name.replace("_", " ") for name in value}
        least = "" if value["all_counted"] else "at least "
        numbers = ((name, number) for name, number in value.items() if name != "all_counted")
        return least + ", ".join(
            f"{n} {names[name].removesuffix('s') if n == 1 else names[name]}" for name, n in numbers
        )
    return str(value or "-")
