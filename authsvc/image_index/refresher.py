"""The background task that keeps the index of images true to the registry, in one worker of the installation at a time.

What is pushed or deleted is read within about a second (the registry's events name it); everything is crawled every few
hours, and at once when the index is empty. While Redis or the registry is down nothing is lost: what has changed stays
listed, and a crawl goes on from its place.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta

from attrs import field, frozen

from authsvc.errors import RegistryUnavailable, SignerUnavailable, StoreUnavailable
from authsvc.image_index.change_reader import ChangeReader
from authsvc.image_index.counter import ImageCounter
from authsvc.image_index.crawler import Crawler
from authsvc.images.index import CrawlState
from authsvc.logs import Logger
from authsvc.processes.waiting import ended
from authsvc.store.image_crawl import RedisImageCrawl
from authsvc.store.image_index import RedisImageIndex

CRAWL_EVERY = timedelta(hours=6)
"""Time between two crawls."""

LEASE_SECONDS = 10
"""For how long one worker has the work to itself; it extends this all the while."""

LOOK_EVERY = 3.0
"""Seconds between two looks of a worker at whether the work is free."""

CHANGES_EVERY = 0.5
"""Seconds between two looks at whether something has changed."""

CRAWL_LOOK_EVERY = 5.0
"""Seconds between two looks at whether a crawl is due."""

COUNT_REST = 20
"""The images of an app are added up again after so many times as long as that took, at the earliest."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until the registry is asked again after it did not answer; doubled each time."""


@frozen
class RefreshMetrics:
    """Where it is counted.

    Attributes:
        crawled: hears of each crawl that ended, and of the last one when the work begins.
        failed: hears of each failure that ended the work for a while.
    """

    crawled: Callable[[CrawlState], None] = lambda _: None
    failed: Callable[[], None] = lambda: None


@frozen
class ImageRefresher:
    """Keeps the index for as long as a worker runs.

    Attributes:
        index: says who works, and what has changed.
        state: how far a crawl is, and which apps are to be added up.
        changes: reads what has changed.
        crawler: reads everything, with rests.
        counter: adds up.
        holder: random name of this worker.
        clock: the present.
        logger: where failures are written.
        has_room: whether what can wait may be written to Redis now.
        metrics: where it is counted.
    """

    index: RedisImageIndex
    state: RedisImageCrawl
    changes: ChangeReader
    crawler: Crawler
    counter: ImageCounter
    holder: str
    clock: Callable[[], datetime]
    logger: Logger
    has_room: Callable[[], bool] = lambda: True
    metrics: RefreshMetrics = field(factory=RefreshMetrics)

    async def run(self) -> None:
        """Work whenever no other worker does, until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_EVERY)
        finally:
            with suppress(StoreUnavailable):
                await self.index.release(self.holder)

    async def _look(self) -> None:
        """Work if no other worker does."""
        try:
            if await self.index.lease(self.holder, LEASE_SECONDS):
                await self._work()
        except StoreUnavailable:
            pass  # other parts report it, and everything goes on from its place
        except Exception as error:
            self.logger.error("images.failed", exc_info=error)
            self.metrics.failed()

    async def _work(self) -> None:
        """Work until the lease is lost, something fails, or the task is cancelled."""
        jobs = (self._read_changes, self._crawl_when_due, self._add_up)
        tasks = [asyncio.create_task(self._again_and_again(job)) for job in jobs]
        tasks.append(asyncio.create_task(self._extend_lease()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await ended(*tasks)

    async def _extend_lease(self) -> None:
        """Return when another worker has the lease."""
        is_held = True
        while is_held:
            await asyncio.sleep(LEASE_SECONDS / 4)
            is_held = await self.index.lease(self.holder, LEASE_SECONDS)

    async def _again_and_again(self, job: Callable[[], Awaitable[float]]) -> None:
        """Do a job, which returns the seconds until the next time; wait longer and longer while the registry is down.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        pause = 0.0
        while True:
            try:
                rest = await job() if self.has_room() else LONGEST_PAUSE
                pause = 0.0
            except (RegistryUnavailable, SignerUnavailable) as error:
                self.metrics.failed()
                if pause == FIRST_PAUSE:  # once; and at a start the registry may still be starting
                    self.logger.warning("images.registry_down", detail=error.detail or str(error))
                rest = pause = min(LONGEST_PAUSE, 2 * pause or FIRST_PAUSE)
            await asyncio.sleep(rest)

    async def _read_changes(self) -> float:
        """Read what has changed."""
        await self.changes.read()
        return CHANGES_EVERY

    async def _crawl_when_due(self) -> float:
        """Make a crawl if one is due, or the rest of one."""
        before = await self.crawler.reading.crawl()
        self.metrics.crawled(before)
        began = before.started_at is not None
        if began or before.ended_at is None or not before.ended_at <= self.clock() < before.ended_at + CRAWL_EVERY:
            self.metrics.crawled(await self.crawler.run())
        return CRAWL_LOOK_EVERY

    async def _add_up(self) -> float:
        """Add up the images of an app whose images have changed."""
        app = await self.state.take_uncounted()
        if app is None:
            return CHANGES_EVERY
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            found = await self.counter.count(app)
        except BaseException:
            # The next worker with the lease adds it up; while Redis is down the next crawl says so.
            await self._mark_uncounted(app)
            raise
        if found.leftovers:
            self.logger.warning("images.leftovers", app=app, tags=found.leftovers)
        return min(LONGEST_PAUSE, COUNT_REST * (loop.time() - began))

    async def _mark_uncounted(self, app: str) -> None:
        try:
            await self.state.mark_uncounted(app)
        except StoreUnavailable:
            self.logger.warning("images.not_added_up", app=app)
