"""Counters in shared memory: sums, hand-over, and what a new generation finds."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from authsvc.metrics.catalogue import (
    LEAF_EXPIRY,
    METRICS,
    PASSWORDS_RUNNING,
    STATUSES,
    STORE_ERRORS,
    STORE_SECONDS,
    TOKEN_REQUESTS,
    WORKERS,
    SlotLayout,
)
from authsvc.metrics.exposition import exposition
from authsvc.metrics.metric import OTHER, Kind, Label, Metric
from authsvc.metrics.shared_metrics import SharedMetrics
from authsvc.outcomes import LABELS

PROVIDERS = Label("provider", ("ecr", "ghcr", OTHER))
CALLS = Metric("calls_total", Kind.COUNTER, "Calls.", (PROVIDERS, Label("status", STATUSES)))
CALL_SECONDS = Metric("call_seconds", Kind.HISTOGRAM, "Time of a call.", (PROVIDERS,), buckets=(0.1, 1.0))
UP = Metric("up", Kind.GAUGE, "1 if up.", (PROVIDERS,))
EXTENDED = (*METRICS, CALLS, CALL_SECONDS, UP)
"""The catalogue with metrics that have labels, of which one takes undeclared values."""


def calls(provider: str, status: str) -> str:
    """Return the key of a series of ``CALLS``."""
    return f"calls_total{[('provider', provider), ('status', status)]}"


def told(shared: SharedMetrics, now: float = 0.0) -> dict[str, float]:
    """Return every sample, as somebody else's parser reads it."""
    families = text_string_to_metric_families(exposition(shared, now).decode())
    return {
        f"{sample.name}{sorted(sample.labels.items()) or ''}": sample.value
        for family in families
        for sample in family.samples
    }


@given(counts=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(LABELS), st.integers(1, 9)), max_size=30))
def test_a_scrape_is_the_sum_over_all_slots(counts: list[tuple[int, tuple[str, str], int]]) -> None:
    """Whoever counted what, each series tells its sum and no other one changes."""
    shared = SharedMetrics.make(4, SlotLayout())
    for slot, outcome, by in counts:
        shared.slot(slot).inc(TOKEN_REQUESTS, *outcome, by=by)
    samples = told(shared)
    for outcome in LABELS:
        name = f"authsvc_token_requests_total{[('outcome', outcome[0]), ('reason', outcome[1])]}"
        assert sum(by for _, counted, by in counts if counted == outcome) == samples[name]
    os.close(shared.descriptor)


def test_a_worker_that_follows_goes_on_counting() -> None:
    """Handing a slot on keeps the counters and forgets what the last worker was busy with."""
    shared = SharedMetrics.make(2, SlotLayout())
    slot = shared.slot(1)
    slot.inc(STORE_ERRORS, by=7)
    slot.inc(PASSWORDS_RUNNING)
    slot.set(WORKERS, 1)
    slot.set(LEAF_EXPIRY, 500)
    slot.clear_gauges()
    shared.slot(1).inc(STORE_ERRORS)
    samples = told(shared)
    assert (8.0, 0.0, 0.0, False) == (
        samples["authsvc_store_errors_total"],
        samples["authsvc_password_checks_running"],
        samples["authsvc_workers"],
        "authsvc_leaf_expiry_seconds" in samples,
    )


def test_the_first_leaf_to_end_counts() -> None:
    """Of several workers' certificates the soonest end is told, as seconds from now."""
    shared = SharedMetrics.make(4, SlotLayout())
    shared.slot(1).set(LEAF_EXPIRY, 900)
    shared.slot(3).set(LEAF_EXPIRY, 700)
    assert 600.0 == told(shared, now=100.0)["authsvc_leaf_expiry_seconds"]


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, "0.001"), (0.001, "0.001"), (0.0011, "0.0025"), (9.0, "+Inf")])
def test_a_time_falls_into_its_bucket(seconds: float, bucket: str) -> None:
    """A bucket's bound belongs to it, and what is longer than all bounds is counted too."""
    shared = SharedMetrics.make(1, SlotLayout())
    shared.slot(0).observe(STORE_SECONDS, seconds)
    samples = told(shared)
    counted = [f"{bound:g}" for bound in STORE_SECONDS.buckets if samples[_bucket(f"{bound}")] == 1] or ["+Inf"]
    assert (bucket, 1.0, seconds) == (
        counted[0],
        samples["authsvc_store_command_seconds_count"],
        samples["authsvc_store_command_seconds_sum"],
    )


