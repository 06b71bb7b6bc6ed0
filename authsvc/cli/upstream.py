"""``authsvc upstream``."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import asdict

from authsvc.cli.confirm import run_confirmed, yes_option
from authsvc.cli.console import common_options, print_json, print_table, refuse, run, say
from authsvc.cli.pagination import Column, Facts, Table, page_of, paging_options, print_list
from authsvc.cli.passwords import read_secret
from authsvc.errors import InputRefused
from authsvc.tenancy.dates import parse_end, render_instant, render_optional
from authsvc.upstreams.providers import PRESETS, Provider, Requirement

if TYPE_CHECKING:
    from authsvc.redaction import Secret
    from authsvc.tenancy.pages import Page
    from authsvc.upstreams.health import UpstreamHealth
    from authsvc.upstreams.link import UpstreamLink
    from authsvc.wiring.management import Management

_OUTCOMES = {True: "ok", False: "FAILED", None: "-"}

_SHORT = "%Y-%m-%d %H:%M"

_app_option = click.option("--app", required=True, metavar="SLUG", help="The app to which it is linked.")
_repository_option = click.option(
    "--repository",
    "repositories",
    multiple=True,
    metavar="PATTERN",
    help="Repositories that can be pulled, as the registry names them: org/**.",
)
_username_option = click.option("--username", metavar="NAME", help="User name that belongs to the secret.")
_secret_option = click.option(
    "--secret-stdin", is_flag=True, help="Read the secret from standard input; otherwise it is asked for."
)
_ends_option = click.option(
    "--credential-ends", metavar="WHEN", help="When the secret expires: 90d or 2027-01-31; `list` shows it."
)
_token_host_option = click.option(
    "--token-host", "token_hosts", multiple=True, metavar="HOST", help="Another host that may ask for the secret."
)


@click.group("upstream")
def upstream_group() -> None:
    """External registries from which customers pull with their license."""


@upstream_group.command("link")
@click.argument("name")
@_app_option
@click.option(
    "--provider",
    required=True,
    type=click.Choice([str(one) for one in Provider]),
    help="The company or software that runs it.",
)
@click.option("--url", metavar="URL", help="Its address, such as https://registry.example.com.")
@_username_option
@_secret_option
@_repository_option
@_token_host_option
@_ends_option
@common_options
def link(
    name: str,
    app: str,
    provider: str,
    url: str | None,
    username: str | None,
    repositories: tuple[str, ...],
    token_hosts: tuple[str, ...],
    credential_ends: str | None,
    data_dir: Path | None,
    *,
    secret_stdin: bool,
    as_json: bool,
) -> None:
    """Link an external registry to an app as NAME."""
    from authsvc.upstreams.terms import LinkTerms

    secret = _secret(provider, username, from_stdin=secret_stdin)
    try:
        terms = LinkTerms.parse(provider, url, username, secret, repositories, token_hosts)
    except InputRefused as error:
        lacks = secret is None and any(problem.field == "secret" for problem in error.errors)
        refuse(f"{error}; --secret-stdin reads the secret from standard input" if lacks else str(error))

    async def use(manage: "Management") -> "UpstreamLink":
        operation = manage.operation()
        ends_at = None if credential_ends is None else parse_end(credential_ends, operation.now, "credential_ends")
        return await manage.upstreams.link(app, name, terms, operation, ends_at)

    made = run(data_dir, use)
    _print(made, f"upstream {made.name} of {made.app} linked to {made.origin.text}", as_json=as_json)


@upstream_group.command("list")
@click.option("--app", metavar="SLUG", help="Only those of this app.")
@click.option("--team", metavar="TEAM", help="Only those of this team.")
@paging_options
@common_options
def list_(
    app: str | None, team: str | None, limit: int | None, after: str | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """List linked registries with the last success and the last error of each, and when its secret expires."""

    async def fetch(manage: "Management", cursor: str | None, size: int) -> "Page[Facts]":
        page = await manage.upstreams.list(manage.actor, team=team, app=app, after=cursor, limit=size)
        return page_of(page, lambda one: _facts(*one))

    print_list(data_dir, fetch, _TABLE, limit=limit, after=after, as_json=as_json)


@upstream_group.command("show")
@click.argument("name")
@_app_option
@common_options
def show(name: str, app: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Show a linked registry; its secret is never shown."""
    facts = _facts(*run(data_dir, lambda manage: manage.upstreams.show(manage.actor, name, app)))
    if as_json:
        print_json(facts)
    else:
        print_table(("FIELD", "VALUE"), [(field, _text(value)) for field, value in facts.items()], "")


