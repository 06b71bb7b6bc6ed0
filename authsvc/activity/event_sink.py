"""Where the registry's events go: stored for good and each once, before the registry is answered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from authsvc.spec.registry_event import RegistryEvent


@frozen
class RecordedEvents:
    """What became of some events.

    Attributes:
        accepted: how many were recorded now.
        duplicate: how many had been recorded before: the registry sends an event again when it missed our answer.
        ignored: how many are not recorded, such as those of our own requests and of repositories that belong to no app.
        dropped: how many should have been recorded and never will be: they are too old, or there was no room for them
            for too long.
        no_room: how many of the dropped ones there was no room for.
    """

    accepted: int = 0
    duplicate: int = 0
    ignored: int = 0
    dropped: int = 0
    no_room: int = 0


class EventSink(Protocol):
    """Records events."""

    async def record(self, events: Sequence[RegistryEvent], now: datetime) -> RecordedEvents:
        """Record each event that was not recorded before; all of it is durable on return.

        May be called again with events of a call that failed or was cancelled: each of them counts once.

        Args:
            events: in any order; several may have the same id, also within one call.
            now: the time of the request, aware.

        Raises:
            StoreUnavailable: it is not known whether they were recorded; the registry is to send them again.
        """
        ...
