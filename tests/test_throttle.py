"""The throttle's arithmetic, and whom an address stands for."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.throttle import ACCOUNT, ADDRESS, MAX_DEBT, PAIR, Limit, network, spend, wait

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
    """However long an attack was, it is forgiven in bounded time after its end."""
    tat: float | None = None
    for _ in range(min(failures, 500)):
        tat = spend(tat, LIMIT, NOW)

    assert tat is not None
    assert tat <= NOW + MAX_DEBT * LIMIT.burst * LIMIT.interval.total_seconds()


def test_limits_have_distinct_names() -> None:
    """Two limits never share a bucket."""
    assert len({limit.name for limit in (PAIR, ADDRESS, ACCOUNT)}) == 3


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", "unknown"),
        (None, "unknown"),
        ("not an address", "unknown"),
    ],
)
def test_whom_an_address_stands_for(address: str | None, expected: str) -> None:
    """Hopping inside one /64 hides nobody, and a mapped address is the IPv4 one."""
    assert expected == network(address)
