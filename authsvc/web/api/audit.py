"""The audit in the management API: ``/audit``, explanations, and exports as a stream."""

from datetime import UTC, datetime
from typing import Annotated, Any

from attrs import frozen
from msgspec import Meta

from authsvc.audit.entry import ON_BEHALF_OF
from authsvc.audit.export_formats import EXPORT_FORMATS, JSON_LINES, OWN_MEMBERS, exported
from authsvc.audit.sentences import sentences
from authsvc.audit.stored_entry import StoredEntry, instant
from authsvc.manage.actor import Actor
from authsvc.manage.audit_query import AuditQuery
from authsvc.manage.audit_remedies import remedies_for
from authsvc.manage.audit_subject import MAX_TEXT
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.spreadsheet_csv import MEDIA_TYPE as CSV
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import (
    Call,
    Endpoint,
    ListAnswer,
    NoBody,
    ObjectAnswer,
)
from authsvc.web.api.parameters import PAGE_ERRORS, Cursor, PageQuery
from authsvc.web.api.schemas import Instant
from authsvc.web.stream_sender import StreamAnswer

SubjectName = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]


@frozen
class ListAudit(PageQuery):
    """Selects entries of the audit.

    Attributes:
        event: an event such as `token.denied`, or `token` for all events that begin with it; may be repeated.
        actor: who did it, in the forms of `subject`.
        subject: who did it or who was affected: `license:ID`, `member:ID`, `service-account:ID`, `customer:ID`, an
            id, an e-mail address, a reference or a name.
        app: slug of an app that the entry names.
        since: only entries from then on; a time, a date, or a span before now such as `24h`.
        until: only entries before then, in the same forms.
    """

    event: tuple[str, ...] = ()
    actor: SubjectName | None = None
    subject: SubjectName | None = None
    app: str | None = None
    since: str | None = None
    until: str | None = None


@frozen(kw_only=True)
class SubjectQuery(PageQuery):
    """Selects whose decisions are explained.

    Attributes:
        subject: `license:ID`, `member:ID`, `service-account:ID`, `customer:ID`, an id, an e-mail address, a reference
            or a name.
    """

    subject: SubjectName


@frozen
class ExplanationQuery:
    """Where to continue the search.

    Attributes:
        after: the `next` of the previous answer, to continue the search; left out the first time.
    """

    after: Cursor | None = None


@frozen
class AuditPerson:
    """The member for whom the operator acted.

    Attributes:
        member: id.
        email: in lower case.
    """

    member: str
    email: str


@frozen
class AuditEntryView:
    """A decision or a change, or several equal decisions.

    Attributes:
        cursor: position in the audit.
        at: when it happened first.
        event: such as `token.denied` or `license.changed`.
        actor: who did it: `license:ID`, `member:ID`, `service-account:ID` or `system:authsvc`; ids of several licenses
            are separated by commas, and `various` stands for many subjects.
        on_behalf_of: the member for whom the operator did it, or null.
        id: request id, or operation id of a change.
        count: how many decisions the entry represents.
        last_at: time of the last of them, or null.
        last_id: request id of the last of them, or null.
        request_ids: those of all of them, up to a limit.
        facts: everything else, by name; docs/audit.md lists the names.
    """

    cursor: str
    at: Instant | None
    event: str
    actor: str
    on_behalf_of: AuditPerson | None
    id: str
    count: int
    last_at: Instant | None
    last_id: str | None
    request_ids: tuple[str, ...]
    facts: dict[str, Any]


@frozen
class EntryExplanation:
    """An entry in words.

    Attributes:
        sentences: what the entry says, most important first, and what restores access.
        entry: the entry.
    """

    sentences: tuple[str, ...]
    entry: AuditEntryView


@frozen
class ExplanationView:
    """What is known about a request or a change.

    Attributes:
        request_id: as in the query.
        found: its entry, or null.
        around: if none was found, entries of that time with so many requests that they do not list every id.
        made_at: when the request was made, according to its id; null for an operation id.
        trimmed: whether entries of that time are no longer in the audit.
        next: the `after` with which to continue the search; null when everything was searched.
    """

    request_id: str
    found: EntryExplanation | None
    around: tuple[EntryExplanation, ...]
    made_at: Instant | None
    trimmed: bool
    next: str | None


def entry_view(entry: StoredEntry) -> AuditEntryView:
    """Return an entry as the API shows it."""
    said = entry.to_json()
    person, count = said.get(ON_BEHALF_OF), said.get("count", 1)
    return AuditEntryView(
        cursor=entry.cursor,
        at=instant(said["at"]),
        event=said["event"],
        actor=said["actor"],
        on_behalf_of=AuditPerson(person["member"], person["email"]) if isinstance(person, dict) else None,
        id=said["id"],
        count=count,
        last_at=instant(said.get("last_at")),
        last_id=said.get("last_id"),
        request_ids=tuple(said.get("requests", ())),
        facts={name: value for name, value in said.items() if name not in OWN_MEMBERS},
    )


