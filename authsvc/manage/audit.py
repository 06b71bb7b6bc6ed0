"""Reading the audit: lists, explanations and copies."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

from attrs import frozen

from authsvc.audit.aggregator import ID_BYTES
from authsvc.audit.entry import ON_BEHALF_OF
from authsvc.audit.stored_entry import StoredEntry, instant
from authsvc.errors import InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.audit_view import DECISIONS, AuditView, apps_of
from authsvc.manage.authorization import permitted
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import AppStore
from authsvc.outcomes import TOKEN_ISSUED
from authsvc.tenancy.dates import parse_instant, parse_span
from authsvc.tenancy.subjects import split_subject

PAGE = 500
"""Entries that are read at once: Redis is busy with them for about a millisecond."""

MAX_LIMIT = 10_000
CLOCK_SLACK = timedelta(minutes=5)
"""By how much the clocks of Redis and of a worker may differ."""

_CURSOR = re.compile(r"[0-9]{1,15}-[0-9]{1,10}", re.ASCII)
_REQUEST_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_SPAN = re.compile(r"[0-9]+[mhd]", re.ASCII)


class AuditReader(Protocol):
    """The two streams."""

    async def after(self, cursor: str, count: int, *, proven: bool = True) -> list[StoredEntry]: ...
    async def before(self, cursor: str, count: int, *, proven: bool = True) -> list[StoredEntry]: ...
    async def trimmed_until(self) -> str: ...


@frozen
class AuditQuery:
    """Which entries are wanted; None is any.

    Attributes:
        since: not before; an instant, or a span back from now such as ``24h``.
        until: before this; likewise.
        events: whole names, or what stands in front of the dot.
        actor: who did it.
        app: slug of an app that it names.
        subject: whom it is about: the actor, or the member, license or service account that was changed.
    """

    since: str | None = None
    until: str | None = None
    events: tuple[str, ...] = ()
    actor: str | None = None
    app: str | None = None
    subject: str | None = None


@frozen
class Explanation:
    """What is known of a request id.

    Attributes:
        request_id: as it was asked for.
        kept: the entry that stands for it, or None.
        around: when there is none, entries whose repeats it may be one of, newest first.
        made_at: when the id was made, as it says itself; None for one that is not a request's.
        trimmed: whether entries of that time have been trimmed.
    """

    request_id: str
    kept: StoredEntry | None
    around: tuple[StoredEntry, ...] = ()
    made_at: datetime | None = None
    trimmed: bool = False


@frozen
class Audit:
    """Lists, explains and copies entries.

    Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stream: the entries.
        apps: tells which apps are the team's.
    """

    stream: AuditReader
    apps: AppStore

    @permitted(Permission.AUDIT_LIST)
    async def entries(
        self,
        actor: Actor,
        wanted: AuditQuery,
        now: datetime,
        *,
        limit: int = 50,
        before: str = "",
        unproven: bool = False,
    ) -> list[StoredEntry]:
        """Return the newest entries that are wanted, newest first.

        Args:
            actor: who looks.
            wanted: which.
            now: spans are counted back from here.
            limit: how many at most.
            before: the cursor of the last entry of the page before.
            unproven: also what happened before identity was proven.

        Raises:
            InputRefused: a time, a cursor or the limit is not acceptable.
        """
        view = await AuditView.of(actor, self.apps)
        return await self._entries(view, wanted, now, limit=limit, before=before, unproven=unproven)

    async def _entries(
        self, view: AuditView, wanted: AuditQuery, now: datetime, *, limit: int, before: str, unproven: bool
    ) -> list[StoredEntry]:
        if before and not _CURSOR.fullmatch(before):
            raise InputRefused(
                f"before: {before[:40]!r} is not a cursor; take one of the entries' own",
                code="cursor_invalid",
                field="before",
            )
        if not 1 <= limit <= MAX_LIMIT:
            raise InputRefused(f"limit: give a number from 1 to {MAX_LIMIT}", code="limit_invalid", field="limit")
        filter_ = _Filter.of(wanted, now, view)
        found = await self._filtered(filter_, before, limit, proven=True)
        if unproven:
            found += await self._filtered(filter_, before, limit, proven=False)
            found.sort(key=lambda kept: kept.position, reverse=True)
            # The two streams can use one cursor for an entry each; a page does not end between them.
            if len(found) > limit and found[limit].position == found[limit - 1].position:
                limit += 1
        return found[:limit]

    @permitted(Permission.AUDIT_FOLLOW)
    async def follow(
        self, actor: Actor, wanted: AuditQuery, after: str, now: datetime
    ) -> tuple[list[StoredEntry], str]:
        """Return the entries behind the cursor ``after`` that are wanted, oldest first, and the next cursor.

        With an empty cursor nothing is returned but where the end is.

        Raises:
            InputRefused: a time is not acceptable.
        """
        filter_ = _Filter.of(wanted, now, await AuditView.of(actor, self.apps))
        if not after:
            newest = await self.stream.before("", 1)
            return [], newest[0].cursor if newest else "0-0"
        rows = await self.stream.after(after, PAGE)
        return [kept for kept in rows if filter_.lets_through(kept)], rows[-1].cursor if rows else after

    @permitted(Permission.AUDIT_EXPLAIN)
    async def explain(self, actor: Actor, request_id: str) -> Explanation:
        """Return what is known of a request that was shown to somebody, or of a change's operation."""
        view = await AuditView.of(actor, self.apps)
        if not _REQUEST_ID.fullmatch(request_id):
            return Explanation(request_id, await self._newest(request_id, view))
        made_at = datetime.fromtimestamp(int(request_id[:8], 16), UTC)
        start = f"{max(0, int((made_at - CLOCK_SLACK).timestamp() * 1000))}-0"
        for proven in (True, False):
            async for page in self._pages(start, proven=proven):
                kept = next((kept for kept in page if kept.is_about(request_id) and view.shows(kept)), None)
                if kept is not None:
                    return Explanation(request_id, kept, made_at=made_at)
        around = [kept for proven in (True, False) for kept in await self._around(made_at, view, proven=proven)]
        milliseconds = int((await self.stream.trimmed_until()).partition("-")[0])
        trimmed = milliseconds >= int(made_at.timestamp() * 1000)
        return Explanation(request_id, None, tuple(around), made_at, trimmed)

    @permitted(Permission.AUDIT_DECISIONS)
    async def decisions(self, actor: Actor, subject: str, count: int, now: datetime) -> list[StoredEntry]:
        """Return the newest decisions on a subject's requests, newest first."""
        wanted = AuditQuery(actor=subject, events=DECISIONS)
        view = await AuditView.of(actor, self.apps)
        return await self._entries(view, wanted, now, limit=count, before="", unproven=False)

    @permitted(Permission.AUDIT_EXPORT)
    async def pages(self, actor: Actor, after: str, *, proven: bool = True) -> AsyncIterator[list[StoredEntry]]:
        """Yield all entries behind the cursor ``after``, oldest first; a page may be empty."""
        view = await AuditView.of(actor, self.apps)
        async for page in self._pages(after, proven=proven):
            yield [kept for kept in page if view.shows(kept)]

    async def _pages(self, after: str, *, proven: bool) -> AsyncIterator[list[StoredEntry]]:
        while page := await self.stream.after(after, PAGE, proven=proven):
            after = page[-1].cursor
            yield page

    @permitted(Permission.AUDIT_TRIMMED)
    async def trimmed_until(self, actor: Actor) -> str:
        """Return the cursor of the newest entry that was trimmed; ``0-0`` when none was."""
        return await self.stream.trimmed_until()

    async def _filtered(self, filter_: "_Filter", before: str, limit: int, *, proven: bool) -> list[StoredEntry]:
        found: list[StoredEntry] = []
        while len(found) < limit:
            page = await self.stream.before(before, PAGE, proven=proven)
            found += [kept for kept in page if filter_.lets_through(kept)]
            if not page or page[-1].position < filter_.first_place:
                break
            before = page[-1].cursor
        return found[:limit]

    async def _newest(self, request_id: str, view: AuditView) -> StoredEntry | None:
        before = ""
        while page := await self.stream.before(before, PAGE):
            kept = next((kept for kept in page if kept.is_about(request_id) and view.shows(kept)), None)
            if kept is not None:
                return kept
            before = page[-1].cursor
        return None

    async def _around(self, made_at: datetime, view: AuditView, *, proven: bool) -> list[StoredEntry]:
        """Return refusals that were heaped up at the time and are so many that not every id was kept."""
        found = []
        start = f"{max(0, int((made_at - CLOCK_SLACK).timestamp() * 1000))}-0"
        async for page in self._pages(start, proven=proven):
            for kept in page:
                if kept.text.endswith(b'"count":1}'):  # most are single; reading JSON costs more than looking
                    continue
                began, ended = instant(kept.facts["at"]), instant(kept.facts.get("last_at"))
                if (
                    began is not None
                    and began - timedelta(seconds=1) <= made_at <= (ended or began)
                    and kept.facts.get("count", 0) > len(kept.ids) // ID_BYTES
                    and _lacks_something(kept)
                    and view.shows(kept)
                ):
                    found.append(kept)
        return found[::-1][:5]


