"""``authsvc migrate``."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from authsvc.cli.console import common_options, print_json, refuse, remark, run, say
from authsvc.cli.row_file import SHOWN, STDIN, dry_run_option, row_file_option
from authsvc.counts import counted

if TYPE_CHECKING:
    from authsvc.cli.migrated_parts import MigratedPart, MigratedParts
    from authsvc.migration.document import DockerAuthConfiguration
    from authsvc.migration.plan import MigratedAccount, MigrationOptions, MigrationPlan, MigrationProblem
    from authsvc.wiring.management import Management

MAX_BYTES = 1_000_000
"""Longest configuration that is read: a megabyte of YAML takes two seconds."""

MAX_VALUES = 100_000
"""Most values in it."""

MAX_NAMED = 5
"""Most accounts in one line; --json has all."""


@click.group("migrate")
def migrate_group() -> None:
    """Take over the configuration of another token server."""


@migrate_group.command("docker-auth")
@row_file_option
@click.option(
    "--team", required=True, metavar="TEAM", help="The team that gets everything; created if it does not exist."
)
@click.option("--app", "apps", multiple=True, metavar="APP", help="A namespace that FILE does not name; repeatable.")
@click.option(
    "--email", "emails", multiple=True, metavar="ACCOUNT=EMAIL", help="The address of an account; repeatable."
)
@click.option("--email-domain", metavar="DOMAIN", help="All other accounts are people at ACCOUNT@DOMAIN.")
@click.option(
    "--machine",
    "machines",
    multiple=True,
    metavar="ACCOUNT",
    help="An account that is a machine nevertheless; repeatable.",
)
@dry_run_option
@common_options
def docker_auth_command(
    file: Path,
    team: str,
    apps: tuple[str, ...],
    emails: tuple[str, ...],
    email_domain: str | None,
    machines: tuple[str, ...],
    data_dir: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Create apps, invitations and service accounts from users and ACL of docker_auth's FILE, - is standard input."""
    from authsvc.cli.migrated_parts import MigratedParts
    from authsvc.migration.plan import MigrationOptions

    addresses = tuple(_address(text) for text in emails)
    options = MigrationOptions(apps, addresses, email_domain, frozenset(machines))
    plan = _plan(file, _configuration(file), options)
    steps = MigratedParts(team)

    async def use(manage: "Management") -> str:
        await steps.look(manage, plan)
        if not (dry_run or steps.obstacles or not _makes_something(plan)):
            await steps.carry_out(manage, lambda step: None if as_json else _say_step(step, team))
        return manage.registry

    try:
        registry = run(data_dir, use, deadline=None)
    except SystemExit:  # steps before a failure have made secrets that cannot be shown again
        if as_json and any(step.state == "created" for step in steps.steps):
            print_json(_facts(steps, plan, dry_run=dry_run))
        raise
    if as_json:
        print_json(_facts(steps, plan, dry_run=dry_run))
    else:
        _report(file, steps, plan, dry_run=dry_run)
    if steps.obstacles:
        refuse(f"{counted(len(steps.obstacles), 'obstacle')}; nothing was made")
    if not _makes_something(plan):
        refuse("nothing in the configuration can be converted; nothing was made")
    if not as_json:
        _say_summary(steps, plan, registry, dry_run=dry_run)


def _report(file: Path, steps: "MigratedParts", plan: "MigrationPlan", *, dry_run: bool) -> None:
    """Print the result of a dry run, and what differs from before."""
    if dry_run and _makes_something(plan):
        for step in steps.steps:
            _say_step(step, steps.team)
    _print_lines([*_problem_lines(file, plan.problems), *steps.obstacles])


def _address(text: str) -> tuple[str, str]:
    account, equals, email = text.partition("=")
    if not (account and equals and email):
        raise click.UsageError(f"--email: {text[:80]!r} is not ACCOUNT=EMAIL, such as bob=bob@vendor.com")
    return account, email


def _configuration(file: Path) -> "DockerAuthConfiguration":
    """Return the parsed file; end the process if it cannot be read."""
    from authsvc.installer.yaml_nodes import YamlProblem, documents
    from authsvc.migration.document import DockerAuthConfiguration

    try:
        with nullcontext(sys.stdin.buffer) if file == STDIN else file.open("rb") as opened:
            raw = opened.read(MAX_BYTES + 1)
    except OSError as error:
        refuse(f"cannot read {'standard input' if file == STDIN else file}: {error.strerror or error}")
    if len(raw) > MAX_BYTES:
        refuse(f"{file} has more than {MAX_BYTES:,} bytes; is it a configuration of docker_auth?")
    try:
        roots = list(documents(raw.decode("utf-8-sig"), MAX_VALUES))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        _refuse_file([f"{file}:{line}: this is not UTF-8"])
    except YamlProblem as problem:
        _refuse_file([f"{file}:{problem.line}: {str(problem).partition(';')[0]}"])
    if len(roots) != 1:
        _refuse_file([f"{file}:1: the file has {counted(len(roots), 'YAML document')} instead of one"])
    found = DockerAuthConfiguration.read(roots[0])
    if found.problems:
        _refuse_file([f"{file}:{line}: {text}" for line, text in found.problems])
    return found


