"""Reads the audit: lists, explanations and copies, in pages that each take limited work.

A page examines at most :data:`MAX_EXAMINED` entries, so it may be short or empty even if it has a cursor.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from attrs import evolve, frozen

from authsvc.audit.events import DECISIONS
from authsvc.audit.selection import EVERYTHING, EntrySelection, SelectedEntries
from authsvc.audit.stored_entry import StoredEntry, position_of
from authsvc.manage.actor import Actor
from authsvc.manage.audit_query import (
    NO_SUBJECT,
    AuditFilter,
    AuditQuery,
    parse_cursor,
    quoted,
    selection_for,
)
from authsvc.manage.audit_search import may_stand_for, newest, read_place, searches
from authsvc.manage.audit_subject import changed_subjects, find_subject
from authsvc.manage.audit_view import AuditView
from authsvc.manage.authorization import permitted
from authsvc.manage.lookup import find_app
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.manage.subject_names import names_of
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size

STEP = 1_000
"""Most entries that one command examines: Redis is busy with them for two to four milliseconds."""

MAX_EXAMINED = 2_000
"""Most entries that one page examines (design #18)."""

LEAST = 50
"""Entries that one command asks for at least, even when fewer are missing on the page."""

MAX_ID = 64
"""Characters of an operation id that are searched for."""

_REQUEST_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)


class AuditReader(Protocol):
    """The two streams."""

    async def read(
        self,
        selection: EntrySelection,
        cursor: str,
        *,
        forward: bool,
        limit: int,
        examine: int,
        stop: str = "",
        proven: bool = True,
    ) -> SelectedEntries: ...
    async def trimmed_until(self) -> str: ...


@frozen
class Explanation:
    """The explanation of a request id.

    Attributes:
        request_id: as requested.
        kept: the entry about it, or None.
        around: if there is none, entries about repeats that may include it, newest first.
        made_at: when the id was made, which the id contains; None for one that is not a request's.
        trimmed: whether entries of that time have been trimmed.
        next: where to continue the search; None when everything was searched, or the entry was found.
    """

    request_id: str
    kept: StoredEntry | None
    around: tuple[StoredEntry, ...] = ()
    made_at: datetime | None = None
    trimmed: bool = False
    next: str | None = None


@frozen
class RefusedRequest:
    """A refused request, or several that are counted together.

    Attributes:
        entry: of the audit.
        names: of the refused accounts, by subject, if they have records.
    """

    entry: StoredEntry
    names: Mapping[str, str]


