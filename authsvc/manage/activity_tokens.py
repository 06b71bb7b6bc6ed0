"""Activity from decisions on tokens: an issued token that allows a pull shows that a client wanted to pull, even if the
registry refused the pull or its events were lost.
"""  # noqa: D205

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from attrs import evolve, frozen

from authsvc.activity.activity_filter import ActivityFilter
from authsvc.activity.history import ActivityRow
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import ActivityKind
from authsvc.audit.entry_words import MANY
from authsvc.audit.selection import EntrySelection
from authsvc.audit.stored_entry import StoredEntry, instant, position_of
from authsvc.decision import PULL
from authsvc.manage.audit import MAX_EXAMINED, STEP, AuditReader
from authsvc.manage.audit_query import CLOCK_SLACK, LATEST_WRITE, MAX_NAMES, cursor_at, quoted
from authsvc.outcomes import TOKEN_ISSUED
from authsvc.policy import locate
from authsvc.tenancy.pages import Page, read_cursor, write_cursor
from authsvc.tenancy.subjects import LICENSE, split_subject

_JOIN = "\n"


@frozen
class _TokenFilter:
    """The filter of the rows; apps and licenses are None for all."""

    wanted: ActivityFilter
    apps: frozenset[str] | None
    licenses: frozenset[str] | None

    @property
    def selection(self) -> EntrySelection:
        """The selection that the store makes by texts of an entry."""
        apps = {self.wanted.app} if self.wanted.app is not None else self.apps
        licenses = None if self.licenses is None else sorted(self.licenses)
        image = self.wanted.image
        clauses: list[tuple[str, ...]] = [(TOKEN_ISSUED,)]
        clauses += [] if image is None else [(quoted(image.repository),)]
        clauses += [tuple(sorted(names)) for names in (apps, licenses) if names and len(names) <= MAX_NAMES]
        return EntrySelection(clauses=clauses)

    def shown(self, entry: StoredEntry) -> list[ActivityRow]:
        return [row for row in rows_of(entry, self.wanted) if self._shows(row)]

    def _shows(self, row: ActivityRow) -> bool:
        image = self.wanted.image
        return (
            (self.apps is None or row.app in self.apps)
            and (self.wanted.app is None or row.app == self.wanted.app)
            and (self.licenses is None or (row.subject or "").removeprefix(LICENSE) in self.licenses)
            and (image is None or (row.image is not None and row.image.repository == image.repository))
        )


async def token_rows(
    stream: AuditReader,
    wanted: ActivityFilter,
    apps: frozenset[str] | None,
    licenses: frozenset[str] | None,
    after: str | None,
    limit: int,
) -> Page[ActivityRow]:
    """Return one page, newest first; each audit entry results in one row for each repository and account.

    Args:
        stream: the audit.
        wanted: the conditions; only the repository of an image is used, because a token is for all of its tags and
            digests.
        apps: slugs of the apps that are shown; None for all.
        licenses: ids of the only licenses that are shown; None for all accounts.
        after: cursor of the previous page, or None.
        limit: most rows.

    Raises:
        InputRefused: ``after`` is not a cursor of this list.
        StoreUnavailable: the store does not answer.
    """
    query, filter_ = f"tokens {wanted.query}", _TokenFilter(wanted, apps, licenses)
    place, _, skipped = (read_cursor(query, after) or "").partition(_JOIN)
    # If a page ended within an entry, that entry is read again and continued.
    cursor, passed = _successor(place) if skipped else place, int(skipped or 0)
    newest, oldest = cursor_at(wanted.until + LATEST_WRITE), cursor_at(wanted.since - CLOCK_SLACK)
    if not cursor or position_of(newest) < position_of(cursor):
        cursor = newest
    rows: list[ActivityRow] = []
    left = MAX_EXAMINED
    while left > 0:
        found = await stream.read(
            filter_.selection, cursor, forward=False, limit=limit + 1, examine=min(left, STEP), stop=oldest
        )
        for entry in found.entries:
            for number, row in enumerate(filter_.shown(entry)):
                if entry.cursor == place and number < passed:
                    continue
                if len(rows) == limit:
                    return Page(tuple(rows), write_cursor(query, f"{entry.cursor}{_JOIN}{number}"))
                rows.append(row)
        cursor, left = found.cursor or cursor, left - found.examined
        if found.at_end:
            return Page(tuple(rows))
    return Page(tuple(rows), write_cursor(query, f"{cursor}{_JOIN}"))


def rows_of(entry: StoredEntry, wanted: ActivityFilter) -> Iterator[ActivityRow]:
    """Yield the rows of an audit entry, if it is about an issued token and within the requested time."""
    facts = entry.facts
    first = instant(facts["at"])
    if facts["event"] != TOKEN_ISSUED or first is None:
        return
    start = first - timedelta(seconds=first.timestamp() % wanted.resolution.seconds)
    last = instant(facts.get("last_at")) or first
    if not wanted.overlaps(start):
        return
    row = ActivityRow(start, "", None, ActivityKind.PULL, None, int(facts.get("count", 1)), None, first, last)
    if facts["actor"] == MANY:
        if facts.get("app"):
            yield evolve(row, app=str(facts["app"]))
        return
    for name in sorted(_pulled(facts)):
        location = locate(name)
        if location is None:
            continue
        for subject in _subjects(facts, location.app):
            yield evolve(row, app=location.app, image=ImageName(name), subject=subject)


def _pulled(facts: Mapping[str, Any]) -> set[str]:
    """Return the names of the repositories that the token allows to pull from."""
    found = set()
    for text in facts.get("granted", ()):
        kind, _, rest = str(text).partition(":")
        name, _, actions = rest.rpartition(":")
        if kind == "repository" and PULL in actions.split(","):
            found.add(name)
    return found


def _subjects(facts: Mapping[str, Any], app: str) -> list[str]:
    """Return the subjects that the token counts for in an app: only licenses of the app."""
    credential = facts.get("credential") or {}
    listed = [one for one in (credential, *credential.get("licenses", ())) if isinstance(one, dict)]
    app_of = {f"{LICENSE}{one.get('id')}": one.get("app") for one in listed}
    subjects = split_subject(str(facts["actor"]))
    return [one for one in subjects if not one.startswith(LICENSE) or app_of.get(one) == app]


def _successor(cursor: str) -> str:
    milliseconds, _, number = cursor.partition("-")
    return f"{milliseconds}-{int(number) + 1}"
