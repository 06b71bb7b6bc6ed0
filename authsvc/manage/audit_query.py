"""The filter of the audit: parses the given conditions, and compares entries with them."""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from attrs import evolve, frozen

from authsvc.audit.events import EVENTS, GROUPS, UNPROVEN, is_among
from authsvc.audit.selection import EntrySelection
from authsvc.audit.stored_entry import UNREADABLE, StoredEntry, instant
from authsvc.errors import InputRefused
from authsvc.manage.audit_subject import AuditSubject
from authsvc.manage.audit_view import AuditView, apps_of
from authsvc.outcomes import MANAGEMENT_DENIED, PULL_FAILED, TOKEN_DENIED
from authsvc.tenancy.dates import parse_instant, parse_span

CLOCK_SLACK = timedelta(minutes=5)
"""By how much the clocks of Redis and of a worker may differ."""

LATEST_WRITE = timedelta(days=2)
"""How long after its first event an entry may be written: a day while repeats are counted, and a day without Redis."""

MAX_NAMES = 50
"""Most apps whose slugs are searched for in the text of an entry."""

_CURSOR = re.compile(r"[0-9]{1,15}-[0-9]{1,10}", re.ASCII)
_SPAN = re.compile(r"[0-9]+[mhd]", re.ASCII)

_REFUSALS = (TOKEN_DENIED, PULL_FAILED, MANAGEMENT_DENIED)
"""Events that refuse everything that was requested."""

LACKS = ("refused", "dropped", "partial")
"""Facts of an issued token that allows less than was requested; entries of fully granted tokens do not have them."""

NO_SUBJECT = AuditSubject()


@frozen
class AuditQuery:
    """The conditions for entries; None for any.

    Attributes:
        since: the earliest time; an instant, or a span back from now such as ``24h``.
        until: the end, exclusive; in the same form.
        events: whole names, or the part before the dot.
        actor: of the entry.
        app: slug of an app that it names.
        subject: that it is about: the actor, or the changed record.
    """

    since: str | None = None
    until: str | None = None
    events: tuple[str, ...] = ()
    actor: str | None = None
    app: str | None = None
    subject: str | None = None


@frozen
class AuditFilter:
    """A parsed query, for one actor.

    Attributes:
        view: what the actor sees.
        since: or None.
        until: or None.
        events: as in the query.
        app: as in the query.
        actor: empty for any.
        subject: empty for any.
        refusals: whether only refusals are selected.
    """

    view: AuditView
    since: datetime | None = None
    until: datetime | None = None
    events: tuple[str, ...] = ()
    app: str | None = None
    actor: AuditSubject = NO_SUBJECT
    subject: AuditSubject = NO_SUBJECT
    refusals: bool = False

    @classmethod
    def of(
        cls, wanted: AuditQuery, now: datetime, view: AuditView, actor: AuditSubject, subject: AuditSubject
    ) -> "AuditFilter":
        """Return the filter.

        Raises:
            InputRefused: a time or an event is not acceptable.
        """
        since, until = _time(wanted.since, now, "since"), _time(wanted.until, now, "until")
        for event in wanted.events:
            if event not in EVENTS | GROUPS:
                raise InputRefused(
                    f"{event[:60]!r} is not an event of the audit; known are {', '.join(sorted(GROUPS))}, each for all "
                    f"that begin so, and {', '.join(sorted(EVENTS))}",
                    code="event_invalid",
                    field="events",
                )
        return cls(view, since, until, wanted.events, wanted.app, actor, subject)

    @property
    def wants_unproven(self) -> bool:
        """Whether the query names an event that occurs before identity is proven."""
        return not UNPROVEN.isdisjoint(self.events)

    @property
    def wants_unproven_only(self) -> bool:
        """Whether the query names only such events."""
        return bool(self.events) and UNPROVEN.issuperset(self.events)

    @property
    def oldest(self) -> str:
        """The oldest id that can match, or nothing: an entry is written after its event."""
        return "" if self.since is None else cursor_at(self.since - CLOCK_SLACK)

    @property
    def newest(self) -> str:
        """The newest id that can match, or nothing."""
        return "" if self.until is None else cursor_at(self.until + LATEST_WRITE)

    @property
    def selection(self) -> EntrySelection:
        """The selection that the store makes by texts of an entry."""
        return evolve(selection_for(self.view, clauses=tuple(self._clauses())), begun_by=self.until)

    def _clauses(self) -> Iterator[tuple[str, ...]]:
        if self.events and not is_among(UNREADABLE, self.events):
            yield tuple(event if "." in event else f"{event}." for event in self.events)
        if self.refusals:
            yield (*_REFUSALS, *(f'"{name}":' for name in LACKS))
        if self.app is not None:
            yield (quoted(self.app),)
        for wanted in (self.actor, self.subject):
            if texts := tuple(map(quoted, wanted.texts)):
                yield texts
        limits = self.view.apps if self.view.actor.apps is not None else frozenset()
        if 0 < len(limits) <= MAX_NAMES:
            yield tuple(sorted(limits))

    def chosen(self, entries: Iterable[StoredEntry]) -> list[StoredEntry]:
        """Return the matching entries that the actor sees, in the form that the actor sees."""
        return list(filter(self._is_wanted, map(self.view.as_seen, filter(self.view.shows, entries))))

    def _is_wanted(self, entry: StoredEntry) -> bool:
        facts = entry.facts
        began, ended = instant(facts["at"]), instant(facts.get("last_at", facts["at"]))
        return (
            (self.since is None or (ended is not None and ended >= self.since))
            and (self.until is None or (began is not None and began < self.until))
            and (not self.events or is_among(str(facts["event"]), self.events))
            and (not self.refusals or facts["event"] in _REFUSALS or any(facts.get(name) for name in LACKS))
            and (not self.actor or self.actor.is_actor_of(entry))
            and (self.app is None or self.app in apps_of(entry))
            and (not self.subject or self.subject.is_named_in(entry))
        )


def selection_for(
    view: AuditView,
    *,
    clauses: tuple[tuple[str, ...], ...] = (),
    request_id: str | None = None,
    repeated: bool = False,
) -> EntrySelection:
    """Return a selection of the entries that the actor of ``view`` can see."""
    team = view.actor.team
    names = () if team is None or len(view.apps) > MAX_NAMES else (team, *sorted(view.apps))
    return EntrySelection(team, names, clauses, request_id, repeated)


def parse_cursor(text: str | None) -> str:
    """Return the cursor, or an empty text for None.

    Raises:
        InputRefused: it is not one.
    """
    if text is not None and not _CURSOR.fullmatch(text):
        raise InputRefused(
            f"{text[:40]!r} is not a cursor of the audit; take that of an entry, or of the page before",
            code="cursor_invalid",
            field="after",
        )
    return text or ""


def cursor_at(at: datetime) -> str:
    """Return the first cursor of an instant."""
    return f"{max(0, int(at.astimezone(UTC).timestamp() * 1000))}-0"


def quoted(text: str) -> str:
    """Return a text as in JSON, without the quotation marks."""
    return json.dumps(text)[1:-1]


def _time(text: str | None, now: datetime, what: str) -> datetime | None:
    if text is None:
        return None
    if _SPAN.fullmatch(text):
        return now - parse_span(text, what)
    try:
        return parse_instant(text, what)
    except InputRefused as error:
        raise InputRefused(f"{error}, or 24h for a span back from now", code=error.code, field=error.field) from error
