"""Asking the audit: lists page by page, explanations of every id that somebody was shown, copies that go on."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, field

from authsvc.audit.entry import Entry
from authsvc.audit.recorder import AuditRecorder
from authsvc.audit.stored_entry import StoredEntry
from authsvc.cli.audit_export import AuditExport
from authsvc.credentials.subject import LicensesSubject
from authsvc.errors import InputRefused
from authsvc.logs import make_logger
from authsvc.manage import audit as audit_module
from authsvc.manage.audit import Audit
from authsvc.manage.audit_query import AuditQuery
from authsvc.redaction import Secret
from authsvc.store import keys
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.store.transaction import Transaction
from authsvc.tenancy.dates import render_instant
from authsvc.wiring.stores import make_stores
from tests.support.audit_stream import forget
from tests.support.builders import as_license, as_member, make_app, make_license, make_member
from tests.support.decisions import asked, denied, issued, refused, request_id
from tests.support.installation import OPERATOR, Installation

BUDGET = 64 * 1024 * 1024

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=5)
"""Redis gives each entry its own time, so that the past of these tests is a real one."""

LICENSE = as_license(make_license(expires_at=START + timedelta(days=9)))
OTHER = as_license(make_license("d" * 16, app="other"))


@define
class Office:
    """An audit to write to and to ask.

    Attributes:
        connection: to a real Redis.
        now: the present; the stream's own clock is Redis'.
    """

    connection: Connection
    now: datetime = START
    stream: RedisAudit = field(init=False)
    audit: Audit = field(init=False)
    trail: AuditRecorder = field(init=False)
    _batch: int = field(default=0)

    def __attrs_post_init__(self) -> None:
        """Put the trail and the reader together, as wiring/ does."""
        self.stream = RedisAudit(self.connection, BUDGET)
        self.audit = Audit(self.stream, make_stores(Records(self.connection, Codec())))
        self.trail = AuditRecorder(self.stream, make_logger("error"), lambda: self.now, self._id)

    def _id(self) -> str:
        self._batch += 1
        return f"batch-{self._batch}"

    async def listed(self, wanted: AuditQuery, limit: int = 50, *, unproven: bool = False) -> list[str]:
        """Return the ids of the entries that are wanted."""
        page = await self.audit.entries(OPERATOR, wanted, self.now, limit=limit, unproven=unproven)
        return [kept.facts["id"] for kept in page.items]

    async def all_pages(self, wanted: AuditQuery, limit: int, *, unproven: bool = False) -> list[list[StoredEntry]]:
        """Return the pages of the entries that are wanted, from the newest to the last."""
        pages, after = [], None
        while True:
            page = await self.audit.entries(OPERATOR, wanted, START, limit=limit, after=after, unproven=unproven)
            pages.append(list(page.items))
            after = page.next
            if after is None:
                return pages

    async def flush(self) -> None:
        """Write everything that waits."""
        await self.trail.flush(everything=True)


@pytest.fixture
def office(connection: Connection) -> Office:
    """Return an empty audit."""
    return Office(connection)


@pytest.fixture
async def filled(office: Office) -> Office:
    """Return an audit with one decision of each kind, an hour apart."""
    for hours, (name, outcome, scope) in enumerate(
        [
            ("a1", denied(LICENSE), "repository:acme/x:pull"),
            ("a2", denied(OTHER), "repository:other/y:pull"),
            ("a3", refused(), "repository:acme/x:pull"),
            ("a4", None, "repository:acme/x:pull,push"),
        ]
    ):
        request = asked(scope, at=START + timedelta(hours=hours), number=int(name, 16))
        office.trail.record(request, outcome or issued(request, LICENSE))
        await office.flush()
        await asyncio.sleep(0.002)  # Redis tells times apart by the millisecond
    office.now = START + timedelta(hours=4)
    return office


def named(*numbers: int) -> list[str]:
    """Return the request ids of the decisions of :func:`filled`, by their number from 1."""
    return [request_id(START + timedelta(hours=n - 1), 0xA0 + n) for n in numbers]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AuditQuery(), (4, 2, 1)),
        (AuditQuery(events=("token.denied",)), (2, 1)),
        (AuditQuery(events=("token",)), (4, 2, 1)),
        (AuditQuery(events=("license", "token.issued")), (4,)),
        (AuditQuery(actor=LICENSE.id), (4, 1)),
        (AuditQuery(actor=LICENSE.license.id), (4, 1)),
        (AuditQuery(actor="0" * 16), ()),
        (AuditQuery(subject=OTHER.id), (2,)),
        (AuditQuery(app="acme"), (4, 1)),
        (AuditQuery(app="other"), (2,)),
        (AuditQuery(app="acm"), ()),
        (AuditQuery(since="2h"), (4,)),
        (AuditQuery(since="181m", until="119m"), (2,)),
        (AuditQuery(until="90m"), (2, 1)),
        (AuditQuery(since="0m"), ()),
        (AuditQuery(actor=LICENSE.id, events=("token.denied",), app="acme", since="1d"), (1,)),
    ],
)
async def test_lists(filled: Office, wanted: AuditQuery, expected: tuple[int, ...]) -> None:
    """Each filter lets its own entries through and no others, newest first."""
    assert named(*expected) == await filled.listed(wanted)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (AuditQuery(actor="license:c1"), True),
        (AuditQuery(actor="license:c2"), True),
        (AuditQuery(subject="license:c2"), True),
        (AuditQuery(actor="license:c2,c1"), True),
        (AuditQuery(actor="license:c3"), False),
        (AuditQuery(subject="license:c"), False),
        (AuditQuery(actor="license:c1,c3"), False),
        (AuditQuery(actor="member:c1"), False),
        (AuditQuery(app="acme"), True),
        (AuditQuery(app="api"), True),
        (AuditQuery(app="annex"), False),
    ],
)
async def test_each_of_several_licenses_is_found(office: Office, wanted: AuditQuery, expected: bool) -> None:
    """A token that several licenses granted is found by any of them, and not by one that only came along."""
    slugs = ("acme", "api", "annex")
    each = tuple(
        make_license(f"c{number}", app=slug, expires_at=LICENSE.license.expires_at)
        for number, slug in enumerate(slugs, 1)
    )
    request = asked("repository:acme/x:pull", "repository:api/x:pull,push", at=START)
    office.trail.record(request, issued(request, LicensesSubject(each, {slug: make_app(slug) for slug in slugs})))
    await office.flush()

    assert [request.request_id] * expected == await office.listed(wanted)


async def test_instants_bound_a_list(filled: Office) -> None:
    """Between two instants lies what began before the second and ended at the first or later."""
    since, until = (render_instant(START + timedelta(hours=hours)) for hours in (1, 3))

    assert named(2) == await filled.listed(AuditQuery(since=since, until=until))


async def test_what_was_unproven_is_listed_on_demand(filled: Office) -> None:
    """Failures before identity stand in their place in time, and only when asked for."""
    assert named(4, 3, 2, 1) == await filled.listed(AuditQuery(), unproven=True)
    assert named(4, 3) == await filled.listed(AuditQuery(), 2, unproven=True)
    assert named(3) == await filled.listed(AuditQuery(actor="unproven"), unproven=True)


async def test_what_is_only_unproven_is_looked_for_only_there(filled: Office) -> None:
    """Proven decisions, however many, do not divide such a list into pages."""
    for number in range(audit_module.MAX_EXAMINED + 1):
        filled.trail.record(asked(f"repository:acme/x{number}:pull", at=filled.now, number=number), denied(LICENSE))
        if not number % 500:
            await filled.flush()
    await filled.flush()

    page = await filled.audit.entries(OPERATOR, AuditQuery(events=("token.refused",)), filled.now)
    assert (named(3), None) == ([kept.facts["id"] for kept in page.items], page.next)


async def test_no_page_ends_between_two_of_one_cursor(office: Office) -> None:
    """Both streams can have an entry at the same place; whoever turns the page misses neither."""
    for number in (1, 2, 3):
        for key in (keys.AUDIT, keys.AUDIT_UNPROVEN):
            entry = {"at": START.isoformat(), "event": "test.done", "actor": "x", "id": f"{key}-{number}"}
            await office.stream.connection.redis.xadd(key, {"entry": json.dumps(entry)}, id=f"{number}-0")
    pages = await office.all_pages(AuditQuery(), 1, unproven=True)
    found = [kept.facts["id"] for page in pages for kept in page]

    assert 6 == len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("wanted", "after", "limit", "sentence"),
    [
        (AuditQuery(since="yesterday"), "", 50, "since: 'yesterday' is not a date"),
        (AuditQuery(until="99999d"), "", 50, "until: '99999d' is not a span"),
        (AuditQuery(), "x", 50, "'x' is not a cursor of the audit"),
        (AuditQuery(), "", 0, "a page has 1 to 100 items, not 0"),
        (AuditQuery(), "", 101, "a page has 1 to 100 items"),
        (AuditQuery(events=("license.revoked",)), "", 50, "'license.revoked' is not an event .* license.changed"),
        (AuditQuery(events=("tok",)), "", 50, "'tok' is not an event"),
        (AuditQuery(subject=""), "", 50, "subject: write 1 to 200 characters"),
        (AuditQuery(actor="a\nb"), "", 50, "actor: write 1 to 200 characters"),
        (AuditQuery(subject="license"), "", 50, "nothing is named 'license'"),
    ],
)
async def test_bad_questions(office: Office, wanted: AuditQuery, after: str, limit: int, sentence: str) -> None:
    """What cannot be understood is refused in a sentence."""
    with pytest.raises(InputRefused, match=sentence):
        await office.audit.entries(OPERATOR, wanted, START, limit=limit, after=after)


async def test_pages_have_no_gap_and_no_double(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cursors lead through everything, while more is written at the other end, and whatever is filtered."""
    monkeypatch.setattr(audit_module, "STEP", 7)
    for number in range(60):
        who = LICENSE if number % 3 else OTHER
        office.trail.record(asked(f"repository:acme/x{number}:pull", at=START, number=number), denied(who))
    await office.flush()
    found, after = list[StoredEntry](), None
    while len(found) < 40:
        page = await office.audit.entries(OPERATOR, AuditQuery(actor=LICENSE.id), START, limit=9, after=after)
        found += page.items
        assert len(page.items) == min(9, 40 - len(found) + len(page.items))
        assert (page.next is None) <= (len(found) == 40)
        after = page.next
        office.trail.record(asked("repository:acme/later:pull", at=START), denied(LICENSE))
        await office.flush()

    expected = [request_id(START, number) for number in range(60) if number % 3]
    assert expected[::-1] == [kept.facts["id"] for kept in found]


