"""Interface for storing the registry's events: durably, and each once, before the registry gets its answer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from authsvc.spec.registry_event import RegistryEvent


@frozen
class RecordedEvents:
    """The result of recording some events.

    Attributes:
        accepted: how many were recorded now.
        duplicate: how many had been recorded before: the registry sends an event again when it did not get our answer.
        ignored: how many are not recorded, such as those of our own requests and of repositories that belong to no app.
        dropped: how many are lost: they are too old, or there was no room for them for too long.
        no_room: how many of them were dropped for lack of room.
    """

    accepted: int = 0
    duplicate: int = 0
    ignored: int = 0
    dropped: int = 0
    no_room: int = 0


class EventSink(Protocol):
    """Records events."""

    async def record(self, events: Sequence[RegistryEvent], now: datetime) -> RecordedEvents:
        """Record each event that was not recorded before; all are durable on return.

        May be called again with events of a call that failed or was cancelled: each of them counts once.

        Args:
            events: in any order; several may have the same id, also within one call.
            now: the time of the request, aware.

        Raises:
            StoreUnavailable: it is not known whether they were recorded; the registry must send them again.
        """
        ...
