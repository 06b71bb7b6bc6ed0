"""``authsvc image``."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli import image_format
from authsvc.cli.console import common_options, print_json, print_table, run, say
from authsvc.cli.image_delete import delete_command
from authsvc.cli.image_format import NONE, UNKNOWN, size, when, yes_or_no
from authsvc.cli.pagination import Column, Facts, Table, page_of, paging_options, print_list

if TYPE_CHECKING:
    from authsvc.tenancy.pages import Page
    from authsvc.wiring.management import Management

SHORT = 12
"""Hexadecimal digits of a digest in a table, as docker shows them."""

LAYERS = 10
"""Most layers of a platform that are shown in text; JSON has all of them."""


@click.group("image")
def image_group() -> None:
    """Images in the registry: their tags, platforms and sizes, who pushed them and who runs them; and deleting them."""


@image_group.command("list")
@click.option("--app", metavar="APP", help="Only this app's.  [default: all apps]")
@click.option("--repository", metavar="REPOSITORY", help="Only this repository's, such as myapp/worker.")
@paging_options
@common_options
def list_command(
    app: str | None,
    repository: str | None,
    limit: int | None,
    after: str | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """List tags. A question mark means unknown; a dash after a known push means that no pull was recorded."""
    from authsvc.manage.image_facts import listed_facts

    now = datetime.now(UTC)

    async def fetch(manage: "Management", cursor: str | None, limit: int) -> "Page[Facts]":
        page = await manage.images.list(manage.actor, app=app, repository=repository, after=cursor, limit=limit)
        return page_of(page, lambda one: image_format.as_json(listed_facts(one)))

    print_list(data_dir, fetch, _table(now), limit=limit, after=after, as_json=as_json)


@image_group.command("show")
@click.argument("image", metavar="REPOSITORY[:TAG|@DIGEST]")
@common_options
def show_command(image: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Show one image with its platforms, layers and the customers that run it, or a repository as a whole."""
    from authsvc.manage.image_facts import image_facts, repository_facts
    from authsvc.manage.images import is_repository

    now = datetime.now(UTC)

    async def use(manage: "Management") -> "tuple[Facts, bool]":
        if is_repository(image, manage.registry):
            return repository_facts(await manage.images.repository(manage.actor, image, now)), True
        return image_facts(await manage.images.show(manage.actor, image, now)), False

    found, whole = run(data_dir, use)
    facts = image_format.as_json(found)
    if as_json:
        print_json(facts)
    elif whole:
        _print_repository(facts, now)
    else:
        _print_image(facts, now)


image_group.add_command(delete_command)


def _table(now: datetime) -> Table:
    columns = (
        Column("IMAGE"),
        Column("DIGEST", cut=True),
        Column("PLATFORMS", cut=True),
        Column("SIZE"),
        Column("PUSHED"),
        Column("LAST PULL"),
        Column("SIGNED"),
        Column("SBOM"),
    )

    def row(facts: Facts) -> tuple[str, ...]:
        return (
            f"{facts['repository']}:{facts['tag']}",
            _short(facts["digest"]),
            image_format.platforms(facts),
            size(facts["size"]),
            when(facts["pushed_at"], now),
            _last_pull(facts, now),
            yes_or_no(value=facts["signed"]),
            yes_or_no(value=facts["sbom"]),
        )

    return Table(columns, row, "no image yet")


def _last_pull(facts: Facts, now: datetime) -> str:
    """Return when the last pull was; a dash for an image with a recorded push and no recorded pull."""
    no_record = facts["pulled_at"] is None and facts["pushed_at"] is not None
    return NONE if no_record else when(facts["pulled_at"], now)


def _print_image(facts: Facts, now: datetime) -> None:
    reference = f":{facts['tag']}" if facts["tag"] else f"@{facts['digest']}"
    others = [tag for tag in facts["tags"] if tag != facts["tag"]]
    rows = [
        ("image", f"{facts['repository']}{reference}"),
        ("digest", facts["digest"]),
        ("kind", f"{facts['kind'] or UNKNOWN} ({facts['artifact_type'] or facts['media_type'] or UNKNOWN})"),
        ("size", size(facts["size"])),
        ("pushed", _use(facts, "pushed", now)),
        ("last pull", _use(facts, "pulled", now)),
        ("signed", yes_or_no(value=facts["signed"])),
        ("sbom", yes_or_no(value=facts["sbom"])),
        ("other tags", ", ".join(others) or NONE),
        ("as of", _as_of(facts, now)),
    ]
    if facts["subject"]:
        rows.insert(3, ("attached to", facts["subject"]))
    print_table(("FIELD", "VALUE"), rows, "")
    _print_platforms(facts)
    if facts["customers"]:
        say()
        pulls = [
            (each["customer"] or UNKNOWN, each["license"], when(each["pulled_at"], now)) for each in facts["customers"]
        ]
        print_table(("CUSTOMER", "LICENSE", "LAST PULL"), pulls, "", cut=("CUSTOMER",))


def _print_platforms(facts: Facts) -> None:
    if facts["platforms"]:
        say()
        rows = [(each["platform"] or UNKNOWN, size(each["size"]), each["digest"]) for each in facts["platforms"]]
        print_table(("PLATFORM", "SIZE", "DIGEST"), rows, "")
    names = {each["digest"]: each["platform"] for each in facts["platforms"] or ()}
    for manifest in facts["manifests"] or ():
        say()
        layers = [(size(layer["size"]), layer["digest"]) for layer in manifest["layers"][:LAYERS]]
        print_table(("SIZE", f"LAYER OF {names.get(manifest['digest']) or facts['repository']}"), layers, "no layer")
        if len(manifest["layers"]) > LAYERS:
            say(f"and {len(manifest['layers']) - LAYERS} more; --json has all of them")


def _print_repository(facts: Facts, now: datetime) -> None:
    rows = [
        ("repository", facts["repository"]),
        ("tags", f"{facts['tags']}" if facts["all_tags"] else f"{facts['tags']}, and perhaps more"),
        ("last push", _use(facts, "pushed", now)),
        ("last pull", _use(facts, "pulled", now)),
        ("as of", _as_of(facts, now)),
    ]
    print_table(("FIELD", "VALUE"), rows, "")


def _use(facts: Facts, what: str, now: datetime) -> str:
    at = facts[f"{what}_at"]
    if at is None:
        first = facts["first_found_at"]
        return f"{UNKNOWN} (found in the registry at {first})" if what == "pushed" and first else _last_pull(facts, now)
    by = facts[f"{what}_by_name"] or facts[f"{what}_by"] or UNKNOWN
    return f"{at} ({when(at, now)}) by {by}"


def _as_of(facts: Facts, now: datetime) -> str:
    if facts["from_registry"]:
        return "now, from the registry"
    return UNKNOWN if facts["read_at"] is None else f"{facts['read_at']} ({when(facts['read_at'], now)})"


def _short(digest: str) -> str:
    return digest.partition(":")[2][:SHORT]
