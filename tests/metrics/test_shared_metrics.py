"""Counters in shared memory: sums, hand-over, and what a new generation finds."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from authsvc.errors import AuthsvcError
from authsvc.metrics.catalogue import (
    LEAF_EXPIRY,
    METRICS,
    PASSWORDS_RUNNING,
    STORE_ERRORS,
    STORE_SECONDS,
    TOKEN_OUTCOMES,
    TOKEN_REQUESTS,
    WORKERS,
    Cells,
)
from authsvc.metrics.exposition import exposition
from authsvc.metrics.shared_metrics import SharedMetrics
from authsvc.web.metrics import outcome_of_error


def told(shared: SharedMetrics, now: float = 0.0) -> dict[str, float]:
    """Return every sample, as somebody else's parser reads it."""
    families = text_string_to_metric_families(exposition(shared, now).decode())
    return {
        f"{sample.name}{sorted(sample.labels.items()) or ''}": sample.value
        for family in families
        for sample in family.samples
    }


@given(counts=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(TOKEN_OUTCOMES), st.integers(1, 9)), max_size=30))
def test_a_scrape_is_the_sum_over_all_rows(counts: list[tuple[int, tuple[str, str], int]]) -> None:
    """Whoever counted what, each series tells its sum and no other one changes."""
    shared = SharedMetrics.make(4)
    for slot, outcome, by in counts:
        shared.slot(slot).inc(TOKEN_REQUESTS, *outcome, by=by)
    for outcome in TOKEN_OUTCOMES:
        name = f"authsvc_token_requests_total{[('outcome', outcome[0]), ('reason', outcome[1])]}"
        assert sum(by for _, counted, by in counts if counted == outcome) == told(shared)[name]
    os.close(shared.descriptor)


def test_a_worker_that_follows_goes_on_counting() -> None:
    """Handing a slot on keeps the counters and forgets what the last worker was busy with."""
    shared = SharedMetrics.make(2)
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
    shared = SharedMetrics.make(4)
    shared.slot(1).set(LEAF_EXPIRY, 900)
    shared.slot(3).set(LEAF_EXPIRY, 700)
    assert 600.0 == told(shared, now=100.0)["authsvc_leaf_expiry_seconds"]


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, "0.001"), (0.001, "0.001"), (0.0011, "0.0025"), (9.0, "+Inf")])
def test_a_time_falls_into_its_bucket(seconds: float, bucket: str) -> None:
    """A bucket's bound belongs to it, and what is longer than all bounds is counted too."""
    shared = SharedMetrics.make(1)
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
    shared = SharedMetrics.make(2)
    again = SharedMetrics(os.dup(shared.descriptor), Cells())
    again.slot(1).inc(STORE_ERRORS, by=3)
    assert 3.0 == told(shared)["authsvc_store_errors_total"]


def test_cells_do_not_overlap() -> None:
    """Each series has cells of its own, and together they fill a slot."""
    cells = Cells()
    taken = [
        place
        for metric in METRICS
        for labels in metric.series
        for place in range(cells.of(metric, *labels), cells.of(metric, *labels) + metric.width)
    ]
    assert list(range(cells.count)) == sorted(taken)


def test_every_error_is_counted_somewhere() -> None:
    """Each error class has a reason of the catalogue."""

    def below(kind: type[AuthsvcError]) -> list[type[AuthsvcError]]:
        return [kind, *(found for one in kind.__subclasses__() for found in below(one))]

    reasons = {outcome_of_error(kind.__new__(kind)) for kind in below(AuthsvcError)}
    assert set() == reasons - set(TOKEN_OUTCOMES)
