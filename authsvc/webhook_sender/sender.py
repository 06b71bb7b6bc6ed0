"""The background task that sends events to webhooks, in one worker of the installation at a time.

Deliveries run concurrently, one for each webhook and few for each team, so that a receiver that is slow or down does
not delay other teams. While Redis is down nothing is sent and nothing is lost. If a worker is killed during an attempt,
the next sender sends the same ``webhook-id`` again.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from attrs import define, field

from authsvc.errors import StoreUnavailable
from authsvc.logs import Logger
from authsvc.processes.waiting import ended
from authsvc.store.webhook_deliveries import DueWebhook, RedisWebhookDeliveries
from authsvc.store.webhook_outbox import WebhookOutbox
from authsvc.webhook_sender.attempts import DeliveryAttempts
from authsvc.webhook_sender.fanout import TEAMS, EventFanout

LEASE_SECONDS = 6.0
"""Duration of the lease of the worker that sends, which renews it continually."""

LOOK_EVERY = 2.0
"""Seconds between two attempts of a worker to get the lease."""

SEND_EVERY = 0.5
"""Seconds between two checks for deliveries that are due."""

WATCH_EVERY = 60.0
"""Seconds between two calls of the watchers, such as that for licenses that end soon."""

MEASURE_EVERY = 5.0

FAULT_PAUSE = timedelta(minutes=1)
"""How long nothing is sent to a webhook after an internal error."""

AT_ONCE, AT_ONCE_OF_A_TEAM = 48, 4
"""Most simultaneous deliveries: of all teams, and of one team. A webhook has one at a time."""

LOOKED_AT = 200
"""Webhooks that are read at one time."""

LAST_WORDS = 3.0
"""Seconds that an ending sender waits for the deliveries that it has begun."""

Watcher = Callable[[datetime], Awaitable[None]]
"""A watcher: finds events that arise with time, and adds them to the outbox; its argument is the current time."""


@define(eq=False, repr=False)
class WebhookSender:
    """Sends for as long as a worker runs.

    Attributes:
        outbox: has the lease, and the events.
        fanout: distributes events.
        deliveries: lists those that are due.
        attempts: sends the event that is due for one webhook.
        watchers: called from time to time, one after the other.
        clock: the current time.
        logger: for failures.
        has_room: whether data that can wait may be written to Redis now.
        waiting: is called with the numbers of events and deliveries that wait.
        lease: seconds.
    """

    outbox: WebhookOutbox
    fanout: EventFanout
    deliveries: RedisWebhookDeliveries
    attempts: DeliveryAttempts
    watchers: Sequence[Watcher]
    clock: Callable[[], datetime] = field(repr=False)
    logger: Logger = field(repr=False)
    has_room: Callable[[], bool] = field(default=lambda: True, repr=False)
    waiting: Callable[[int], None] = field(default=lambda _: None, repr=False)
    lease: float = LEASE_SECONDS
    _running: dict[DueWebhook, asyncio.Task[None]] = field(init=False, factory=dict, repr=False)
    _wake: asyncio.Event = field(init=False, factory=asyncio.Event, repr=False)
    _stop: asyncio.Event = field(init=False, factory=asyncio.Event, repr=False)

    async def run(self) -> None:
        """Send whenever this worker gets the lease, until :meth:`stop` or a cancellation."""
        while not self._stop.is_set():
            await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._stop.wait()

    def stop(self) -> None:
        """Begin no further deliveries, and end soon."""
        self._stop.set()

    async def _look(self) -> None:
        """Send if no other worker has the lease."""
        try:
            if await self.outbox.lease(self.attempts.holder, self.lease):
                await self._work()
        except StoreUnavailable:
            pass  # other parts report it, and the work continues from its position
        except Exception as error:
            self.logger.error("webhooks.failed", exc_info=error)

    async def _work(self) -> None:
        """Send until the lease is lost, something fails, or :meth:`stop` is called."""
        jobs = (self._share_out, self._deliver, self._watch, self._measure, self._extend_lease, self._stop.wait)
        tasks: list[asyncio.Task[object]] = [asyncio.create_task(job()) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await ended(*tasks)
            if self._running:
                await asyncio.wait(self._running.values(), timeout=LAST_WORDS)
            for task in done:
                task.result()
        finally:
            await ended(*tasks, *self._running.values())
            self.waiting(0)
            with suppress(StoreUnavailable):
                await self.outbox.release(self.attempts.holder)

    async def _extend_lease(self) -> None:
        """Return when another worker has the lease."""
        is_held = True
        while is_held:
            await asyncio.sleep(self.lease / 4)
            is_held = await self.outbox.lease(self.attempts.holder, self.lease)

    async def _share_out(self) -> None:
        while True:
            there_was_some = self.has_room() and await self.fanout.share_out()
            if there_was_some:
                self._wake.set()
            await asyncio.sleep(SEND_EVERY)

    async def _deliver(self) -> None:
        """Begin deliveries that are due, as many as may run at once."""
        while True:
            self._wake.clear()
            if len(self._running) < AT_ONCE:
                self._begin(await self.deliveries.due(self.clock(), LOOKED_AT))
            with suppress(TimeoutError):
                async with asyncio.timeout(SEND_EVERY):
                    await self._wake.wait()

    def _begin(self, due: Sequence[DueWebhook]) -> None:
        of_team = Counter(place.team for place in self._running)
        for place in due:
            if place in self._running or of_team[place.team] >= AT_ONCE_OF_A_TEAM:
                continue
            if len(self._running) >= AT_ONCE:
                return
            of_team[place.team] += 1
            task = asyncio.create_task(self._make(place))
            self._running[place] = task
            task.add_done_callback(lambda _, place=place: self._made(place))  # type: ignore[misc]

    def _made(self, place: DueWebhook) -> None:
        self._running.pop(place, None)
        self._wake.set()

    async def _make(self, place: DueWebhook) -> None:
        """Make one attempt; a failure does not affect other deliveries."""
        try:
            may_go_on = await self.attempts.make(place)
        except StoreUnavailable:
            may_go_on = False
        except Exception as error:
            self.logger.error("webhooks.failed", webhook=place.webhook, exc_info=error)
            with suppress(StoreUnavailable):
                await self.deliveries.pause(place, self.clock() + FAULT_PAUSE)
            may_go_on = False
        if not may_go_on:
            await asyncio.sleep(SEND_EVERY)

    async def _watch(self) -> None:
        while True:
            for watcher in self.watchers:
                if self.has_room():
                    await self._watch_once(watcher)
            await asyncio.sleep(WATCH_EVERY)

    async def _watch_once(self, watcher: Watcher) -> None:
        try:
            await watcher(self.clock())
        except StoreUnavailable:
            raise
        except Exception as error:
            self.logger.error("webhooks.failed", exc_info=error)

    async def _measure(self) -> None:
        while True:
            events = await self.outbox.count(await self.outbox.teams(TEAMS))
            self.waiting(events + await self.deliveries.count_waiting())
            await asyncio.sleep(MEASURE_EVERY)