@frozen
class _Filter:
    wanted: AuditQuery
    since: datetime | None
    until: datetime | None
    view: AuditView

    @classmethod
    def of(cls, wanted: AuditQuery, now: datetime, view: AuditView) -> "_Filter":
        return cls(wanted, _time(wanted.since, now, "since"), _time(wanted.until, now, "until"), view)

    @property
    def first_place(self) -> tuple[int, int]:
        """Nothing in front of this can be wanted: an entry is written after what it tells of."""
        return (0, 0) if self.since is None else (int((self.since - CLOCK_SLACK).timestamp() * 1000), 0)

    def lets_through(self, kept: StoredEntry) -> bool:
        wanted = self.wanted
        # Looking for a text costs a tenth of reading JSON, and most entries are not wanted.
        for subject in (wanted.actor, wanted.subject):
            if subject is not None and any(
                one.encode() not in kept.text for one in subject.rpartition(":")[2].split(",")
            ):
                return False
        if wanted.app is not None and wanted.app.encode() not in kept.text:
            return False
        began, ended = instant(kept.facts["at"]), instant(kept.facts.get("last_at", kept.facts["at"]))
        return (
            (self.since is None or (ended is not None and ended >= self.since))
            and (self.until is None or (began is not None and began < self.until))
            and (not wanted.events or _is_among(str(kept.facts["event"]), wanted.events))
            and (wanted.actor is None or any(_names(one, wanted.actor) for one in _actors(kept)))
            and (wanted.app is None or wanted.app in apps_of(kept))
            and (wanted.subject is None or any(_names(one, wanted.subject) for one in _subjects(kept)))
            and self.view.shows(kept)
        )