@upstream_group.command("set")
@click.argument("name")
@_app_option
@_username_option
@_secret_option
@click.option("--no-secret", is_flag=True, help="Use no secret for the registry from now on.")
@_repository_option
@_token_host_option
@_ends_option
@common_options
def set_(
    name: str,
    app: str,
    username: str | None,
    repositories: tuple[str, ...],
    token_hosts: tuple[str, ...],
    credential_ends: str | None,
    data_dir: Path | None,
    *,
    secret_stdin: bool,
    no_secret: bool,
    as_json: bool,
) -> None:
    """Change the secret of a linked registry, or replace its repositories or token hosts."""
    from authsvc.manage.upstreams import LinkChange

    if no_secret and (secret_stdin or username is not None or credential_ends is not None):
        raise click.UsageError("--no-secret goes with neither --username, --secret-stdin nor --credential-ends")
    if not (secret_stdin or no_secret or username or repositories or token_hosts or credential_ends):
        raise click.UsageError("say what to change: --secret-stdin, --repository, --token-host or --credential-ends")
    given = secret_stdin or username is not None
    secret = read_secret("secret", from_stdin=secret_stdin) if given else None

    async def use(manage: "Management") -> "UpstreamLink":
        operation = manage.operation()
        ends_at = None if credential_ends is None else parse_end(credential_ends, operation.now, "credential_ends")
        change = LinkChange(repositories or None, token_hosts or None, username, secret, ends_at, anonymous=no_secret)
        return await manage.upstreams.set(name, app, change, operation)

    changed = run(data_dir, use)
    _print(changed, f"upstream {changed.name} of {changed.app} changed", as_json=as_json)


@upstream_group.command("test")
@click.argument("name")
@_app_option
@click.option(
    "--repository",
    metavar="REPOSITORY[:TAG]",
    help="Image to request, as the registry names it.  [default: one that the link's patterns name]",
)
@common_options
def test(name: str, app: str, repository: str | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Send a linked registry the requests of a pull, step by step, and report problems."""
    steps = run(data_dir, lambda manage: manage.upstreams.test(name, app, repository, manage.operation()))
    if as_json:
        print_json([asdict(step) for step in steps])
    else:
        for step in steps:
            say(f"{_OUTCOMES[step.ok]:6}  {step.step:9}  {step.words}")
            if step.remedy is not None:
                say(f"{'':6}  {'':9}  {step.remedy}")
    if any(step.ok is False for step in steps):
        sys.exit(1)


@upstream_group.command("purge")
@click.argument("name")
@_app_option
@common_options
def purge(name: str, app: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Discard what is cached of a linked registry; the next pulls fetch it again."""
    purged = run(data_dir, lambda manage: manage.upstreams.purge(name, app, manage.operation()))
    _print(purged, f"upstream {purged.name} of {purged.app} purged", as_json=as_json)


@upstream_group.command("unlink")
@click.argument("name")
@_app_option
@yes_option
@common_options
def unlink(name: str, app: str, data_dir: Path | None, *, yes: bool, as_json: bool) -> None:
    """Remove a link and its secret."""
    run_confirmed(
        data_dir,
        lambda manage, confirmed: manage.upstreams.unlink(name, app, manage.operation(), confirmed),
        yes=yes,
    )
    if as_json:
        print_json({"name": name, "app": app, "unlinked": True})
    else:
        say(f"upstream {name} of {app} unlinked")


def _secret(provider: str, username: str | None, *, from_stdin: bool) -> "Secret | None":
    """Return the secret of a new link: from standard input, or asked for if the provider, or a username, needs one."""
    needed = PRESETS[Provider(provider)].secret.requirement is Requirement.REQUIRED or username is not None
    if from_stdin or (needed and sys.stdin.isatty()):
        return read_secret("secret", from_stdin=from_stdin)
    return None


def _print(link: "UpstreamLink", sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_link_facts(link))
    else:
        say(sentence)


def _link_facts(link: "UpstreamLink") -> Facts:
    return {
        "id": link.id,
        "name": link.name,
        "app": link.app,
        "team": link.team,
        "provider": str(link.provider),
        "url": link.origin.text,
        "repositories": list(link.repositories),
        "username": link.username,
        "has_secret": link.sealed_secret is not None,
        "token_hosts": list(link.token_hosts),
        "credential_version": link.credential_version,
        "credential_ends_at": render_optional(link.credential_ends_at),
        "purges": link.purge_count,
        "created_at": render_instant(link.created_at),
        "changed_at": render_instant(link.changed_at),
    }


def _facts(link: "UpstreamLink", health: "UpstreamHealth") -> Facts:
    return _link_facts(link) | {
        "credential_ends_at": render_optional(link.credential_ends_at or health.credential_ends_at),
        "last_good_at": render_optional(health.last_good_at),
        "last_error_at": render_optional(health.last_error_at),
        "last_error_code": health.last_error_code,
        "last_error": health.last_error,
    }


def _row(facts: Facts) -> list[str]:
    good, error, code = facts["last_good_at"], facts["last_error_at"], facts["last_error_code"]
    return [
        f"{facts['app']}/{facts['name']}",
        facts["provider"],
        _minute(good),
        "-" if error is None else f"{_minute(error)} {(code or '').removeprefix('upstream_')}",
        "-" if facts["credential_ends_at"] is None else facts["credential_ends_at"][:10],
    ]


_TABLE = Table(
    (
        Column("UPSTREAM", cut=True),
        Column("PROVIDER"),
        Column("LAST GOOD"),
        Column("LAST ERROR", cut=True),
        Column("SECRET ENDS"),
    ),
    _row,
    "no upstream is linked",
)


def _minute(text: str | None) -> str:
    return "-" if text is None else datetime.fromisoformat(text).astimezone(UTC).strftime(_SHORT)


def _text(value: Any) -> str:
    match value:
        case None | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(value)
        case _:
            return str(value)
