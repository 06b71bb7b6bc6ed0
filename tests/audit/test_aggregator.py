"""Repeats become one entry: nothing is counted twice or forgotten, and the first of its kind is told at once."""

import gc
import json
import tracemalloc
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from authsvc.audit.aggregator import (
    INTERVAL_OF_COMPLETE,
    LONGEST_INTERVAL,
    MAX_STARTS,
    START_EVERY,
    Aggregator,
)
from authsvc.audit.entry import MAX_ENTRY
from authsvc.audit.pending_entry import PendingEntry
from authsvc.audit.request_ids import has_id, packed, unpacked
from authsvc.audit.token_event import TokenEvent, repeat_key, token_event_of
from authsvc.outcomes import TOKEN_DENIED
from tests.support.builders import NOW, as_license, as_member, make_app, make_license, make_member
from tests.support.decisions import asked, denied, issued, refused, request_id

START = NOW.timestamp()

LICENSES = [as_license(make_license(f"c{number:015d}")) for number in range(3)]


def a_denial(seconds: float = 0, who: int = 0) -> TokenEvent:
    """Return one more refusal of the same license, so many seconds after the beginning."""
    return token_event_of(asked(at=NOW + timedelta(seconds=seconds)), denied(LICENSES[who]))


def a_failure(seconds: float = 0, cause: str = "no such member", address: str = "203.0.113.7") -> TokenEvent:
    """Return one failure before identity."""
    return token_event_of(asked(at=NOW + timedelta(seconds=seconds), address=address), refused(cause))


def a_token(seconds: float = 0, who: int = 0) -> TokenEvent:
    """Return one token that grants what was asked for."""
    request = asked(at=NOW + timedelta(seconds=seconds))
    return token_event_of(request, issued(request, LICENSES[who]))


def read(told: PendingEntry) -> dict[str, Any]:
    """Return an entry's JSON."""
    facts: dict[str, Any] = json.loads(told.text)
    return facts


def run(decisions: list[TokenEvent], every: float = 1.0) -> list[PendingEntry]:
    """Return everything that is told when somebody looks every so many seconds, and at the end for all."""
    aggregator, told = Aggregator(), list[PendingEntry]()
    look = START
    for decision in decisions:
        while look < decision.at.timestamp():
            told += aggregator.take(look)
            look += every
        aggregator.add(decision)
    return told + aggregator.take(look, everything=True)


SERIES = st.lists(
    st.tuples(st.floats(0, 900), st.sampled_from([a_denial, a_token]), st.integers(0, 2)), max_size=60
).map(lambda items: [make(seconds, who) for seconds, make, who in sorted(items, key=lambda item: item[0])])


@given(SERIES)
def test_every_decision_is_told_exactly_once(decisions: list[TokenEvent]) -> None:
    """However decisions come, each is in one entry of its subject and outcome, in order, and refusals by their id."""
    left: dict[tuple[str, str], list[TokenEvent]] = {}
    for decision in decisions:
        left.setdefault((decision.event, decision.actor), []).append(decision)
    for one in run(decisions):
        facts = read(one)
        mine = left[facts["event"], facts["actor"]]
        told, mine[:] = mine[: one.count], mine[one.count :]
        ids = [decision.request_id for decision in told]
        assert (told[0].at.isoformat(), ids[0], one.count) == (facts["at"], facts["id"], facts["count"])
        assert facts.get("last_id", facts["id"]) == ids[-1]
        assert (ids if facts["event"] == TOKEN_DENIED else []) == unpacked(one.ids)

    assert not any(left.values())


@given(st.lists(st.tuples(st.floats(0, 9000), st.integers(0, 2), st.integers(1, 3)), max_size=40))
def test_a_repeat_without_an_event_is_told_as_with_one(tokens: list[tuple[float, int, int]]) -> None:
    """Tokens that are counted by their number alone leave the same entries as events with all of their facts."""
    whole, short = Aggregator(), Aggregator()
    for seconds, who, network in sorted(tokens):
        request = asked(at=NOW + timedelta(seconds=seconds), address=f"203.0.113.{network}")
        token = issued(request, LICENSES[who])
        key, event = repeat_key(request, token), token_event_of(request, token)
        assert key is not None
        whole.add(event)
        if not short.count_repeat(key, request):
            short.add(event)
        assert whole.take(START + seconds) == short.take(START + seconds)

    assert whole.take(START, everything=True) == short.take(START, everything=True)


@given(SERIES)
def test_the_first_of_its_kind_is_told_at_the_next_look(decisions: list[TokenEvent]) -> None:
    """Somebody who looks a moment after the first refusal finds it."""
    aggregator, seen = Aggregator(), set[tuple[str, str]]()
    for decision in decisions:
        aggregator.add(decision)
        told = aggregator.take(decision.at.timestamp())
        kind = (decision.event, decision.actor)
        if kind not in seen:
            assert decision.request_id in {read(one)["id"] for one in told}
            seen.add(kind)


