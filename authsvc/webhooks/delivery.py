"""What became of an event that was to be sent to one webhook."""

from datetime import datetime
from enum import StrEnum

from attrs import frozen

from authsvc.webhooks.event import EventType

MAX_REASON = 200
"""Most characters of a reason."""

MAX_LISTED = 100
"""Most deliveries that are listed for one webhook, the newest."""


class DeliveryState(StrEnum):
    """How far a delivery is."""

    WAITING = "waiting"
    """It was not tried yet, or failed and is tried again."""

    DELIVERED = "delivered"
    """The receiver accepted it."""

    FAILED = "failed"
    """It is not tried again."""


@frozen
class DeliveryAttempt:
    """One request to a receiver.

    Attributes:
        at: when it ended, aware.
        status: HTTP status of the answer; None when there was none.
        reason: why it failed, as a short sentence without the receiver's words; None when it worked.
        milliseconds: how long it took.
    """

    at: datetime
    status: int | None
    reason: str | None
    milliseconds: int

    @property
    def ok(self) -> bool:
        """Whether the receiver accepted the event."""
        return self.reason is None


@frozen
class Delivery:
    """An event on its way to one webhook.

    Attributes:
        event: id of the event.
        type: of the event.
        at: when what it reports happened, aware.
        state: how far it is.
        attempts: how often it was tried.
        attempted_at: when it was last tried, or None.
        next_at: when it is tried next; None when it is not.
        status: HTTP status of the last answer, or None.
        reason: why the last attempt failed, at most :data:`MAX_REASON` characters, or None.
    """

    event: str
    type: EventType
    at: datetime
    state: DeliveryState
    attempts: int = 0
    attempted_at: datetime | None = None
    next_at: datetime | None = None
    status: int | None = None
    reason: str | None = None


@frozen
class DeliveryCounts:
    """What the deliveries to a webhook add up to.

    Attributes:
        delivered: events that were delivered.
        failed: events that are not tried again.
        dropped: events that were dropped because too many waited.
        waiting: events that wait.
        failures: attempts that failed since the last one that worked.
        failing_since: when the first of them failed, or None.
    """

    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    failures: int = 0
    failing_since: datetime | None = None
