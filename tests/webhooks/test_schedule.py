"""When deliveries are tried again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.webhooks.schedule import GIVE_UP_AFTER, MAX_ATTEMPTS, MAX_RETRY_AFTER, WAITS, is_given_up, next_attempt

NOW = datetime(2026, 11, 27, tzinfo=UTC)


def wait(failed: int, chance: float = 0.5, retry_after: timedelta | None = None) -> timedelta:
    """Return how long is waited."""
    at = next_attempt(failed, NOW, chance, retry_after)
    assert at is not None
    return at - NOW


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_all_attempts_take_about_a_day(chance: float) -> None:
    """Each wait is at least as long as the one before, and the last attempt is the end."""
    waits = [wait(failed, chance) for failed in range(1, MAX_ATTEMPTS)]
    assert waits == sorted(waits)
    assert timedelta(hours=18) < sum(waits, timedelta()) < timedelta(hours=30)
    assert next_attempt(MAX_ATTEMPTS, NOW, chance) is None


@given(st.integers(1, MAX_ATTEMPTS - 1), st.floats(0, 1))
def test_jitter(failed: int, chance: float) -> None:
    """A wait is a fifth shorter or longer at most, and chance decides."""
    usual = WAITS[failed - 1]
    assert usual * 0.8 <= wait(failed, chance) <= usual * 1.2
    assert wait(failed, 0) < usual < wait(failed, 1)


def test_a_receiver_can_ask_for_more_time() -> None:
    """Not for less, and not for ever."""
    assert wait(1, retry_after=timedelta(hours=2)) == timedelta(hours=2)
    assert wait(5, retry_after=timedelta(seconds=1)) == WAITS[4]
    assert wait(1, retry_after=timedelta(days=365)) == MAX_RETRY_AFTER
    assert next_attempt(MAX_ATTEMPTS, NOW, 0.5, timedelta(hours=1)) is None


def test_giving_up() -> None:
    """After days without one attempt that worked."""
    assert not is_given_up(None, NOW)
    assert not is_given_up(NOW - GIVE_UP_AFTER + timedelta(seconds=1), NOW)
    assert is_given_up(NOW - GIVE_UP_AFTER, NOW)
