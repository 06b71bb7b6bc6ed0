"""What is counted as activity, and how long: without the events that it is counted from."""

from datetime import timedelta
from enum import StrEnum

HOURS_KEPT = timedelta(days=14)
"""How long counts by hour are stored. Older events are not counted, because it is no longer known whether they were
counted before."""

DAYS_KEPT = timedelta(days=400)
"""How long counts by day are stored."""

CLOCK_SLACK = timedelta(minutes=5)
"""How far the clock of the registry may be ahead; the time of a later event is replaced by the current time."""


class ActivityKind(StrEnum):
    """What is counted."""

    PULL = "pull"
    HEAD = "head"
    PUSH = "push"
    DELETE = "delete"
    DOWNLOAD = "download"
