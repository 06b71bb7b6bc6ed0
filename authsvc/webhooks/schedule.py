"""When a delivery that failed is tried again, and when a webhook that never works is given up.

Attempts spread over about a day: most failures are a deployment of minutes, some are a night. Each wait is shortened
or lengthened by up to a fifth at random, so that the events of a receiver that was down do not all come back at once.
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
"""Attempts of one delivery, the first one included."""

JITTER = 0.2
"""A wait is shorter or longer by so much of itself at most."""

MAX_RETRY_AFTER = timedelta(hours=8)
"""Longest wait that a receiver can ask for with ``Retry-After``."""

GIVE_UP_AFTER = timedelta(days=5)
"""A webhook of which every attempt failed for so long is disabled."""


def next_attempt(failed: int, now: datetime, chance: float, retry_after: timedelta | None = None) -> datetime | None:
    """Return when a delivery is tried again; None after the last attempt.

    Args:
        failed: attempts that failed, 1 or more.
        now: when the last one ended.
        chance: random, from 0 to 1.
        retry_after: what the receiver asked for, or None. It lengthens a wait and never shortens one.
    """
    if failed >= MAX_ATTEMPTS:
        return None
    wait = WAITS[failed - 1] * (1 - JITTER + 2 * JITTER * chance)
    return now + max(wait, min(retry_after or timedelta(0), MAX_RETRY_AFTER))


def is_given_up(failing_since: datetime | None, now: datetime) -> bool:
    """Whether a webhook is disabled.

    Args:
        failing_since: when the first attempt failed after the last one that worked; None when the last one worked.
        now: the present.
    """
    return failing_since is not None and now - failing_since >= GIVE_UP_AFTER