def _bucket(bound: str) -> str:
    return f"authsvc_store_command_seconds_bucket{[('le', bound)]}"


def test_another_process_sees_the_same_metrics() -> None:
    """Shared metrics are opened again by their descriptor, as a worker does."""
    shared = SharedMetrics.make(2, SlotLayout())
    again = SharedMetrics(os.dup(shared.descriptor), SlotLayout())
    again.slot(1).inc(STORE_ERRORS, by=3)
    assert 3.0 == told(shared)["authsvc_store_errors_total"]


def test_cells_do_not_overlap() -> None:
    """Each series has cells of its own, and together they fill a slot."""
    layout = SlotLayout(EXTENDED)
    widths = {metric.name: metric.width for metric in EXTENDED}
    taken = [cell for (name, _), start in layout.starts.items() for cell in range(start, start + widths[name])]
    assert list(range(layout.size)) == sorted(taken)


def test_every_combination_of_labels_is_a_series() -> None:
    """A metric with labels needs nothing but their values, whatever its kind."""
    shared = SharedMetrics.make(2, SlotLayout(EXTENDED))
    for number, (provider, status) in enumerate(CALLS.series):
        shared.slot(number % 2).inc(CALLS, provider, status, by=number)
    shared.slot(0).observe(CALL_SECONDS, 0.5, "ghcr")
    shared.slot(1).observe(CALL_SECONDS, 2.0, "ghcr")
    shared.slot(1).set(UP, 1, "ecr")
    samples = told(shared)
    os.close(shared.descriptor)

    assert [12, *range(12)] == [len(CALLS.series), *(samples[calls(*series)] for series in CALLS.series)]
    buckets = [f"call_seconds_bucket{[('le', bound), ('provider', 'ghcr')]}" for bound in ("0.1", "1.0", "+Inf")]
    assert [0, 1, 2] == [samples[bucket] for bucket in buckets]
    assert [2.5, 0.0] == [samples[f"call_seconds_sum{[('provider', one)]}"] for one in ("ghcr", "ecr")]
    assert [1.0, 0.0] == [samples[f"up{[('provider', one)]}"] for one in ("ecr", "other")]


@given(values=st.lists(st.text(), min_size=1, max_size=20))
def test_no_value_adds_a_series_or_fails(values: list[str]) -> None:
    """A value that is not declared counts as ``other`` where that is declared, and is otherwise counted as lost."""
    shared = SharedMetrics.make(1, SlotLayout(EXTENDED))
    before, slot = set(told(shared)), shared.slot(0)
    for value in values:
        slot.inc(CALLS, f"-{value}", "2xx")
        slot.inc(CALLS, "ecr", f"-{value}")
        slot.observe(CALL_SECONDS, 0.5)
        slot.set(UP, 1, "ecr", value)
    samples = told(shared)
    os.close(shared.descriptor)

    assert before == set(samples)
    assert len(values) == samples[calls("other", "2xx")]
    assert 3 * len(values) == samples["authsvc_metrics_lost_total"]


def test_a_gauge_may_fall_below_zero() -> None:
    """One decrease too many is a wrong figure, and not a failed request."""
    shared = SharedMetrics.make(1, SlotLayout())
    shared.slot(0).inc(PASSWORDS_RUNNING, by=-1)
    assert -1.0 == told(shared)["authsvc_password_checks_running"]
