"""Bloom filters of blocks: they rule out most texts that no entry has, and never one that a filter could find."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from random import Random

import pytest

from authsvc.audit.aggregator import Aggregator
from authsvc.audit.block_filter import FILTER_BYTES, MAX_ENTRIES, MAX_TERMS, BlockFilter, bits_of, conditions
from authsvc.audit.entry import Entry
from authsvc.audit.pending_entry import PendingEntry
from authsvc.audit.selection import EntrySelection
from authsvc.audit.token_event import AuditedRequest, token_event_of
from authsvc.issuance import Issued
from authsvc.manage.actor import Actor
from authsvc.manage.audit_query import AuditFilter, quoted
from authsvc.manage.audit_subject import AuditSubject
from authsvc.manage.audit_view import AuditView
from tests.support.builders import NOW, as_license, as_member, make_license, make_member
from tests.support.decisions import asked, denied, issued, request_id
from tests.support.installation import OPERATOR

EMAIL = "kim+audit@acme.test"
CUSTOMER = 'Müller / "Söhne", Co: 3 \\ Ltd'
AT = NOW.replace(microsecond=123)


def decisions(*outcomes: object, numbers: range = range(1)) -> PendingEntry:
    """Return the entry about some equal decisions."""
    aggregator = Aggregator()
    for number in numbers:
        request = asked("repository:acme/worker:pull,push", "repository:proxy/other/q/y:pull", at=AT, number=number)
        for outcome in outcomes:
            aggregator.add(token_event_of(request, issued(request, outcome) if outcome else denied()))  # type: ignore[arg-type]
    (entry,) = aggregator.take(AT.timestamp(), everything=True)
    return entry


def entry_about(
    requests: Iterable[AuditedRequest], outcome: Callable[[AuditedRequest], Issued | Exception]
) -> PendingEntry:
    """Return the one entry about some requests with equal outcomes."""
    aggregator = Aggregator()
    for request in requests:
        aggregator.add(token_event_of(request, outcome(request)))
    (entry,) = aggregator.take(NOW.timestamp(), everything=True)
    return entry


def change(**facts: object) -> PendingEntry:
    """Return the entry about a change."""
    return PendingEntry(Entry("op-17.a", AT, "license.changed", "system:authsvc", facts).text())


def filter_of(*entries: PendingEntry) -> BlockFilter:
    """Return the filter of a block."""
    found = BlockFilter()
    for entry in entries:
        found.add(entry.text.encode(), entry.ids, whole=True)
    return found


def may_have(filter_: BlockFilter, selection: EntrySelection) -> bool:
    """Whether a block with this filter is read for a selection."""
    bits = int.from_bytes(filter_.bits(), "little")
    return all(any(all(bits >> bit & 1 for bit in text) for text in condition) for condition in conditions(selection))


def queries() -> Iterator[tuple[PendingEntry, AuditFilter]]:
    """Yield entries, each with a filter that selects it."""
    view = AuditView(OPERATOR)
    license_ = as_license(make_license("c" * 16, customer=CUSTOMER))
    member = as_member(make_member(email=EMAIL))
    for subject in (license_, member):
        entry = decisions(subject)
        yield entry, AuditFilter(view, events=("token.issued",))
        yield entry, AuditFilter(view, events=("member", "token"))
        yield entry, AuditFilter(view, actor=AuditSubject((subject.id,)))
        yield entry, AuditFilter(view, subject=AuditSubject((f"license:{'f' * 16}", subject.id)))
        yield entry, AuditFilter(view, app="acme")
        yield entry, AuditFilter(view, app="other")
        yield entry, AuditFilter(view, refusals=True)
    yield decisions(member), AuditFilter(view, subject=AuditSubject((), EMAIL))
    yield decisions(license_), AuditFilter(view, subject=AuditSubject(("customer:x",), None, CUSTOMER, "acme-team"))
    person = {"member": "a" * 16, "email": EMAIL, "team": "acme"}
    yield change(on_behalf_of=person), AuditFilter(view, actor=AuditSubject(("member:" + "a" * 16,)))
    yield change(on_behalf_of=person), AuditFilter(view, actor=AuditSubject((), EMAIL))
    yield change(license="b" * 16), AuditFilter(view, subject=AuditSubject(("license:" + "b" * 16,)))
    yield change(), AuditFilter(view, actor=AuditSubject(("system:authsvc",)))
    limited = AuditView(Actor.of_member(make_member(apps=("acme",))), frozenset({"acme"}))
    yield decisions(license_), AuditFilter(limited)


@pytest.mark.parametrize("number", range(len(list(queries()))))
def test_what_a_filter_selects_is_not_ruled_out(number: int) -> None:
    """Events and their groups, subjects, addresses, customers of any name, and apps in scopes."""
    entry, wanted = list(queries())[number]

    assert conditions(wanted.selection)
    assert may_have(filter_of(entry), wanted.selection)
    assert not may_have(filter_of(PendingEntry('{"event":"x.y","actor":"z"}')), wanted.selection)


def test_each_request_id_is_not_ruled_out() -> None:
    """Those of an entry's bytes, the first, the last, that of the API's request, and the operation of a change."""
    repeats = filter_of(decisions(None, numbers=range(40)))
    complete = filter_of(decisions(as_license(make_license()), numbers=range(40)))
    changed = filter_of(change(request_id="00000000000000ab"))

    assert all(may_have(repeats, EntrySelection(request_id=request_id(AT, number))) for number in range(40))
    assert not may_have(repeats, EntrySelection(request_id=request_id(AT, 40)))
    assert not may_have(repeats, EntrySelection(request_id=request_id(AT + timedelta(seconds=1), 7)))
    assert [True, True] == [may_have(complete, EntrySelection(request_id=request_id(AT, n))) for n in (0, 39)]
    assert may_have(changed, EntrySelection(request_id="00000000000000ab"))
    assert may_have(changed, EntrySelection(clauses=((quoted("op-17.a"),),)))
    assert not may_have(changed, EntrySelection(clauses=((quoted("op-17.b"),),)))


def test_an_entry_without_all_of_its_ids_is_not_ruled_out() -> None:
    """Refusals of which more were counted than ids are there; neither single ones nor fully granted tokens."""
    wanted = EntrySelection(repeated=True)

    assert may_have(filter_of(decisions(None, numbers=range(3000))), wanted)
    assert not may_have(filter_of(decisions(None, numbers=range(3))), wanted)
    assert not may_have(filter_of(decisions(None)), wanted)
    complete = entry_about([asked(number=number) for number in range(9)], issued)
    assert '"count":9' in complete.text
    assert not may_have(filter_of(complete), wanted)
    in_part = entry_about([asked("repository:acme/x:pull,push", number=number) for number in range(3000)], issued)
    assert may_have(filter_of(in_part), wanted)


@pytest.mark.parametrize("software", ["token.issued", '"event":"token.issued"'])
def test_a_client_cannot_pass_for_a_fully_granted_one(software: str) -> None:
    """Whatever it says its name is."""
    entry = entry_about([asked(user_agent=software, number=number) for number in range(3000)], lambda _: denied())
    assert may_have(filter_of(entry), EntrySelection(repeated=True))


def test_few_blocks_are_read_for_nothing() -> None:
    """Of terms that a full block does not have, one in some hundred seems to be there."""
    random = Random(1)
    block = BlockFilter()
    while not block.is_full:
        block.add(json.dumps({"actor": f"license:{random.randbytes(8).hex()}"}).encode(), b"", whole=True)
    bits = int.from_bytes(block.bits(), "little")
    found = sum(all(bits >> bit & 1 for bit in bits_of(random.randbytes(8).hex())) for _ in range(20_000))

    assert block.entries == MAX_ENTRIES or block.entries >= MAX_TERMS / 2
    assert found < 20_000 / 100
    full = BlockFilter()
    while not full.is_full:
        full.add(
            random.randbytes(8).hex().join(('{"a":"', '","b":"', '","c":"')).encode(), random.randbytes(16), whole=True
        )
    bits = int.from_bytes(full.bits(), "little")
    assert sum(all(bits >> bit & 1 for bit in bits_of(random.randbytes(8).hex())) for _ in range(20_000)) < 20_000 / 150


@pytest.mark.parametrize("text", ["x" * 64, NOW.isoformat(), "::", ""])
def test_some_texts_rule_nothing_out(text: str) -> None:
    """A text that may be the beginning of a longer one, one like an instant, and one without any term."""
    assert () == conditions(EntrySelection(clauses=((text, "y"),)))


def test_an_entry_that_is_not_read_whole_may_have_anything() -> None:
    """So may one with so many terms that its filter would be full."""
    cut, long_ = BlockFilter(), BlockFilter()
    cut.add(b'{"event":"a.b","x":"', b"", whole=False)
    long_.add(json.dumps([f"t{number}" for number in range(3000)]).encode(), b"", whole=True)

    assert cut.is_full
    assert b"\xff" * FILTER_BYTES == cut.bits() == long_.bits()