@pytest.mark.parametrize(
    ("make", "longest", "step"), [(a_denial, LONGEST_INTERVAL, 7), (a_token, INTERVAL_OF_COMPLETE, 600)]
)
def test_nothing_waits_longer_than_its_pause(make: Any, longest: float, step: int) -> None:
    """A repeat is told five minutes after at the latest, and that of a token that lacks nothing after a day."""
    aggregator, noted = Aggregator(), list[int]()
    for second in range(0, 2000 * step, step):
        aggregator.add(make(second))
        noted.append(second)
        for one in aggregator.take(START + second):
            assert second - noted[0] <= longest + step
            del noted[: one.count]


def test_ten_thousand_repeats_make_few_entries() -> None:
    """A cluster that asks ten times a second is a dozen entries in its first quarter of an hour."""
    told = run([a_denial(n / 10) for n in range(10_000)])

    assert 10_000 == sum(one.count for one in told)
    assert len(told) <= 12
    assert sum(len(one.text) + len(one.ids) for one in told) < 80_000


def test_pauses_double_up_to_the_longest() -> None:
    """Entries on the same thing come after 0, 2, 4, 8 … seconds, then every five minutes."""
    told = run([a_denial(n / 2) for n in range(2000)])
    began = [read(one)["at"] for one in told]
    gaps = [round((_at(b) - _at(a)).total_seconds()) for a, b in pairwise(began)]

    assert [2, 4, 8, 16, 32, 64, 128, 256, 300] == [round(gap / 2) * 2 for gap in gaps[1:]][:9]


@pytest.mark.parametrize(("every", "first"), [(300, 1), (7200, 2), (50, 1)])
def test_tokens_that_lack_nothing_are_told_after_an_hour_and_then_daily(every: int, first: int) -> None:
    """Whether a license pulls every five minutes or every two hours: two entries on the first day, then one a day."""
    told = run([a_token(second) for second in range(0, 4 * 86_400, every)], every)
    hours = [round((_at(read(one)["at"]) - NOW).total_seconds() / 3600) for one in told]

    assert hours[0] == 0
    assert len(told) <= first + 5
    assert 4 * 86_400 // every == sum(one.count for one in told)


def _at(text: str) -> Any:
    return type(NOW).fromisoformat(text)


def test_silence_starts_over() -> None:
    """After a quiet pause the next one is a first again and is told at once."""
    aggregator = Aggregator()
    for second in (0, 1, 3):
        aggregator.add(a_denial(second))
        aggregator.take(START + second)
    again = a_denial(60)
    aggregator.add(again)

    (told,) = aggregator.take(START + 60)
    assert has_id(told.ids, again.request_id)


def test_ids_are_kept_while_the_entry_has_room_and_the_last_always() -> None:
    """A heap of five thousand refusals keeps the first ids and the last, in an entry of at most 8 KiB."""
    aggregator = Aggregator()
    decisions = [a_denial() for _ in range(5000)]
    for decision in decisions:
        aggregator.add(decision)
    (told,) = aggregator.take(START)
    kept = unpacked(told.ids)

    assert [*(d.request_id for d in decisions[: len(kept) - 1]), decisions[-1].request_id] == kept
    assert (5000, decisions[-1].request_id) == (told.count, read(told)["last_id"])
    assert MAX_ENTRY - 1024 < len(told.text) + len(told.ids) <= MAX_ENTRY


def test_a_heap_names_its_first_addresses() -> None:
    """One license on many machines shows where from, without a list that grows."""
    aggregator = Aggregator()
    for number in range(50):
        request = asked(address=f"198.51.100.{number}")
        aggregator.add(token_event_of(request, denied()))
    (told,) = aggregator.take(START)

    assert [f"198.51.100.{n}" for n in range(5)] == read(told)["addresses"]


def test_failures_before_identity_collapse_by_network() -> None:
    """One /24 is one entry, whatever was asked for; another one is another."""
    near = [a_failure(address=f"203.0.113.{n}") for n in range(1, 100)]
    told = run([*near, a_failure(address="198.51.100.1")])

    assert [1, 99] == sorted(one.count for one in told)
    assert [False, False] == [one.proven for one in told]


def test_a_guesser_can_not_make_entries_by_making_up_causes() -> None:
    """A network has eight causes; the thousand others are one entry that does not pretend to know which."""
    told = run([a_failure(cause=f"no License c{n}") for n in range(1000)])

    assert 9 == len(told)
    assert {"various causes": 992} == {
        read(one)["detail"]: one.count for one in told if one.count > 1
    }  # fmt: skip


