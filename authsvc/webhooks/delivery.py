"""The delivery of an event to one webhook: its state and its attempts."""

from datetime import datetime
from enum import StrEnum

from attrs import frozen

from authsvc.webhooks.event import EventType

MAX_REASON = 200
"""Most characters of a reason."""

MAX_LISTED = 100
"""Most deliveries that are listed for one webhook, the newest."""


class DeliveryState(StrEnum):
    """The state of a delivery."""

    WAITING = "waiting"
    """It has not been attempted yet, or failed and will be retried."""

    DELIVERED = "delivered"
    """The receiver accepted it."""

    FAILED = "failed"
    """It failed and is not retried."""


@frozen
class DeliveryAttempt:
    """One request to a receiver.

    Attributes:
        at: when it ended, aware.
        status: HTTP status of the answer; None when there was none.
        reason: why it failed, as a short sentence without text of the receiver; None if it succeeded.
        milliseconds: its duration.
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
        at: when the reported event happened, aware.
        state: of the delivery.
        attempts: number of attempts.
        attempted_at: time of the last attempt, or None.
        next_at: time of the next attempt, or None.
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
    """Totals of the deliveries to a webhook.

    Attributes:
        delivered: events that were delivered.
        failed: events that could not be delivered and are not retried.
        dropped: events that were dropped because too many waited.
        waiting: events that wait.
        failures: failed attempts since the last successful one.
        failing_since: when the first of them failed, or None.
    """

    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    failures: int = 0
    failing_since: datetime | None = None