async def test_every_refusal_that_somebody_was_shown_is_explained(office: Office) -> None:
    """Of thousands of refusals and failures, repeats and not, each id leads to the entry that stands for it."""
    shown = {}
    for number in range(1500):
        at = START + timedelta(seconds=number / 3)
        office.now = at
        outcome = denied(LICENSE) if number % 2 else refused(f"no License {number % 20}")
        request = asked(at=at, address=f"198.51.{number % 5}.1")
        shown[request.request_id] = "token.denied" if number % 2 else "token.refused"
        office.trail.record(request, outcome)
        if not number % 10:
            await office.trail.flush()
    await office.flush()

    missing = dict[str, str]()
    for one, event in list(shown.items())[::7]:
        found = await office.audit.explain(OPERATOR, one)
        assert found.made_at is not None
        if found.kept is None:
            missing[one] = event
        else:
            assert event == found.kept.facts["event"]
    assert {} == missing


async def test_an_id_that_was_one_too_many_leads_to_its_moment(office: Office) -> None:
    """When a heap is larger than what is kept of it, an id of its time is answered with that heap."""
    requests = [asked(at=START) for _ in range(3000)]
    for request in requests:
        office.trail.record(request, denied(LICENSE))
    await office.flush()

    first = await office.audit.explain(OPERATOR, requests[0].request_id)
    last = await office.audit.explain(OPERATOR, requests[-1].request_id)
    one = await office.audit.explain(OPERATOR, requests[2000].request_id)
    assert first.kept is not None
    assert last.kept is not None
    assert (None, [LICENSE.id]) == (one.kept, [kept.facts["actor"] for kept in one.around])
    assert 3000 == one.around[0].facts["count"]