def test_an_outage_of_one_kind_is_one_entry_a_network() -> None:
    """The wait that a throttled client is told differs each time; the entries do not multiply."""
    aggregator = Aggregator()
    for seconds in range(100):
        aggregator.add(token_event_of(asked(), refused(f"m1 from 203.0.113.0/24, {seconds % 3}")))

    assert 3 == len(aggregator.take(START))


def test_what_is_one_too_many_is_told_by_app_and_outcome() -> None:
    """With more subjects than fit, the rest is one entry of its app, with examples, and nothing is lost."""
    aggregator = Aggregator(10)
    people = [as_license(make_license(f"d{number:015d}")) for number in range(40)]
    decisions = [token_event_of(asked(), denied(who)) for who in people]
    for decision in decisions:
        aggregator.add(decision)
    apart = aggregator.waiting - 1
    told = aggregator.take(START)
    (many,) = [one for one in told if one.count > 1]
    facts = read(many)

    assert ({"token.denied"}, 40) == ({read(one)["event"] for one in told}, sum(one.count for one in told))
    assert 5 < apart <= 10
    assert ("various", "acme", 40 - apart) == (facts["actor"], facts["app"], facts["count"])
    examples = [(decision.request_id, decision.actor) for decision in decisions[apart : apart + 10]]
    assert examples == [(example["id"], example["actor"]) for example in facts["examples"]]
    assert [decision.request_id for decision in decisions[apart:]] == unpacked(many.ids)
    assert 0 == aggregator.waiting


def test_failures_of_many_networks_leave_room_for_the_proven() -> None:
    """Guessers everywhere fill a quarter of the heaps; a license is told by name meanwhile."""
    aggregator = Aggregator(100)
    for number in range(1000):
        aggregator.add(a_failure(address=f"2001:db8:{number:x}::1"))
    aggregator.add(a_denial())
    told = aggregator.take(START)

    assert 26 + 1 == len(told)
    assert 1001 == sum(one.count for one in told)
    assert [LICENSES[0].id] == [read(one)["actor"] for one in told if one.proven]