def _lacks_something(kept: StoredEntry) -> bool:
    """Whether anybody was refused anything."""
    facts = kept.facts
    return facts["event"] != TOKEN_ISSUED or any(facts.get(name) for name in ("refused", "dropped", "partial"))


def _names(subject: str, wanted: str) -> bool:
    """Whether ``subject`` is ``wanted``, or names it among several licenses."""
    return set(split_subject(wanted)) <= set(split_subject(subject))


def _is_among(event: str, events: tuple[str, ...]) -> bool:
    return event in events or event.partition(".")[0] in events


def _actors(kept: StoredEntry) -> set[str]:
    """Return who did it: the actor, and the person on whose behalf the operator did it."""
    person = kept.facts.get(ON_BEHALF_OF)
    behalf = {f"member:{person['member']}"} if isinstance(person, dict) and "member" in person else set()
    return {str(kept.facts["actor"]), *behalf}


def _subjects(kept: StoredEntry) -> set[str]:
    """Return whom an entry is about, as subjects."""
    facts = kept.facts
    named = {"member": "member", "license": "license", "service_account": "service-account"}
    examples = (str(example.get("actor")) for example in facts.get("examples", ()))
    return {*_actors(kept), *examples, *(f"{kind}:{facts[name]}" for name, kind in named.items() if name in facts)}


def _time(text: str | None, now: datetime, what: str) -> datetime | None:
    if text is None:
        return None
    if _SPAN.fullmatch(text):
        return now - parse_span(text, what)
    try:
        return parse_instant(text, what)
    except InputRefused as error:
        raise InputRefused(f"{error}, or 24h for a span back from now", code=error.code, field=error.field) from error
