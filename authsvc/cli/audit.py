"""``authsvc audit``: decisions and changes."""

import time
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from attrs import evolve

from authsvc.cli.console import common_options, print_json, refuse, remark, run, say
from authsvc.cli.file_name import FILE_NAME
from authsvc.cli.hints import REMEDIES, explained
from authsvc.cli.pagination import Column, Table, lines_below, page_of, print_list, print_page
from authsvc.counts import counted
from authsvc.printable import printable
from authsvc.wiring import clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from authsvc.audit.stored_entry import StoredEntry
    from authsvc.manage.audit import Explanation
    from authsvc.manage.audit_query import AuditFilter, AuditQuery
    from authsvc.tenancy.pages import Page
    from authsvc.wiring.management import Management

POLL_EVERY = 1.0
"""Seconds between two checks of ``--follow``."""

MAX_AROUND = 5
"""Most entries that are shown of those that may include a request."""

OLDER = "older ones: --before {}"
"""How a list continues."""

MAX_SUMMARY = 160
"""Most characters of an entry in a list."""


@click.group("audit")
def audit_group() -> None:
    """Decisions and changes: lists, explanations and copies."""


@audit_group.command("list")
@click.option("--since", metavar="WHEN", help="From then on: 24h, 2027-01-31 or 2027-01-31T12:00:00Z.")
@click.option("--until", metavar="WHEN", help="Before then, in the same forms.")
@click.option(
    "--event",
    "events",
    multiple=True,
    metavar="EVENT",
    help="An event such as token.denied, or token for all that begin with it.",
)
@click.option("--actor", metavar="SUBJECT", help="Who did it: license:ID, member:ID, an e-mail address …")
@click.option("--app", metavar="APP", help="Only entries that name this app.")
@click.option("--subject", metavar="SUBJECT", help="Who did it or was affected.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="Number of entries."
)
@click.option("--before", metavar="CURSOR", help="The page after the entry with this cursor.")
@click.option("--unproven", is_flag=True, help="Include events before identity was proven.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Search this exported file instead.",
)
@click.option("--follow", is_flag=True, help="Wait for new entries and print them, until Ctrl-C.")
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
    files: tuple[Path, ...],
    data_dir: Path | None,
    *,
    unproven: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """List entries, newest first."""
    from authsvc.manage.audit_query import AuditQuery

    wanted = AuditQuery(since, until, events, actor, app, subject)
    if files:
        if follow or unproven:
            refuse("--file has what was exported: leave out --follow and --unproven", code=2)
        _list_files(files, wanted, data_dir, as_json=as_json, limit=limit, before=before)
        return
    if follow:
        with suppress(KeyboardInterrupt):
            _follow(data_dir, wanted, as_json=as_json)
        return
    now = clock()

    async def fetch(manage: "Management", after: str | None, size: int) -> "Page[dict[str, Any]]":
        page = await manage.audit.entries(manage.actor, wanted, now, after=after, limit=size, unproven=unproven)
        return page_of(page, lambda entry: entry.to_json())

    print_list(data_dir, fetch, TABLE, as_json=as_json, limit=limit, after=before, rest=OLDER)


def _list_files(
    files: "Sequence[Path]",
    wanted: "AuditQuery",
    data_dir: Path | None,
    *,
    as_json: bool,
    limit: int,
    before: str | None,
) -> None:
    """List entries of exported files, all at once: nothing is printed when one of them is damaged."""
    from authsvc.cli.audit_files import newest_first
    from authsvc.errors import InputRefused
    from authsvc.manage.audit_query import parse_cursor
    from authsvc.tenancy.pages import Page

    def is_cut(path: Path) -> None:
        remark(f"{path} ends in the middle of a line, which is left out; is it still being written?")

    try:
        chosen = _plain_filter(wanted) or run(data_dir, lambda m: m.audit.filter_of(m.actor, wanted, clock()))
        found = islice(newest_first(files, chosen, parse_cursor(before), is_cut), limit)
        shown = tuple(one.to_json() for one in found)
    except InputRefused as error:
        refuse(explained(error))
    older = shown[-1]["cursor"] if len(shown) == limit else None
    print_page(Page(shown, older), TABLE, as_json=as_json, rest=OLDER)


def _plain_filter(wanted: "AuditQuery") -> "AuditFilter | None":
    """Return the filter of a query, if no record is needed for it: files are searched without the installation, too."""
    from authsvc.manage.actor import Actor
    from authsvc.manage.audit_query import NO_SUBJECT, AuditFilter
    from authsvc.manage.audit_subject import plain_subject
    from authsvc.manage.audit_view import AuditView

    asked = ((wanted.actor, "actor"), (wanted.subject, "subject"))
    who, whom = [NO_SUBJECT if text is None else plain_subject(text, field) for text, field in asked]
    if who is None or whom is None:
        return None
    return AuditFilter.of(wanted, clock(), AuditView(Actor.operator()), who, whom)


