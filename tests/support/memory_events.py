"""A sink of registry events in memory, which can be told to fail or to wait."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from attrs import Factory, define

from authsvc.activity.event_sink import RecordedEvents
from authsvc.spec.registry_event import RegistryEvent


@define
class MemoryEvents:
    """Records each event once.

    Attributes:
        events: by id.
        failure: raised in the place of recording, if any.
        may_go_on: recording waits for it.
        waiting: how many callers wait.
        asked: set when the first one comes.
    """

    events: dict[str, RegistryEvent] = Factory(dict)
    failure: Exception | None = None
    may_go_on: asyncio.Event = Factory(asyncio.Event)
    waiting: int = 0
    asked: asyncio.Event = Factory(asyncio.Event)

    def __attrs_post_init__(self) -> None:
        """Wait for nothing until a test says so."""
        self.may_go_on.set()

    async def record(self, events: Sequence[RegistryEvent], now: datetime) -> RecordedEvents:
        """Record what is new."""
        assert now.tzinfo is not None
        self.waiting += 1
        self.asked.set()
        try:
            await self.may_go_on.wait()
        finally:
            self.waiting -= 1
        if self.failure is not None:
            raise self.failure
        own = [event for event in events if event.subject == "system:authsvc"]
        new = {event.id: event for event in events if event not in own and event.id not in self.events}
        self.events.update(new)
        return RecordedEvents(len(new), len(events) - len(new) - len(own), len(own))