@frozen(eq=False, repr=False)
class Audit:
    """Lists, explains and copies entries.

    Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stream: the entries.
        stores: the records that entries are about.
    """

    stream: AuditReader
    stores: Stores

    @permitted(Permission.AUDIT_LIST)
    async def entries(
        self,
        actor: Actor,
        wanted: AuditQuery,
        now: datetime,
        *,
        after: str | None = None,
        limit: int = MAX_PAGE,
        unproven: bool = False,
    ) -> Page[StoredEntry]:
        """Return one page of the selected entries, newest first.

        Args:
            actor: the caller.
            wanted: the conditions.
            now: the time from which spans are counted back.
            after: the cursor of the previous page, or of any entry.
            limit: how many at most, up to 100.
            unproven: whether to include events before identity was proven, which only the operator sees.

        Raises:
            InputRefused: a time, an event, a subject, a cursor or the limit is not acceptable.
            NotFound: there is no actor or subject with the given name.
        """
        filter_ = await self._filter(actor, wanted, now)
        with_unproven = actor.is_operator and (unproven or filter_.wants_unproven)
        return await self._page(filter_, after, page_size(limit), unproven=with_unproven)

    @permitted(Permission.AUDIT_SEARCH)
    async def filter_of(self, actor: Actor, wanted: AuditQuery, now: datetime) -> AuditFilter:
        """Return the filter for entries that are read elsewhere, such as in exported files.

        Raises:
            InputRefused: a time, an event or a subject is not acceptable.
            NotFound: no actor or subject has the given name.
        """
        return await self._filter(actor, wanted, now)

    @permitted(Permission.AUDIT_NAMES)
    async def names(self, actor: Actor, entries: Iterable[StoredEntry]) -> dict[str, str]:
        """Return the names of the actors and of the changed records, by subject.

        They are the current names, and only those of the team.
        """
        subjects = (one for entry in entries for one in (str(entry.facts["actor"]), *changed_subjects(entry.facts)))
        return await names_of(self.stores, subjects, actor.team)

    @permitted(Permission.AUDIT_DECISIONS)
    async def decisions(
        self,
        actor: Actor,
        subject: str,
        now: datetime,
        *,
        team: str | None = None,
        after: str | None = None,
        limit: int = MAX_PAGE,
    ) -> Page[StoredEntry]:
        """Return one page of the decisions on a subject's requests, newest first.

        Args:
            actor: the caller.
            subject: as for :func:`~authsvc.manage.audit_subject.find_subject`.
            now: the current time.
            team: slug, for the names and references of an actor without a team.
            after: the cursor of the previous page.
            limit: how many at most, up to 100.

        Raises:
            InputRefused: the subject, the cursor or the limit is not acceptable.
            NotFound: there is no such subject for the actor.
            Conflict: licenses of several apps have this reference.
        """
        view = await AuditView.of(actor, self.stores.apps)
        found = await find_subject(self.stores, actor, subject, now, "subject", team)
        filter_ = AuditFilter(view, events=DECISIONS, subject=found)
        return await self._page(filter_, after, page_size(limit), unproven=False)

    @permitted(Permission.AUDIT_REFUSALS)
    async def refusals(
        self,
        actor: Actor,
        now: datetime,
        *,
        app: str | None = None,
        since: str | None = None,
        after: str | None = None,
        limit: int = MAX_PAGE,
    ) -> Page[RefusedRequest]:
        """Return one page of the refused requests of known accounts, newest first.

        Args:
            actor: the caller; one who may not list the audit sees only decisions on tokens and pulls.
            now: the time from which spans are counted back.
            app: slug of an app that the requests named; None for any.
            since: the earliest time; an instant, or a span back from now such as ``7d``.
            after: the cursor of the previous page.
            limit: how many at most, up to 100; a page may be short or empty even if there is a next one.

        Raises:
            InputRefused: a time, the cursor or the limit is not acceptable.
            NotFound: there is no such app for the actor.
        """
        slug = None if app is None else (await find_app(self.stores, actor, app)).record.slug
        filter_ = await self._filter(actor, AuditQuery(since=since, app=slug), now)
        page = await self._page(evolve(filter_, refusals=True), after, page_size(limit), unproven=False)
        names = await names_of(self.stores, (str(entry.facts["actor"]) for entry in page.items))
        return Page(tuple(RefusedRequest(entry, names) for entry in page.items), page.next)

    @permitted(Permission.AUDIT_FOLLOW)
    async def follow(
        self, actor: Actor, wanted: AuditQuery, after: str, now: datetime
    ) -> tuple[list[StoredEntry], str]:
        """Return the selected entries after the cursor ``after``, oldest first, and the next cursor.

        With an empty cursor only the cursor of the end is returned.

        Raises:
            InputRefused: as for :meth:`entries`.
            NotFound: as for :meth:`entries`.
        """
        filter_ = await self._filter(actor, wanted, now)
        if not after:
            newest = await self.stream.read(EVERYTHING, "", forward=False, limit=1, examine=1)
            return [], newest.cursor or "0-0"
        found = await self.stream.read(filter_.selection, parse_cursor(after), forward=True, limit=STEP, examine=STEP)
        return filter_.chosen(found.entries), found.cursor or after

    @permitted(Permission.AUDIT_EXPORT)
    async def pages(
        self, actor: Actor, wanted: AuditQuery, now: datetime, after: str | None = None
    ) -> AsyncIterator[list[StoredEntry]]:
        """Yield all selected entries after a cursor, oldest first; a page may be empty.

        Args:
            actor: the caller.
            wanted: the conditions.
            now: the time from which spans are counted back.
            after: the cursor, or None for the beginning.

        Raises:
            InputRefused: as for :meth:`entries`.
            NotFound: as for :meth:`entries`.
        """
        filter_ = await self._filter(actor, wanted, now)
        cursor, at_end = max(parse_cursor(after), filter_.oldest, key=_order), False
        while not at_end:
            found = await self.stream.read(
                filter_.selection, cursor, forward=True, limit=STEP, examine=STEP, stop=filter_.newest
            )
            cursor, at_end = found.cursor or cursor, found.at_end
            yield filter_.chosen(found.entries)

    @permitted(Permission.AUDIT_TRIMMED)
    async def trimmed_until(self, actor: Actor) -> str:
        """Return the cursor of the newest entry that was trimmed; ``0-0`` when none was."""
        return await self.stream.trimmed_until()

    @permitted(Permission.AUDIT_EXPLAIN)
    async def explain(self, actor: Actor, request_id: str, after: str | None = None) -> Explanation:
        """Return the explanation of a request, by the id in its answer, or of a change's operation.

        Args:
            actor: the caller.
            request_id: of the request or the operation.
            after: ``next`` of the previous answer, to continue the search.

        Raises:
            InputRefused: ``after`` does not come from such an answer.
        """
        view = await AuditView.of(actor, self.stores.apps)
        first, cursor = read_place(after)
        if not _REQUEST_ID.fullmatch(request_id):
            return await self._explain_change(view, request_id, cursor)
        made_at = datetime.fromtimestamp(int(request_id[:8], 16), UTC)
        left, around = MAX_EXAMINED, list[StoredEntry]()
        for number, search in enumerate(searches(view, request_id, made_at)[first:], start=first):
            at, cursor, at_end = cursor or search.start, "", False
            while not at_end and left > 0:
                found = await self.stream.read(
                    search.selection, at, forward=True, limit=LEAST, examine=min(left, STEP), stop=search.stop,
                    proven=search.proven,
                )  # fmt: skip
                at, at_end, left = found.cursor or at, found.at_end, left - found.examined
                for entry in map(view.as_seen, filter(view.shows, found.entries)):
                    if search.selection.repeated:
                        around += [entry] if may_stand_for(entry, made_at) else []
                    elif entry.is_about(request_id):
                        return Explanation(request_id, entry, made_at=made_at)
            if not at_end:
                return Explanation(request_id, None, newest(around), made_at, next=f"{number}:{at}")
        until, _ = position_of(await self.stream.trimmed_until())
        return Explanation(request_id, None, newest(around), made_at, until >= int(made_at.timestamp() * 1000))

    async def _explain_change(self, view: AuditView, operation_id: str, cursor: str) -> Explanation:
        """Search for a change by the id of its operation, beginning with the newest one."""
        selection, left = selection_for(view, clauses=((quoted(operation_id[:MAX_ID]),),)), MAX_EXAMINED
        while left > 0:
            found = await self.stream.read(selection, cursor, forward=False, limit=LEAST, examine=min(left, STEP))
            cursor, left = found.cursor or cursor, left - found.examined
            for entry in map(view.as_seen, filter(view.shows, found.entries)):
                if entry.is_about(operation_id):
                    return Explanation(operation_id, entry)
            if found.at_end:
                return Explanation(operation_id, None)
        return Explanation(operation_id, None, next=f"0:{cursor}")

    async def _filter(self, actor: Actor, wanted: AuditQuery, now: datetime) -> AuditFilter:
        view = await AuditView.of(actor, self.stores.apps)
        asked = ((wanted.actor, "actor"), (wanted.subject, "subject"))
        who, whom = [
            NO_SUBJECT if text is None else await find_subject(self.stores, actor, text, now, field)
            for text, field in asked
        ]
        return AuditFilter.of(wanted, now, view, who, whom)

    async def _page(self, filter_: AuditFilter, after: str | None, limit: int, *, unproven: bool) -> Page[StoredEntry]:
        cursor = parse_cursor(after)
        if filter_.newest and (not cursor or position_of(filter_.newest) < position_of(cursor)):
            cursor = filter_.newest
        both = (False,) if filter_.wants_unproven_only else (True, False)
        streams = both if unproven else (True,)
        parts = [
            await self._backwards(filter_, cursor, limit, MAX_EXAMINED // len(streams), proven=proven)
            for proven in streams
        ]
        # Where one stream was not read to its end, the page ends: older entries are on the next page.
        frontier = max((stop for _, stop in parts if stop), key=position_of, default=None)
        found = [entry for part, _ in parts for entry in part]
        found = [entry for entry in found if frontier is None or entry.position >= position_of(frontier)]
        found.sort(key=lambda entry: entry.position, reverse=True)
        if len(found) > limit:
            # Both streams can have an entry with the same cursor; a page must not end between them.
            end = limit + (found[limit].position == found[limit - 1].position)
            found, frontier = found[:end], found[limit - 1].cursor
        return Page(tuple(found), frontier)

    async def _backwards(
        self, filter_: AuditFilter, cursor: str, limit: int, most: int, *, proven: bool
    ) -> tuple[list[StoredEntry], str | None]:
        """Return the next selected entries, and where the reading stopped; None at the end of the stream."""
        found, left = list[StoredEntry](), most
        while left > 0:
            reading = await self.stream.read(
                filter_.selection, cursor, forward=False, limit=max(limit - len(found), LEAST),
                examine=min(left, STEP), stop=filter_.oldest, proven=proven,
            )  # fmt: skip
            found += filter_.chosen(reading.entries)
            cursor, left = reading.cursor or cursor, left - reading.examined
            if len(found) > limit:
                return found[: limit + 1], found[limit - 1].cursor
            if reading.at_end:
                return found, None
            if len(found) == limit:
                break
        return found, cursor


def _order(cursor: str) -> tuple[int, int]:
    return position_of(cursor) if cursor else (0, 0)
