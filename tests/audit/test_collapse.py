"""Repeats become one entry: nothing is counted twice or forgotten, and the first of its kind is told at once."""

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.audit import collapse
from authsvc.audit.collapse import LONGEST_PAUSE, PAUSE_OF_COMPLETE, Collapser, Told, has_id, packed, unpacked
from authsvc.audit.decision import Decision, decision_on
from tests.support.builders import NOW, as_license, make_license
from tests.support.decisions import asked, denied, issued, refused

START = NOW.timestamp()

LICENSES = [as_license(make_license(f"c{number:015d}")) for number in range(3)]


def a_denial(seconds: float = 0, who: int = 0) -> Decision:
    """Return one more refusal of the same license, so many seconds after the beginning."""
    return decision_on(asked(at=NOW + timedelta(seconds=seconds)), denied(LICENSES[who]))


def a_failure(seconds: float = 0, cause: str = "no such member", address: str = "203.0.113.7") -> Decision:
    """Return one failure before identity."""
    return decision_on(asked(at=NOW + timedelta(seconds=seconds), address=address), refused(cause))


def a_token(seconds: float = 0, who: int = 0) -> Decision:
    """Return one token that grants what was asked for."""
    request = asked(at=NOW + timedelta(seconds=seconds))
    return decision_on(request, issued(request, LICENSES[who]))


def read(told: Told) -> dict[str, Any]:
    """Return an entry's JSON."""
    facts: dict[str, Any] = json.loads(told.text)
    return facts


def run(decisions: list[Decision], every: float = 1.0) -> list[Told]:
    """Return everything that is told when somebody looks every so many seconds, and at the end for all."""
    collapser, told = Collapser(), list[Told]()
    look = START
    for decision in decisions:
        while look < decision.at.timestamp():
            told += collapser.take(look)
            look += every
        assert collapser.note(decision)
    return told + collapser.take(look, everything=True)


SERIES = st.lists(
    st.tuples(st.floats(0, 900), st.sampled_from([a_denial, a_token]), st.integers(0, 2)), max_size=60
).map(lambda items: [make(seconds, who) for seconds, make, who in sorted(items, key=lambda item: item[0])])


@given(SERIES)
def test_every_decision_is_told_exactly_once(decisions: list[Decision]) -> None:
    """However decisions come, counts and request ids add up, for each subject and outcome."""
    told = run(decisions)

    assert len(decisions) == sum(one.count for one in told)
    assert sorted(d.request_id for d in decisions) == sorted(i for one in told for i in unpacked(one.ids))
    for one in told:
        facts = read(one)
        mine = [d for d in decisions if has_id(one.ids, d.request_id)]
        assert {(facts["event"], facts["actor"])} == {(d.event, d.actor) for d in mine}
        assert (facts["at"], facts["id"]) == (mine[0].at.isoformat(), mine[0].request_id)
        assert facts["count"] == len(mine)
        assert facts.get("last_id", facts["id"]) == mine[-1].request_id


@given(SERIES)
def test_the_first_of_its_kind_is_told_at_the_next_look(decisions: list[Decision]) -> None:
    """Somebody who looks a moment after the first refusal finds it."""
    collapser, seen = Collapser(), set[tuple[str, str]]()
    for decision in decisions:
        assert collapser.note(decision)
        told = collapser.take(decision.at.timestamp())
        kind = (decision.event, decision.actor)
        if kind not in seen:
            assert any(has_id(one.ids, decision.request_id) for one in told)
            seen.add(kind)


@pytest.mark.parametrize(("make", "longest"), [(a_denial, LONGEST_PAUSE), (a_token, PAUSE_OF_COMPLETE)])
def test_nothing_waits_longer_than_its_pause(make: Any, longest: float) -> None:
    """A repeat is told five minutes after at the latest, and that of a token that lacks nothing after an hour."""
    collapser = Collapser()
    noted: dict[str, float] = {}
    for second in range(0, 4 * 3600, 7):
        decision = make(second)
        collapser.note(decision)
        noted[decision.request_id] = second
        for one in collapser.take(START + second):
            for found in unpacked(one.ids):
                assert second - noted.pop(found) <= longest + 7


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


def _at(text: str) -> Any:
    return type(NOW).fromisoformat(text)


def test_silence_starts_over() -> None:
    """After a quiet pause the next one is a first again and is told at once."""
    collapser = Collapser()
    for second in (0, 1, 3):
        collapser.note(a_denial(second))
        collapser.take(START + second)
    again = a_denial(60)
    collapser.note(again)

    (told,) = collapser.take(START + 60)
    assert has_id(told.ids, again.request_id)


def test_ids_are_kept_up_to_a_limit_and_the_last_always() -> None:
    """A heap of five thousand keeps the first thousand ids and the last."""
    collapser = Collapser()
    decisions = [a_denial() for _ in range(5000)]
    for decision in decisions:
        collapser.note(decision)
    (told,) = collapser.take(START)

    expected = [d.request_id for d in decisions[: collapse.MAX_IDS]] + [decisions[-1].request_id]
    assert expected == unpacked(told.ids)
    assert (5000, decisions[-1].request_id) == (told.count, read(told)["last_id"])
    assert len(told.text) + len(told.ids) < 10_000


def test_a_heap_names_its_first_addresses() -> None:
    """One license on many machines shows where from, without a list that grows."""
    collapser = Collapser()
    for number in range(50):
        request = asked(address=f"198.51.100.{number}")
        collapser.note(decision_on(request, denied()))
    (told,) = collapser.take(START)

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
    collapser = Collapser()
    for seconds in range(100):
        collapser.note(decision_on(asked(), refused(f"m1 from 203.0.113.0/24, {seconds % 3}")))

    assert 3 == len(collapser.take(START))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more subjects than fit, the oldest heaps are told early; what does not fit even so is refused."""
    monkeypatch.setattr(collapse, "MAX_HEAPS", 10)
    monkeypatch.setattr(collapse, "MAX_READY", 5)
    collapser = Collapser()
    people = [as_license(make_license(f"d{number:015d}")) for number in range(20)]
    taken = [collapser.note(decision_on(asked(), denied(who))) for who in people]

    assert [True] * 15 + [False] * 5 == taken
    assert 15 == collapser.waiting
    assert 15 == sum(one.count for one in collapser.take(START))
    assert 0 == collapser.waiting


def test_paces_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was told longest ago is a first again when too many were told since."""
    monkeypatch.setattr(collapse, "MAX_PACES", 2)
    collapser = Collapser()
    for who in range(3):
        collapser.note(a_denial(who=who))
        collapser.take(START)
    for who in range(3):
        collapser.note(a_denial(0.5, who=who))

    assert [LICENSES[0].id] == [read(one)["actor"] for one in collapser.take(START + 0.6)]


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    """After the clock went back a day, the next decision is told at once."""
    collapser = Collapser()
    for second in (86_400, 86_401):
        collapser.note(a_denial(second))
        collapser.take(START + 86_400)
    back = a_denial(0)
    collapser.note(back)

    assert any(has_id(one.ids, back.request_id) for one in collapser.take(START + 1))


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
