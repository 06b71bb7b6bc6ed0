"""The search for the audit entry of a request id: the parts of the search, and entries that may include the request."""

from datetime import datetime, timedelta

from attrs import frozen

from authsvc.audit.request_ids import ID_BYTES
from authsvc.audit.selection import EntrySelection
from authsvc.audit.stored_entry import StoredEntry, instant
from authsvc.errors import InputRefused
from authsvc.manage.audit_query import CLOCK_SLACK, LACKS, LATEST_WRITE, cursor_at, parse_cursor, selection_for
from authsvc.manage.audit_view import AuditView
from authsvc.outcomes import TOKEN_ISSUED

MAX_AROUND = 5
"""Most shown entries that may include a request."""


@frozen
class Search:
    """A part of the search for a request id: from ``start`` to ``stop``, oldest first."""

    selection: EntrySelection
    start: str
    stop: str
    proven: bool


def searches(view: AuditView, request_id: str, made_at: datetime) -> list[Search]:
    """Return the searches for an id: first for an entry with it, then for those that do not have all of their ids."""
    start, stop = cursor_at(made_at - CLOCK_SLACK), cursor_at(made_at + LATEST_WRITE)
    exact, around = selection_for(view, request_id=request_id), selection_for(view, repeated=True)
    streams = (True, False) if view.actor.is_operator else (True,)
    return [Search(selection, start, stop, proven) for selection in (exact, around) for proven in streams]


def may_stand_for(entry: StoredEntry, made_at: datetime) -> bool:
    """Whether an entry counts refusals of that time, but is too large to contain all their ids."""
    facts = entry.facts
    began, ended = instant(facts["at"]), instant(facts.get("last_at"))
    return (
        began is not None
        and began - timedelta(seconds=1) <= made_at <= (ended or began)
        and facts.get("count", 0) > len(entry.ids) // ID_BYTES
        and _lacks_something(entry)
    )


def newest(entries: list[StoredEntry]) -> tuple[StoredEntry, ...]:
    """Return the last of some entries, which are in order, the newest first."""
    return tuple(entries[::-1][:MAX_AROUND])


def _lacks_something(entry: StoredEntry) -> bool:
    """Whether anything was refused."""
    facts = entry.facts
    return facts["event"] != TOKEN_ISSUED or any(facts.get(name) for name in LACKS)


def read_place(text: str | None) -> tuple[int, str]:
    """Return the search and the cursor of ``next`` of an explanation.

    Raises:
        InputRefused: it does not come from an explanation.
    """
    if text is None:
        return 0, ""
    number, colon, cursor = text.partition(":")
    if not colon or number not in {"0", "1", "2", "3"}:
        raise InputRefused("after: take `next` of the answer before", code="cursor_invalid", field="after")
    return int(number), parse_cursor(cursor)
