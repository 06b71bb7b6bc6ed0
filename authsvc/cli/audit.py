"""``authsvc audit``: what was decided and changed."""

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from authsvc.cli.console import common_options, print_json, print_table, refuse, run, say
from authsvc.cli.hints import REMEDIES
from authsvc.printable import printable
from authsvc.wiring import clock

if TYPE_CHECKING:
    from authsvc.audit.stored_entry import StoredEntry
    from authsvc.manage.audit import AuditQuery, Explanation
    from authsvc.wiring.management import Management

POLL_EVERY = 1.0
"""Seconds between two looks of ``--follow``."""

MAX_SUMMARY = 120
"""Characters of the last column of a list."""


@click.group("audit")
def audit_group() -> None:
    """What was decided and changed: lists, explanations and copies."""


@audit_group.command("list")
@click.option("--since", metavar="WHEN", help="Not before: 24h, 2027-01-31 or 2027-01-31T12:00:00Z.")
@click.option("--until", metavar="WHEN", help="Before this, in the same forms.")
@click.option("--event", "events", multiple=True, metavar="EVENT", help="token.denied, or token for all of them.")
@click.option("--actor", metavar="SUBJECT", help="Who did it: license:ID, member:ID, system:authsvc …")
@click.option("--app", metavar="APP", help="Only what names this app.")
@click.option("--subject", metavar="SUBJECT", help="Who did it, or whom it was done to.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="How many.")
@click.option("--before", metavar="CURSOR", help="The page behind the entry with this cursor.")
@click.option("--unproven", is_flag=True, help="Also what happened before identity was proven.")
@click.option("--follow", is_flag=True, help="Wait for more, and print it as it comes, until Ctrl-C.")
@common_options
def list_(
    since: str | None,
    until: str | None,
    events: tuple[str, ...],
    actor: str | None,
    app: str | None,
    subject: str | None,
    limit: int,
    before: str | None,
    data_dir: Path | None,
    *,
    unproven: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """List entries, newest first."""
    from authsvc.manage.audit import AuditQuery

    wanted = AuditQuery(since, until, events, actor, app, subject)
    if follow:
        with suppress(KeyboardInterrupt):
            _follow(data_dir, wanted, as_json=as_json)
        return
    found = run(
        data_dir,
        lambda manage: manage.audit.entries(
            manage.actor, wanted, clock(), limit=limit, before=before or "", unproven=unproven
        ),
        deadline=None,
    )
    if as_json:
        print_json([kept.to_json() for kept in found])
        return
    print_table(
        ("TIME", "EVENT", "WHO", "TIMES", "WHAT", "REQUEST"), [_row(kept) for kept in found], "no entries match"
    )
    if len(found) == limit:
        say(f"older ones: --before {found[-1].cursor}", err=True)


@audit_group.command("explain")
@click.argument("request_id", required=False)
@click.option("--subject", metavar="SUBJECT", help="Explain the decisions on this subject's requests instead.")
@click.option("--last", is_flag=False, flag_value=1, type=click.IntRange(1, 100), metavar="[N]", help="The newest N.")
@common_options
def explain(
    request_id: str | None, subject: str | None, last: int | None, data_dir: Path | None, *, as_json: bool
) -> None:
    """Say why: the rule, the credential and the facts at that time. A refusal shows its request id to the client."""
    if (request_id is None) == (subject is None) or (last is not None and subject is None):
        refuse("give a REQUEST_ID, or --subject SUBJECT --last", code=2)
    if subject is not None:
        decisions = run(
            data_dir, lambda manage: manage.audit.decisions(manage.actor, subject, last or 1, clock()), deadline=None
        )
        if not decisions:
            refuse(f"the audit knows no decision on a request of {subject[:80]!r}")
        _explain_all(decisions, as_json=as_json)
        return
    found = run(data_dir, lambda manage: manage.audit.explain(manage.actor, (request_id or "").strip()), deadline=None)
    if found.kept is not None:
        _explain_all([found.kept], as_json=as_json)
        return
    if as_json and found.around:
        print_json({"request": found.request_id, "found": False, "around": [kept.to_json() for kept in found.around]})
    elif found.around:
        say("its id was not recorded, because there were too many; it is one of these:", err=True)
        _explain_all(list(found.around), as_json=False)
    if not found.around:
        refuse(_unknown(found))


@audit_group.command("export")
@click.argument("file")
@common_options
def export(file: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Copy all entries to FILE, one JSON object a line, oldest first; a file that is there is continued."""
    from authsvc.cli.audit_export import AuditExport

    async def copied(manage: "Management") -> tuple[int, bool]:
        count = 0
        with AuditExport.open(file) as target:
            missing = target.is_behind(await manage.audit.trimmed_until(manage.actor))
            async for page in manage.audit.pages(manage.actor, target.cursor):
                target.add(page)
                count += len(page)
        return count, missing

    count, missing = run(data_dir, copied, deadline=None)
    if missing:
        say("warning: entries behind the end of this file were trimmed before it was continued", err=True)
    if as_json and file != "-":
        print_json({"file": file, "entries": count, "missing": missing})
    else:
        say(f"{count} entries written to {file}", err=True)


def _follow(data_dir: Path | None, wanted: "AuditQuery", *, as_json: bool) -> None:
    cursor = ""

    async def more(manage: "Management") -> "tuple[list[StoredEntry], str]":
        return await manage.audit.follow(manage.actor, wanted, cursor, clock())

    while True:
        found, cursor = run(data_dir, more)
        for kept in found:
            print_json(kept.to_json(), None) if as_json else say("  ".join(map(printable, _row(kept))))
        time.sleep(0 if found else POLL_EVERY)


def _row(kept: "StoredEntry") -> tuple[str, ...]:
    from authsvc.audit.sentences import summary, when, who

    facts = kept.facts
    times = str(facts.get("count", 1))
    shown = (when(facts["at"]), facts["event"], who(facts), times, summary(facts)[:MAX_SUMMARY], facts["id"])
    return tuple(map(str, shown))


def _explain_all(found: "list[StoredEntry]", *, as_json: bool) -> None:
    from authsvc.audit.sentences import sentences

    if as_json:
        said: list[dict[str, Any]] = [
            {**kept.to_json(), "sentences": sentences(kept.facts, REMEDIES)} for kept in found
        ]
        print_json(said[0] if len(said) == 1 else said)
        return
    say("\n\n".join("\n".join(map(printable, sentences(kept.facts, REMEDIES))) for kept in found))


def _unknown(found: "Explanation") -> str:
    shown = repr(found.request_id[:80])
    if found.made_at is None:
        return f"the audit knows no request and no change {shown}; a request id has 16 characters of 0-9 and a-f"
    made = f"{found.made_at:%Y-%m-%d %H:%M:%S} UTC"
    if found.trimmed:
        return f"request {shown} was made at {made}; entries of that time were trimmed, look where they are exported"
    return (
        f"the audit does not know request {shown} of {made} (yet): repeats are recorded within five minutes, and "
        "of tokens that granted everything only some ids; requests that are not for a token are in the log only"
    )