def explained_view(entry: StoredEntry, reader: Actor) -> EntryExplanation:
    """Return an entry in words for a reader."""
    return EntryExplanation(tuple(sentences(entry.facts, remedies_for(reader))), entry_view(entry))


async def _list(use_cases: UseCases, call: Call[ListAudit, NoBody]) -> ListAnswer | StreamAnswer:
    asked = call.query
    wanted = AuditQuery(asked.since, asked.until, asked.event, asked.actor, asked.app, asked.subject)
    form = EXPORT_FORMATS.get(call.media_type)
    if form is not None:
        pages = use_cases.audit.pages(call.actor, wanted, call.now, asked.after)
        return StreamAnswer(exported(pages, form), f"audit-{call.team}.{form.ending}", call.media_type)
    page = await use_cases.audit.entries(call.actor, wanted, call.now, after=asked.after, limit=asked.limit)
    return ListAnswer(tuple(map(entry_view, page.items)), page.next)


async def _explain_request(use_cases: UseCases, call: Call[ExplanationQuery, NoBody]) -> ObjectAnswer:
    found = await use_cases.audit.explain(call.actor, call.path["request_id"], call.query.after)
    around = tuple(explained_view(entry, call.actor) for entry in found.around)
    kept = None if found.kept is None else explained_view(found.kept, call.actor)
    return ObjectAnswer(ExplanationView(found.request_id, kept, around, found.made_at, found.trimmed, found.next))


async def _explain_subject(use_cases: UseCases, call: Call[SubjectQuery, NoBody]) -> ListAnswer:
    asked = call.query
    page = await use_cases.audit.decisions(call.actor, asked.subject, call.now, after=asked.after, limit=asked.limit)
    return ListAnswer(tuple(explained_view(entry, call.actor) for entry in page.items), page.next)


EXAMPLE = AuditEntryView(
    cursor="1795824000123-0",
    at=datetime(2026, 11, 27, 9, 30, tzinfo=UTC),
    event="token.denied",
    actor="license:5f3k9q2mzt7w8x1a",
    on_behalf_of=None,
    id="6b099ebdc94a68bd",
    count=1,
    last_at=None,
    last_id=None,
    request_ids=("6b099ebdc94a68bd",),
    facts={
        "asked": ["repository:myapp/worker:pull"],
        "kind": "Denied",
        "reason": "license 5f3k9q2mzt7w8x1a of Acme Corp expired on 2026-11-01; contact sales@vendor.com",
        "credential": {"kind": "license", "id": "5f3k9q2mzt7w8x1a", "state": "expired", "app": "myapp"},
    },
)

EXPLAINED = EntryExplanation(
    (
        "2026-11-27 09:30:00 UTC: No token: the account is known, but may not be used.",
        "The client was told: license 5f3k9q2mzt7w8x1a of Acme Corp expired on 2026-11-01; contact sales@vendor.com",
        "To restore access: extend the license 5f3k9q2mzt7w8x1a",
    ),
    EXAMPLE,
)

SUBJECT = ApiErrors(
    refused=("subject_invalid", "email_invalid"), not_found=("subject_not_found",), conflict=("license_ambiguous",)
)
"""Errors of a subject."""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/audit", "listAudit", "List what was decided and changed, newest first"),
        *(Permission.AUDIT_LIST, _list, AuditEntryView),
        is_list=True,
        streams=(CSV, JSON_LINES),
        errors=PAGE_ERRORS | SUBJECT | ApiErrors(refused=("event_invalid", "date_invalid", "span_invalid")),
        answer_example=EXAMPLE,
        description=(
            "Entries of the team. With `Accept: text/csv` or `application/jsonl` the answer is an export of all "
            "entries that match, oldest first; `limit` is ignored, and `after` is the cursor of the last entry that "
            "the client already has."
        ),
    ),
    Endpoint(
        *("GET", "/audit/explain", "explainSubject", "Explain the decisions on a subject's requests, newest first"),
        *(Permission.AUDIT_DECISIONS, _explain_subject, EntryExplanation),
        is_list=True,
        errors=PAGE_ERRORS | SUBJECT,
        answer_example=EXPLAINED,
    ),
    Endpoint(
        *("GET", "/audit/explain/{request_id}", "explainRequest", "Explain what became of a request"),
        *(Permission.AUDIT_EXPLAIN, _explain_request, ExplanationView),
        errors=ApiErrors(refused=("cursor_invalid",)),
        answer_example=ExplanationView("6b099ebdc94a68bd", EXPLAINED, (), EXAMPLE.at, trimmed=False, next=None),
        description=(
            "By the request id that a refusal shows to a client. If the request is not recorded yet, or belongs to "
            "another team, `found` is null. Owners also find changes, by the id of the request or the operation."
        ),
    ),
)
