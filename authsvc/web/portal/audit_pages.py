"""The pages of the audit: lists of entries, and their export as a file."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache, partial
from urllib.parse import urlencode

from attrs import evolve, frozen

from authsvc.audit.change_facts import ChangeFact, change_facts
from authsvc.audit.entry import REQUEST_ID
from authsvc.audit.entry_words import MANY
from authsvc.audit.events import CHANGES, DECISIONS, UNPROVEN
from authsvc.audit.export_formats import EXPORT_FORMATS, ExportFormat, exported
from authsvc.audit.sentences import summary, who
from authsvc.audit.stored_entry import StoredEntry, instant
from authsvc.errors import Conflict, InputRefused, NotFound
from authsvc.manage.audit import Audit
from authsvc.manage.audit_query import AuditQuery
from authsvc.manage.audit_subject import KINDS, changed_subjects
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.outcomes import MANAGEMENT_DENIED
from authsvc.tenancy.subjects import SYSTEM, split_subject
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, Visit, status_of
from authsvc.web.portal.license_states import end_after
from authsvc.web.portal.route import PREFIX, Route
from authsvc.web.stream_sender import StreamAnswer

PAGE = 50
"""Entries of a page."""

MAX_SUMMARY = 240
"""Characters of an entry in the list; its explanation has all of it."""

MAX_FACTS = 12
"""Facts of a change in the list; its explanation has all."""

FIELDS = ("event", "who", "about", "app", "from", "to")

OPERATORS = "keys"
"""Group of events that belong to no team."""

_PAGES = {
    "member": "team",
    "license": "licenses",
    "service-account": "service-accounts",
    "customer": "customers",
}
"""Paths of the pages of subjects, by kind."""

_SAID_OTHERWISE = frozenset({*KINDS, "team", REQUEST_ID})
"""Facts of a change that are not in its summary here, since its subject is shown with name and link."""

_UNNAMED = {SYSTEM: "the operator", MANY: "many"}
"""Names of subjects without a record."""


@frozen
class NamedSubject:
    """A person or record with a name.

    Attributes:
        text: for people.
        path: of its page, or None.
    """

    text: str
    path: str | None = None


@frozen
class ListedEntry:
    """An entry in words.

    Attributes:
        entry: the entry.
        at: when it began, or None.
        who: the actor.
        about: its subject.
        summary: of the decision; empty for a change.
        facts: of a change.
    """

    entry: StoredEntry
    at: datetime | None
    who: NamedSubject
    about: tuple[NamedSubject, ...]
    summary: str
    facts: tuple[ChangeFact, ...] = ()


@frozen(eq=False, repr=False)
class AuditPages:
    """The pages of the audit.

    Attributes:
        teams: lists the apps.
        audit: lists entries.
    """

    teams: Teams
    audit: Audit

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/audit", self.list, Permission.AUDIT_LIST),
            *(
                Route("GET", f"/audit/export.{form.ending}", partial(self.export, form), Permission.AUDIT_EXPORT)
                for form in EXPORT_FORMATS.values()
            ),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show the filtered list, newest first."""
        chosen = _chosen(visit)
        values = {
            "apps": (await self.teams.apps(visit.actor, visit.user.member.team, archived=True)).items,
            "groups": event_groups(),
            "chosen": chosen,
            "most_facts": MAX_FACTS,
            "query": urlencode({name: value for name, value in chosen.items() if value}),
        }
        try:
            after = visit.query.get("after")
            page = await self.audit.entries(visit.actor, _query(chosen), visit.now, after=after, limit=PAGE)
        except (InputRefused, NotFound, Conflict) as error:
            return PageAnswer("audit", values | {"rows": (), "next": None, "error": str(error)}, status_of(error))
        names = await self.audit.names(visit.actor, page.items)
        rows = [_listed(entry, names) for entry in page.items]
        return PageAnswer("audit", values | {"rows": rows, "next": page.next})

    async def export(self, form: ExportFormat, visit: Visit) -> PortalAnswer:
        """Send the whole filtered list, oldest first."""
        pages = self.audit.pages(visit.actor, _query(_chosen(visit)), visit.now)
        return StreamAnswer(exported(pages, form), f"audit-{visit.user.member.team}.{form.ending}", form.media_type)


@lru_cache
def event_groups() -> Mapping[str, tuple[str, ...]]:
    """Return the events that a team can have, grouped by the part before the dot."""
    events = sorted({*CHANGES, *DECISIONS, MANAGEMENT_DENIED} - UNPROVEN)
    groups = dict.fromkeys(event.partition(".")[0] for event in events)
    return {
        group: tuple(event for event in events if event.startswith(f"{group}."))
        for group in groups
        if group != OPERATORS
    }


def _chosen(visit: Visit) -> dict[str, str]:
    return {name: visit.query.get(name, "").strip() for name in FIELDS}


def _query(chosen: Mapping[str, str]) -> AuditQuery:
    """Return the query; ``to`` is its last day."""
    return AuditQuery(
        since=chosen["from"] or None,
        until=end_after(chosen["to"]) or None,
        events=(chosen["event"],) if chosen["event"] else (),
        actor=chosen["who"] or None,
        app=chosen["app"] or None,
        subject=chosen["about"] or None,
    )


def _listed(entry: StoredEntry, names: Mapping[str, str]) -> ListedEntry:
    facts = entry.facts
    actor = _named(str(facts["actor"]), names)
    is_change = facts["event"] in CHANGES
    said = "" if is_change else summary(facts)
    shown = {name: value for name, value in facts.items() if name not in _SAID_OTHERWISE}
    return ListedEntry(
        entry,
        instant(facts["at"]),
        evolve(actor, text=who({**facts, "actor": actor.text})),
        tuple(_named(one, names, with_kind=True) for one in changed_subjects(facts)),
        said if len(said) <= MAX_SUMMARY else f"{said[:MAX_SUMMARY]}…",
        change_facts(shown) if is_change else (),
    )


def _named(subject: str, names: Mapping[str, str], *, with_kind: bool = False) -> NamedSubject:
    """Return a subject by its name, with its page and, if wanted, its kind; one without a record as it is."""
    parts = split_subject(subject)
    called = [names[one] for one in parts if one in names]
    if len(called) < len(parts):
        return NamedSubject(_UNNAMED.get(subject, subject))
    kind, _, record_id = subject.partition(":")
    folder = _PAGES.get(kind) if len(parts) == 1 else None
    text = ", ".join(called)
    if with_kind:
        text = f"license of {text}" if kind == "license" else f"{kind.replace('-', ' ')} {text}"
    return NamedSubject(text, None if folder is None else f"{PREFIX}/{folder}/{record_id}")
