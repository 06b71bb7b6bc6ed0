"""The schedule of retries of failed deliveries, and when a failing webhook is disabled.

Attempts are spread over about a day: most failures last for minutes, as during a deployment, some for a night. Each
wait is shortened or lengthened at random by up to a fifth, so that the events for a receiver that was down are not all
retried at once.
"""

from datetime import datetime, timedelta

WAITS = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=8),
    timedelta(hours=8),
)
"""How long to wait after the first failed attempt, the second, and so on."""

MAX_ATTEMPTS = len(WAITS) + 1
"""Most attempts of one delivery, including the first."""

JITTER = 0.2
"""Greatest fraction by which a wait is shortened or lengthened."""

MAX_RETRY_AFTER = timedelta(hours=8)
"""Longest wait that a receiver can request with ``Retry-After``."""

GIVE_UP_AFTER = timedelta(days=5)
"""A webhook is disabled when all attempts have failed for this long."""


def next_attempt(failed: int, now: datetime, chance: float, retry_after: timedelta | None = None) -> datetime | None:
    """Return when a delivery is retried; None after the last attempt.

    Args:
        failed: number of failed attempts, at least 1.
        now: when the last one ended.
        chance: random, from 0 to 1.
        retry_after: requested by the receiver, or None. It can lengthen a wait, but never shorten it.
    """
    if failed >= MAX_ATTEMPTS:
        return None
    wait = WAITS[failed - 1] * (1 - JITTER + 2 * JITTER * chance)
    return now + max(wait, min(retry_after or timedelta(0), MAX_RETRY_AFTER))


def is_given_up(failing_since: datetime | None, now: datetime) -> bool:
    """Whether a webhook must be disabled.

    Args:
        failing_since: time of the first failed attempt after the last successful one; None if the last one succeeded.
        now: the current time.
    """
    return failing_since is not None and now - failing_since >= GIVE_UP_AFTER
