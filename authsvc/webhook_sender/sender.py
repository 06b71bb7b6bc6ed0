"""The background task that sends events to webhooks, in one worker of the installation at a time.

Deliveries run side by side, one for each webhook and few for each team, so that a receiver that is slow or down slows
no other team's. While Redis is down nothing is sent and nothing is lost. A worker that is killed in the middle of an
attempt leaves the delivery to the next sender, which sends the same ``webhook-id`` again.
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
"""For how long one worker has the sending to itself; it extends this all the while."""

LOOK_EVERY = 2.0
"""Seconds between two looks of a worker at whether the sending is free."""

SEND_EVERY = 0.5
"""Seconds between two looks at what is due."""

WATCH_EVERY = 60.0
"""Seconds between two looks at what nobody reports, such as licenses that end soon."""

MEASURE_EVERY = 5.0

FAULT_PAUSE = timedelta(minutes=1)
"""For how long a webhook is left alone after an internal error."""

AT_ONCE, AT_ONCE_OF_A_TEAM = 48, 4
"""Most deliveries at one time: of all teams, and of one. A webhook has one at a time."""

LOOKED_AT = 200
"""Webhooks that one look at what is due reads."""

LAST_WORDS = 3.0
"""Seconds that a sender which ends waits for the deliveries that it has begun."""

Watcher = Callable[[datetime], Awaitable[None]]
"""Looks for events that nobody reports, and adds them to the outbox; it is given the present."""


@define(eq=False)
class WebhookSender:
    """Sends for as long as a worker runs.

    Attributes:
        outbox: has the lease, and the events.
        fanout: shares events out.
        deliveries: what is due.
        attempts: sends what is due for one webhook.
        watchers: called from time to time, each after the other.
        clock: the present.
        logger: where failures are written.
        has_room: whether what can wait may be written to Redis now.
        waiting: hears how many events and deliveries wait.
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
        """Send whenever no other worker does, until :meth:`stop` or a cancellation."""
        while not self._stop.is_set():
            await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._stop.wait()

    def stop(self) -> None:
        """Begin no further delivery, and end soon."""
        self._stop.set()

    async def _look(self) -> None:
        """Send if no other worker does."""
        try:
            if await self.outbox.lease(self.attempts.holder, self.lease):
                await self._work()
        except StoreUnavailable:
            pass  # other parts report it, and everything goes on from its place
        except Exception as error:
            self.logger.error("webhooks.failed", exc_info=error)

    async def _work(self) -> None:
        """Send until the lease is lost, something fails, or this is to end."""
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
        """Begin deliveries that are due, as many as may run."""
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
        """Make one attempt; whatever fails, no other delivery does."""
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
