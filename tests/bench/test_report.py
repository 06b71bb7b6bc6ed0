"""What the benchmark makes of its runs."""

import pytest
from attrs import asdict, evolve

from tests.bench.flood import Answer, Waited
from tests.bench.load import Load, parse
from tests.bench.report import BARE, EVENTS_BESIDE, LICENSE, TOKENS_BESIDE, beside_events, figures, missed_aims, table

RUN = Load(per_second=100.0, p50=1.0, p99=2.0, longest=3.0, refused=0, broken=0, generator=0.2, processor=50.0)


def test_a_ratio_is_taken_within_its_round() -> None:
    """A slow while that meets a whole round changes no ratio."""
    rounds = [
        {BARE: evolve(RUN, per_second=bare), "ours": evolve(RUN, per_second=bare / 5)} for bare in (1000, 200, 600)
    ]
    assert {"to_bare": 0.2, "per_second": 120.0} == {
        name: figures(rounds)["ours"][name] for name in ("to_bare", "per_second")
    }


def test_one_bad_round_does_not_count() -> None:
    """Medians, not means."""
    rounds = [{BARE: RUN, "ours": evolve(RUN, p99=p99)} for p99 in (2.0, 900.0, 3.0)]
    assert 3.0 == figures(rounds)["ours"]["p99"]


def test_of_processor_times_the_least_count() -> None:
    """Other work on the machine only adds to them."""
    times = [(40.0, 900.0), (20.0, 100.0), (30.0, 150.0)]
    rounds = [{BARE: evolve(RUN, processor=bare), "ours": evolve(RUN, processor=ours)} for bare, ours in times]
    assert {"processor": 100.0, "cpu_to_bare": 5.0} == {
        name: figures(rounds)["ours"][name] for name in ("processor", "cpu_to_bare")
    }


def test_the_processor_time_of_a_server_elsewhere_is_unknown() -> None:
    """The rest of its figures is known."""
    found = figures([{BARE: RUN, "theirs": evolve(RUN, processor=None)}])["theirs"]
    assert (None, None, 100.0) == (found["processor"], found["cpu_to_bare"], found["per_second"])


def test_tokens_beside_events_are_compared_within_their_round() -> None:
    """With the tokens without events of the same round."""
    rounds = [
        {
            LICENSE: evolve(RUN, p99=slow, processor=slow),
            TOKENS_BESIDE: evolve(RUN, p99=1.5 * slow, processor=1.25 * slow),
            EVENTS_BESIDE: evolve(RUN, per_second=300.0),
        }
        for slow in (2.0, 800.0, 40.0)
    ]
    expected = {"cpu_ratio": 1.25, "p50_ratio": 1.0, "p99_ratio": 1.5, "events_per_second": 300.0}
    assert expected == beside_events(rounds)


def test_what_wrk_prints_is_read() -> None:
    """The line of the script, among wrk's own."""
    line = '{"requests":500,"microseconds":5000000,"p50":1500,"p99":9000,"longest":12000,"refused":3,"broken":1}'
    expected = Load(100.0, 1.5, 9.0, longest=12.0, refused=3, broken=1, generator=0.5, processor=2000.0)
    assert expected == parse(f"Running 5s test\nJSON {line}\nbye\n", 2.5, 1.0)


def test_a_flood_has_rows_of_its_own() -> None:
    """Members at home and members elsewhere, each with how long they waited and how many were refused."""
    answers = [Answer(float(milliseconds), 200) for milliseconds in range(1, 101)]
    home, new = Waited.of(answers), Waited.of([*answers, Answer(1000.0, 503)])
    result = {"loads": {}, "flood": {"at home": asdict(home), "elsewhere": asdict(new)}, "pinned": True}

    assert [line.split() for line in table(result).splitlines()[-2:]] == [
        ["in", "a", "flood,", "at", "home", "51.00", "100.00", "0"],
        ["in", "a", "flood,", "elsewhere", "51.00", "100.00", "1"],
    ]


def test_memory_and_failures_have_aims() -> None:
    """At the aim is fine; above it a line says so."""
    fine = {"worker_mebibytes": 110.0, "roll": {"failed": 0}}
    assert [] == missed_aims(fine)
    assert 2 == len(missed_aims({"worker_mebibytes": 110.1, "roll": {"failed": 1}}))


@pytest.mark.parametrize(
    ("run", "warning"),
    [
        (evolve(RUN, generator=0.97), "the generator used its whole core"),
        (evolve(RUN, refused=1), "not every request got what it asked for"),
        (evolve(RUN, broken=1), "not every request got what it asked for"),
    ],
)
def test_figures_that_mislead_are_marked(run: Load, warning: str) -> None:
    """A busy generator and refused requests are said below the table."""
    good, bad = ({"loads": figures([{BARE: RUN, "ours": one}]), "pinned": True} for one in (RUN, run))
    assert (False, True) == (warning in table(good), warning in table(bad))