async def test_what_is_unknown_says_why(office: Office) -> None:
    """An id that was never told, one from before the audit begins, and one that is none are told apart."""
    change = Transaction(Entry("op", START, "license.changed", "system:authsvc", {"license": "c"}))
    await change.apply(office.stream.connection)
    office.trail.record(asked(at=START), denied(LICENSE))
    await office.flush()
    never = await office.audit.explain(OPERATOR, request_id(START + timedelta(days=3), 7))
    beside = await office.audit.explain(OPERATOR, request_id(START, 7))
    assert (None, (), False) == (beside.kept, beside.around, beside.trimmed)
    assert (None, (), False) == (never.kept, never.around, never.trimmed)
    await forget(office.stream, await office.stream.after("", 2))
    old = await office.audit.explain(OPERATOR, request_id(START, 7))
    none = await office.audit.explain(OPERATOR, "what's this")

    assert (None, True) == (old.kept, old.trimmed)
    assert (None, None) == (none.kept, none.made_at)


async def test_a_change_is_explained_by_its_operation(house: Installation) -> None:
    """The id that a change's log line shows leads to its entry."""
    stream = RedisAudit(house.connection, BUDGET)
    found = await Audit(stream, house.stores).explain(OPERATOR, house.told[0].id)

    assert found.kept is not None
    assert house.told[0].event == found.kept.facts["event"]


