"""Records pulls of linked images as activity in the background: pulls do not wait for it or fail with it.

The registry queues its events while Redis is down; here the queue is bounded, and events that do not fit are lost and
logged.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from authsvc.activity.event_sink import EventSink
from authsvc.errors import StoreUnavailable
from authsvc.logs import Logger
from authsvc.spec.registry_event import RegistryEvent

MAX_WAITING = 2_000
"""Events that wait for Redis, at about 1 KiB each."""

BATCH = 25

GATHER = 1.0
"""Seconds that the first event of a batch waits for others: each batch costs Redis a write to its disk."""

ATTEMPTS, PAUSE = 10, 1.0
"""How often the same events are tried, and the seconds between two attempts."""

LAST_WORDS = 2.0
"""Seconds that a process that ends waits for its last events."""


class PullRecorder:
    """Queues events and records them in the background."""

    def __init__(
        self,
        sink: EventSink,
        logger: Logger,
        clock: Callable[[], datetime],
        pause: float = PAUSE,
        gather: float = GATHER,
    ) -> None:
        """Record in ``sink``."""
        self._sink = sink
        self._logger = logger
        self._clock = clock
        self._pause = pause
        self._gather = gather
        self._waiting: asyncio.Queue[RegistryEvent] = asyncio.Queue(MAX_WAITING)
        self._batch: list[RegistryEvent] = []
        self._lost = 0

    def record(self, event: RegistryEvent) -> None:
        """Queue an event; never waits and never raises."""
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            self._lost += 1

    async def run(self) -> None:
        """Record queued events, until cancelled."""
        while True:
            self._batch.append(await self._waiting.get())
            if self._waiting.qsize() < BATCH - 1:
                await asyncio.sleep(self._gather)
            await self._write_batch()

    async def finish(self) -> None:
        """Record the events that still wait, if that does not take long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS):
                while self._batch or not self._waiting.empty():
                    await self._write_batch()

    async def _write_batch(self) -> None:
        while len(self._batch) < BATCH and not self._waiting.empty():
            self._batch.append(self._waiting.get_nowait())
        await self._write(self._batch)
        self._batch = []

    async def _write(self, events: list[RegistryEvent]) -> None:
        """Record events, each once, however often they are tried."""
        for _ in range(ATTEMPTS):
            try:
                await self._sink.record(events, self._clock())
                break
            except StoreUnavailable:
                await asyncio.sleep(self._pause)
        else:
            self._lost += len(events)
        if self._lost:
            self._logger.warning("proxy.activity_lost", count=self._lost)
            self._lost = 0