def test_apps_beyond_many_share_one_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many apps there are, what is merged is bounded too."""
    monkeypatch.setattr("authsvc.audit.aggregator.MAX_MERGED", 3)
    aggregator = Aggregator(1)
    for number in range(9):
        aggregator.add(token_event_of(asked(), denied(as_license(make_license(f"d{number:015d}", app=f"app{number}")))))

    assert 1 + 3 + 1 == aggregator.waiting
    assert 9 == sum(one.count for one in aggregator.take(START))


def test_a_group_takes_a_kibibyte() -> None:
    """Heaps that wait, with the times at which others were told, take at most 1 KiB each: 16 MiB by default."""
    groups = 1024
    decision = a_token()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    aggregator = Aggregator(groups)
    for second in range(4):
        for number in range(groups + 100):
            at = NOW + timedelta(seconds=second)
            aggregator.add(evolve(decision, request_id=request_id(at), at=at, actor=f"license:{number:016d}"))
        if second == 0:
            aggregator.take(START)
    gc.collect()  # JSON encoders are cycles, which wait for it
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 0.8 * groups < aggregator.waiting < groups + 10
    assert after - before <= groups * 1024


def test_paces_are_forgotten_oldest_first() -> None:
    """Whoever was told longest ago is a first again when too many were told since."""
    aggregator = Aggregator(3)
    people = [as_license(make_license(f"d{number:015d}")) for number in range(4)]
    for who in people:
        aggregator.add(token_event_of(asked(), denied(who)))
        aggregator.take(START)
    for who in (people[0], people[3]):
        aggregator.add(token_event_of(asked(), denied(who)))

    assert [people[0].id] == [read(one)["actor"] for one in aggregator.take(START)]


def test_what_is_due_can_be_taken_in_parts() -> None:
    """Many entries that are due at once come in parts, each once, and the rest stays."""
    aggregator = Aggregator()
    for number in range(25):
        aggregator.add(token_event_of(asked(), denied(as_license(make_license(f"d{number:015d}")))))
    parts = [aggregator.take(START, most=10) for _ in range(4)]

    assert [10, 10, 5, 0] == [len(part) for part in parts]
    assert 25 == len({read(one)["actor"] for part in parts for one in part})


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    """After the clock went back a day, the next decision is told at once."""
    aggregator = Aggregator()
    for second in (86_400, 86_401):
        aggregator.add(a_denial(second))
        aggregator.take(START + 86_400)
    back = a_denial(0)
    aggregator.add(back)

    assert any(has_id(one.ids, back.request_id) for one in aggregator.take(START + 1))


@given(st.lists(st.binary(min_size=8, max_size=8), max_size=20), st.binary(min_size=8, max_size=8))
def test_packed_ids_are_found_and_no_others(ids: list[bytes], other: bytes) -> None:
    """An id is found at its place only, not where two neighbours happen to form it."""
    run_on = b"".join(ids)

    assert [i.hex() for i in ids] == unpacked(run_on)
    assert all(has_id(run_on, i.hex()) for i in ids)
    assert has_id(run_on, other.hex()) is (other in ids)


@pytest.mark.parametrize("text", ["", "zz", "00", "0" * 32, "op-1", "é" * 16])
def test_what_is_no_request_id_packs_to_nothing(text: str) -> None:
    """Only ids of our own making stand among the packed ones."""
    assert (b"", False) == (packed(text), has_id(b"\0" * 16, text))


# --- one subject that asks for something else each time ---------------------------------------------------------------


def flood(aggregator: Aggregator, count: int, *, begin: datetime = NOW, span: float = 60.0) -> list[PendingEntry]:
    """Let one member ask for ``count`` different things, and another one for one now and then; return all entries."""
    taken: list[PendingEntry] = []
    for number in range(count):
        at = begin + timedelta(seconds=number * span / count)
        request = asked(f"repository:acme/x{number}:pull", at=at, number=number)
        aggregator.add(token_event_of(request, issued(request, as_member(make_member(), make_app()))))
        if number % 100 == 0:
            request = asked("repository:acme/own:pull", at=at, number=10**6 + number)
            aggregator.add(token_event_of(request, issued(request, as_license(make_license()))))
            taken += aggregator.take(at.timestamp())
    return taken + aggregator.take(begin.timestamp() + span, everything=True)


def entries_of(taken: list[PendingEntry], actor: str) -> list[dict[str, Any]]:
    """Return what the entries on an actor say."""
    return [facts for entry in taken if (facts := json.loads(entry.text))["actor"].startswith(actor)]


def is_bounded(taken: list[PendingEntry], count: int) -> bool:
    """Whether every request of the flood is counted, in few entries, and the other subject has its own."""
    flooding, other = entries_of(taken, "member:"), entries_of(taken, "license:")
    assert count == sum(facts["count"] for facts in flooding)
    assert count // 100 == sum(facts["count"] for facts in other)
    assert all("granted" in facts for facts in other)
    return len(flooding) <= MAX_STARTS + 60 / START_EVERY + 10


def test_a_subject_that_always_asks_for_something_else_writes_few_entries() -> None:
    """Beyond a number its requests are counted together, with examples, its credential and its team."""
    taken = flood(Aggregator(), 5000)
    assert is_bounded(taken, 5000)
    more = [facts for facts in entries_of(taken, "member:") if "examples" in facts]

    assert {"credential", "count", "examples", "event"} <= more[0].keys()
    assert 10 == max(len(facts["examples"]) for facts in more)
    assert more[0]["examples"][0]["asked"].startswith("repository:acme/x")
    assert {"acme-team"} == {entry.team for entry in taken}


def test_without_the_bound_it_fills_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above rejects an aggregator that lets a subject begin as many groups as it likes."""
    monkeypatch.setattr(Aggregator, "_may_start", lambda *_: True)
    assert not is_bounded(flood(Aggregator(), 5000), 5000)


def test_after_a_pause_a_subject_begins_groups_again() -> None:
    """One every few seconds, and after an hour as many as at first; what is known is begun again for free."""
    aggregator = Aggregator()
    flood(aggregator, 1000)
    quiet = flood(aggregator, 1000, begin=NOW + timedelta(seconds=60 + 10 * START_EVERY))
    assert 1 <= sum("examples" not in facts for facts in entries_of(quiet, "member:")) <= MAX_STARTS + 20
    later = flood(aggregator, MAX_STARTS, begin=NOW + timedelta(seconds=2 * MAX_STARTS * START_EVERY))

    assert MAX_STARTS == sum("examples" not in facts for facts in entries_of(later, "member:"))


def test_combinations_of_licenses_count_as_one_subject() -> None:
    """A holder of eight licenses has 255 names, and no more entries than a holder of one."""
    aggregator = Aggregator()
    taken: list[PendingEntry] = []
    for number in range(2000):
        decision = token_event_of(asked(f"repository:acme/x{number}:pull", number=number), denied())
        ids = sorted({f"c{bit}" for bit in range(8) if number >> bit & 1} | {"c0"})
        aggregator.add(evolve(decision, actor=f"license:{','.join(ids)}"))
    taken += aggregator.take(NOW.timestamp(), everything=True)

    assert sum("examples" not in json.loads(entry.text) for entry in taken) <= MAX_STARTS
    assert 2000 == sum(entry.count for entry in taken)
