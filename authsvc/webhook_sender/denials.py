"""Records refused requests of known licenses for webhooks in the background; requests never wait for it or fail."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from authsvc.audit.token_event import AuditedRequest
from authsvc.errors import StoreUnavailable
from authsvc.issuance import Issued
from authsvc.logs import Logger
from authsvc.store.webhook_outbox import WebhookOutbox
from authsvc.webhooks.denial import denials_of
from authsvc.webhooks.event import WebhookEvent

FLUSH_EVERY = 1.0
"""Seconds between two batches."""

BATCH = 25

MAX_WAITING = 1_000
"""Most events that wait for Redis, at about 1 KB each; others are lost and counted."""

MAX_SEEN = 4_096
"""Events that a process recognises as repeated without asking Redis."""

SEEN_FOR = timedelta(minutes=10)
"""How long it does so: a webhook that is added today then gets events about requests that are still refused."""

LAST_WORDS = 2.0
"""Seconds that an ending process waits for its last events."""


class DenialRecorder:
    """Takes the outcomes of requests and puts events about them into the outbox, each event once a day."""

    def __init__(self, outbox: WebhookOutbox, logger: Logger, clock: Callable[[], datetime]) -> None:
        """Use ``outbox``; :meth:`run` adds the events to it."""
        self._outbox = outbox
        self._logger = logger
        self._clock = clock
        self._waiting: OrderedDict[str, WebhookEvent] = OrderedDict()
        self._seen: OrderedDict[str, datetime] = OrderedDict()
        self._lost = 0

    def record(self, asked: AuditedRequest, outcome: Issued | Exception) -> None:
        """Record the outcome of a request. Never waits and never raises."""
        try:
            for event in denials_of(asked, outcome):
                self._take(event)
        except Exception as error:
            self._logger.error("webhooks.failed", request_id=asked.request_id, exc_info=error)

    def _take(self, event: WebhookEvent) -> None:
        seen = self._seen.get(event.id)
        if event.id in self._waiting or (seen is not None and event.at - seen < SEEN_FOR):
            return
        if len(self._waiting) >= MAX_WAITING:
            self._lost += 1
        else:
            self._waiting[event.id] = event

    async def run(self) -> None:
        """Add the waiting events every second, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            with suppress(StoreUnavailable):  # the events keep waiting
                await self._flush()

    async def finish(self) -> None:
        """Add the events that still wait, if that does not take long."""
        with suppress(TimeoutError, StoreUnavailable):
            async with asyncio.timeout(LAST_WORDS):
                await self._flush()

    async def _flush(self) -> None:
        if self._lost:
            self._logger.warning("webhooks.lost", count=self._lost)
            self._lost = 0
        while self._waiting and self._outbox.has_room():
            batch = list(self._waiting.values())[:BATCH]
            await self._outbox.add(batch)
            for event in batch:
                self._waiting.pop(event.id, None)
                self._seen[event.id] = self._clock()
                self._seen.move_to_end(event.id)
            while len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