def _plan(file: Path, configuration: "DockerAuthConfiguration", options: "MigrationOptions") -> "MigrationPlan":
    from authsvc.cli.hints import explained
    from authsvc.errors import InputRefused
    from authsvc.migration.conversion import convert

    try:
        return convert(configuration, options)
    except InputRefused as error:
        refuse(explained(error) if error.field != "file" else f"{file}: {error}")


def _refuse_file(lines: Sequence[str]) -> NoReturn:
    _print_lines(lines)
    refuse(f"{counted(len(lines), 'problem')}; nothing was made")


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines[:SHOWN]:
        remark(line)
    if len(lines) > SHOWN:
        remark(f"and {len(lines) - SHOWN} more")


def _problem_lines(file: Path, problems: "Sequence[MigrationProblem]") -> list[str]:
    return [f"{file}:{one.line}: {one.text}{_named(one.accounts)}" for one in problems]


def _named(accounts: Sequence[str]) -> str:
    if not accounts:
        return ""
    more = f" and {len(accounts) - MAX_NAMED} more" if len(accounts) > MAX_NAMED else ""
    return f" ({', '.join(account[:60] for account in accounts[:MAX_NAMED])}{more})"


def _makes_something(plan: "MigrationPlan") -> bool:
    return bool(plan.apps or plan.accounts)


def _say_step(step: "MigratedPart", team: str) -> None:
    """Print what was (or would be) done, with a secret on a separate line."""
    account = step.account
    if account is None:
        say(f"{step.kind} {step.name} {_WORDS[step.state]}")
        return
    what = f"{account.role} of {', '.join(account.apps)}" if account.email else f"service account {step.name} with"
    grants = "" if account.email else f" {' '.join(grant.render() for grant in account.grants)}"
    less = "" if account.exact else "; less than before, see below"
    say(f"{account.account}: {what}{grants}: {_state_of(step, team)}{less}")
    if step.secret is not None:
        say(step.secret.reveal())


_WORDS = {"new": "would be made", "created": "created", "existing": "was there already", "differs": "was there already"}


def _state_of(step: "MigratedPart", team: str) -> str:
    person = step.account is not None and step.account.email is not None
    match step.state:
        case "new":
            return f"would be invited at {step.name}" if person else "would be made"
        case "created":
            return f"{step.name} joins by this link" if person else "its token is"
        case "existing":
            return "was invited already" if step.invited else "was there already"
        case "differs":
            see = "member list" if person else "service-account list"
            return f"was there with other rights, which stay; see: authsvc {see} --team {team}"


def _say_summary(steps: "MigratedParts", plan: "MigrationPlan", registry: str, *, dry_run: bool) -> None:
    lost = sum(one.kind != "note" for one in plan.problems)
    if lost:
        parts = counted(lost, "part of the configuration gives", "parts of the configuration give")
        remark(f"{parts} less than before, or nothing; see above")
    if any(step.account is not None and step.account.email is not None for step in steps.steps):
        remark(
            "a role also opens the licenses and customers of its apps and what is linked to them; for rights on images "
            "alone: --machine ACCOUNT"
        )
    if dry_run:
        remark("nothing was made; without --dry-run, secrets are shown once")
    elif any(step.secret is not None for step in steps.steps):
        remark(
            "secrets are shown once. A link works once within 72 hours: authsvc member redeem; a token is the "
            f"password: docker login {registry} -u NAME. Old passwords are not taken over"
        )


def _facts(steps: "MigratedParts", plan: "MigrationPlan", *, dry_run: bool) -> dict[str, Any]:
    apps = [{"slug": one.name, "state": one.state} for one in steps.steps if one.kind == "app"]
    team = next((one.state for one in steps.steps if one.kind == "team"), None)
    return {
        "team": {"slug": steps.team, "state": team},
        "dry_run": dry_run,
        "apps": apps,
        "accounts": [_account_facts(one, one.account) for one in steps.steps if one.account is not None],
        "problems": [
            {"line": one.line, "kind": one.kind, "text": one.text, "accounts": list(one.accounts)}
            for one in plan.problems
        ],
        "obstacles": steps.obstacles,
    }


def _account_facts(step: "MigratedPart", account: "MigratedAccount") -> dict[str, Any]:
    facts: dict[str, Any] = {"account": account.account, "line": account.line, "state": step.state}
    facts |= {"exact": account.exact, "grants": [grant.render() for grant in account.grants]}
    secret = None if step.secret is None else step.secret.reveal()
    if account.email is not None:
        role, apps = str(account.role), list(account.apps)
        return {**facts, "email": account.email, "role": role, "apps": apps, "link": secret}
    return {**facts, "service_account": account.name, "token": secret}