async def test_the_last_decisions_of_a_subject(filled: Office) -> None:
    """What was refused inside a 200 is found by its subject, newest first, and changes are no decisions."""
    (last,) = (await filled.audit.decisions(OPERATOR, LICENSE.id, filled.now, limit=1)).items

    assert named(4)[0] == last.facts["id"]
    assert [
        {"scope": "repository:acme/x:pull,push", "action": "push", "reason": "push is not among pull"}
    ] == last.facts["refused"]
    both = await filled.audit.decisions(OPERATOR, LICENSE.id, filled.now)
    assert (named(4, 1), None) == ([kept.facts["id"] for kept in both.items], both.next)
    assert () == (await filled.audit.decisions(OPERATOR, "license:nobody", filled.now)).items


async def test_following(filled: Office) -> None:
    """A follower sees what comes after it began, once, oldest first."""
    nothing, cursor = await filled.audit.follow(OPERATOR, AuditQuery(events=("token",)), "", filled.now)
    request = asked("repository:acme/z:pull", at=filled.now)
    filled.trail.record(request, issued(request, as_member(make_member(), make_app())))
    await filled.flush()
    (come,), cursor = await filled.audit.follow(OPERATOR, AuditQuery(events=("token",)), cursor, filled.now)
    again, _ = await filled.audit.follow(OPERATOR, AuditQuery(events=("token",)), cursor, filled.now)

    assert ([], request.request_id, []) == (nothing, come.facts["id"], again)


async def copy(office: Office, path: Path) -> bool:
    """Copy the audit into a file, as the command does; return whether something is missing."""
    with AuditExport.open(str(path)) as file:
        missing = file.is_behind(await office.audit.trimmed_until(OPERATOR))
        async for page in office.audit.pages(OPERATOR, AuditQuery(), office.now, file.cursor or None):
            file.add(page)
    return missing


def ids(path: Path) -> list[str]:
    """Return the ids of the entries in a copy."""
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


async def test_no_entry_hides_the_others(office: Office, tmp_path: Path) -> None:
    """Lists, explanations and copies go on past entries of megabytes and what is no entry, and show them."""
    redis, scope = office.stream.connection.redis, "repository:acme/x:pull"
    first, last = asked(scope, at=START, number=1), asked(scope, at=START, number=2)
    office.trail.record(first, denied(LICENSE))
    await office.flush()
    refused_ = [{"scope": scope, "action": f"a{n}", "reason": "no" * 50} for n in range(8000)]
    entry = {"at": START.isoformat(), "event": "token.issued", "actor": OTHER.id, "id": "old", "granted": [scope]}
    for text in (json.dumps({**entry, "refused": refused_}), "{", '{"event": 7}', '{"event": "x.y", "count": []}'):
        await redis.xadd(keys.AUDIT, {"entry": text})
    office.trail.record(last, denied(OTHER))
    await office.flush()
    path = tmp_path / "audit.jsonl"
    await copy(office, path)

    unreadable = [""] * 3
    assert [last.request_id, *unreadable, "old", first.request_id] == await office.listed(AuditQuery())
    assert ["old"] == await office.listed(AuditQuery(actor=OTHER.id, events=("token.issued",)))
    assert (await office.audit.explain(OPERATOR, last.request_id)).kept is not None
    assert [first.request_id, "old", *unreadable, last.request_id] == ids(path)


async def test_no_secret_is_in_any_entry(house: Installation, office: Office) -> None:
    """Passwords, tokens and files that were shown, right or wrong, stand nowhere in the store."""
    canary = "c4n4ry-correct-horse-battery"
    await house.members.add("me@acme.test", "acme-team", "owner", (), Secret(canary), house.operation())
    token, secret = await house.tokens.create("laptop", "me@acme.test", None, None, house.operation())
    for presented in (Secret(canary), secret, Secret(f"{canary}-wrong"), Secret(f"{secret.reveal()[:-1]}x")):
        request = asked(client_id=presented.reveal(), user_agent=secret.reveal(), at=START)
        try:
            office.trail.record(request, await house.ask(presented, "me@acme.test"))
        except Exception as error:  # noqa: BLE001  refused or not, it is told
            office.trail.record(request, error)
    await office.flush()

    everything = await house.everything_stored()
    assert token.id in everything
    assert secret.reveal() not in everything
    assert secret.reveal()[10:-1] not in everything
