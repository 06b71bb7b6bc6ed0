"""The throttle's arithmetic, and whom an address stands for."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.throttle import (
    CHOICE,
    KNOWN_LIFE,
    MACHINE_LIMITS,
    MAX_KNOWN,
    MAX_WRONG,
    NETWORK,
    PAIR,
    PASSWORD_LIMITS,
    WRONG_LIFE,
    Admission,
    Limit,
    bucket,
    guess_digest,
    longest_wait,
    refund,
    spend,
    wait,
)

NOW = 1_800_000_000.0
LIMIT = Limit("test", 5, timedelta(seconds=10))


def test_the_burst_is_free_and_one_more_is_not() -> None:
    """So many failures as the burst says go by; after the last free one the next has to wait."""
    tat: float | None = None
    waits = []
    for _ in range(6):
        waits.append(wait(tat, LIMIT, NOW))
        tat = spend(tat, LIMIT, NOW)

    assert waits == [0, 0, 0, 0, 0, 10]


def test_one_failure_is_forgiven_per_interval() -> None:
    """After the burst, waiting one interval frees one failure."""
    tat: float | None = None
    for _ in range(5):
        tat = spend(tat, LIMIT, NOW)

    assert wait(tat, LIMIT, NOW) == 10
    assert wait(tat, LIMIT, NOW + 10) == 0
    assert wait(spend(tat, LIMIT, NOW + 10), LIMIT, NOW + 10) == 10


@given(st.lists(st.floats(0, 1000), max_size=200))
def test_never_more_than_burst_plus_rate(gaps: list[float]) -> None:
    """Over any history, the failures that were not told to wait stay within burst + time / interval."""
    tat, now, free = None, NOW, 0
    for gap in gaps:
        now += gap
        if wait(tat, LIMIT, now) == 0:
            free += 1
        tat = spend(tat, LIMIT, now)

    assert free <= LIMIT.burst + (now - NOW) / LIMIT.interval.total_seconds() + 1e-6


@given(st.integers(1, 10_000))
def test_the_debt_is_bounded(failures: int) -> None:
    """However long an attack was, one more is free after an interval, and all are after the burst's time."""
    tat: float | None = None
    for _ in range(min(failures, 500)):
        tat = spend(tat, LIMIT, NOW)

    assert tat is not None
    assert tat <= NOW + LIMIT.burst * LIMIT.interval.total_seconds()
    assert wait(tat, LIMIT, NOW) <= LIMIT.interval.total_seconds()


def test_the_limits() -> None:
    """So many guesses are free, and one more after so many seconds: the numbers of docs/throttle.md."""
    limits = {
        limit.name: (limit.burst, limit.interval.total_seconds()) for limit in (*PASSWORD_LIMITS, *MACHINE_LIMITS)
    }

    assert {
        "pair": (10, 30),
        "network": (100, 5),
        "account": (100, 60),
        "machine": (10, 30),
        "machine-network": (100, 5),
    } == limits
    assert (10, 30) == (CHOICE.burst, CHOICE.interval.total_seconds())
    assert (timedelta(hours=1), 16) == (WRONG_LIFE, MAX_WRONG)
    assert (timedelta(days=90), 32) == (KNOWN_LIFE, MAX_KNOWN)


def test_limits_have_distinct_names() -> None:
    """Two limits never share a bucket: those of passwords and of machine secrets least of all."""
    limits = (*PASSWORD_LIMITS, *MACHINE_LIMITS)

    assert len({limit.name for limit in limits}) == len(limits) == 5


def test_what_a_bucket_counts() -> None:
    """One account from one network, one network, one account; nothing is joined so that two names could meet."""
    names = [bucket(limit, "me@acme.test", "192.0.2.1") for limit in (*PASSWORD_LIMITS, *MACHINE_LIMITS)]
    pair = "me@acme.test\x00192.0.2.1"

    assert names == [pair, "192.0.2.1", "me@acme.test", pair, "192.0.2.1"]


@given(st.none() | st.floats(-100, 49), st.integers(1, 5))
def test_what_is_taken_back_leaves_no_trace(before: float | None, times: int) -> None:
    """Spending and taking back at the same moment gives what was there, as long as the bucket is not full."""
    before = None if before is None or before <= 0 else NOW + min(before, (5 - times) * 10)
    tat = before
    for _ in range(times):
        tat = spend(tat, LIMIT, NOW)
    for _ in range(times):
        tat = refund(tat, LIMIT, NOW)

    assert (tat or NOW) == pytest.approx(before or NOW, abs=0.001)


def test_nothing_is_taken_back_from_nothing() -> None:
    """An empty bucket never holds a credit."""
    assert refund(None, LIMIT, NOW) is None
    assert refund(NOW - 5, LIMIT, NOW) is None


def test_the_worst_limit_counts() -> None:
    """Of the limits that apply; a known network is not asked for the account's."""
    full = NOW + 100 * 60
    known, stranger = Admission(known=True), Admission(known=False)

    assert longest_wait({PASSWORD_LIMITS[2]: full}, stranger.limits, NOW) == 60
    assert longest_wait({PASSWORD_LIMITS[2]: full}, known.limits, NOW) == 0
    assert known.limits == (PAIR, NETWORK)


@pytest.mark.parametrize(
    ("admission", "admitted"),
    [
        (Admission(), True),
        (Admission(known=True), True),
        (Admission(repeated=True), False),
        (Admission(wait=0.001), False),
    ],
)
def test_who_is_admitted(admission: Admission, admitted: bool) -> None:
    """Neither a repetition nor one too many."""
    assert admission.admitted == admitted


def test_what_stands_for_a_password() -> None:
    """It depends on the key, the account and the password, and on nothing else."""
    digests = {
        guess_digest(key, account, password)
        for key in (b"k" * 32, b"l" * 32)
        for account in ("m1\x001", "m1\x002", "?\0me@acme.test")
        for password in (b"one", b"two")
    }

    assert len(digests) == 12
    assert {64} == {len(digest) for digest in digests}