@audit_group.command("explain")
@click.argument("request_id", required=False)
@click.option("--subject", metavar="SUBJECT", help="Explain the decisions on this subject's requests instead.")
@click.option("--team", metavar="TEAM", help="The team, if SUBJECT is the name of a customer or service account.")
@click.option(
    "--last",
    is_flag=False,
    flag_value=1,
    type=click.IntRange(1, 100),
    metavar="[N]",
    help="Number of newest decisions.",
)
@common_options
def explain(
    request_id: str | None,
    subject: str | None,
    team: str | None,
    last: int | None,
    data_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Explain a decision: its rule, credential and facts at that time. A refusal shows its request id to the client."""
    if (request_id is None) == (subject is None) or (last is not None and subject is None):
        refuse("give a REQUEST_ID, or --subject SUBJECT --last", code=2)
    if subject is not None:
        found = run(data_dir, lambda manage: _decisions(manage, subject, team, last or 1), deadline=None)
        if not found:
            refuse(f"the audit knows no decision on a request of {subject[:80]!r}")
        _explain_all(found, as_json=as_json)
        return
    explanation = run(data_dir, lambda manage: _explanation(manage, (request_id or "").strip()), deadline=None)
    if explanation.kept is not None:
        _explain_all([explanation.kept], as_json=as_json)
        return
    if as_json and explanation.around:
        around = [kept.to_json() for kept in explanation.around]
        print_json({"request": explanation.request_id, "found": False, "around": around})
    elif explanation.around:
        remark("its id was not recorded, because there were too many; it is one of these:")
        _explain_all(list(explanation.around), as_json=False)
    if not explanation.around:
        refuse(_unknown(explanation))


async def _decisions(manage: "Management", subject: str, team: str | None, count: int) -> "list[StoredEntry]":
    """Return the newest decisions, page by page: an empty page may be followed by others."""
    found: list[StoredEntry] = []
    after, now = None, clock()
    while len(found) < count:
        page = await manage.audit.decisions(
            manage.actor, subject, now, team=team, after=after, limit=count - len(found)
        )
        found += page.items
        after = page.next
        if after is None:
            break
    return found


async def _explanation(manage: "Management", request_id: str) -> "Explanation":
    """Return the final explanation: an answer may say where to continue the search."""
    found = await manage.audit.explain(manage.actor, request_id)
    around = found.around
    while found.next is not None:
        found = await manage.audit.explain(manage.actor, request_id, found.next)
        around = (*found.around, *around)
    return evolve(found, around=around[:MAX_AROUND])


@audit_group.command("export")
@click.argument("file", type=FILE_NAME)
@common_options
def export(file: str, data_dir: Path | None, *, as_json: bool) -> None:
    """Copy all entries to FILE, one JSON object a line, oldest first; an existing file is continued."""
    from authsvc.cli.audit_export import AuditExport
    from authsvc.manage.audit_query import AuditQuery

    async def copied(manage: "Management") -> tuple[int, bool]:
        count = 0
        with AuditExport.open(file) as target:
            missing = target.is_behind(await manage.audit.trimmed_until(manage.actor))
            async for page in manage.audit.pages(manage.actor, AuditQuery(), clock(), target.cursor or None):
                target.add(page)
                count += len(page)
        return count, missing

    count, missing = run(data_dir, copied, deadline=None)
    if missing:
        remark("entries after the end of this file were trimmed before it was continued")
    if as_json and file != "-":
        print_json({"file": file, "entries": count, "missing": missing})
    else:
        remark(f"{counted(count, 'entry', 'entries')} written to {file}")


def _follow(data_dir: Path | None, wanted: "AuditQuery", *, as_json: bool) -> None:
    cursor = ""

    async def more(manage: "Management") -> "tuple[list[StoredEntry], str]":
        return await manage.audit.follow(manage.actor, wanted, cursor, clock())

    while True:
        found, cursor = run(data_dir, more)
        for kept in found:
            print_json(kept.to_json(), None) if as_json else _say_entry(kept.facts)
        time.sleep(0 if found else POLL_EVERY)


def _say_entry(facts: "Mapping[str, Any]") -> None:
    say("\n".join(("  ".join(map(printable, _row(facts))), *lines_below(printable(_who_and_what(facts))))))


def _row(facts: "Mapping[str, Any]") -> tuple[str, ...]:
    from authsvc.audit.sentences import when

    return when(facts["at"]), str(facts["event"]), str(facts.get("count", 1)), str(facts["id"])


def _who_and_what(facts: "Mapping[str, Any]") -> str:
    from authsvc.audit.sentences import summary, who

    said = summary(facts)
    return f"{who(facts)}: {said if len(said) <= MAX_SUMMARY else f'{said[:MAX_SUMMARY]}…'}"


TABLE = Table(
    (Column("TIME"), Column("EVENT", cut=True, least=18), Column("TIMES"), Column("REQUEST")),
    _row,
    "no entries match",
    below=_who_and_what,
    below_heading="WHO: WHAT",
)


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
