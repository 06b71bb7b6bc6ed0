"""The background task that keeps the index of images up to date, in one worker of the installation at a time.

Pushed and deleted images are read within about a second (the registry's events name them); the whole registry is
crawled every few hours, and at once when the index is empty. While Redis or the registry is down nothing is lost:
changes stay listed, and a crawl continues from its position.
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
"""Duration of the lease of the worker that does the work, which renews it continually."""

LOOK_EVERY = 3.0
"""Seconds between two attempts of a worker to get the lease."""

CHANGES_EVERY = 0.5
"""Seconds between two checks for changes."""

CRAWL_LOOK_EVERY = 5.0
"""Seconds between two checks whether a crawl is due."""

COUNT_REST = 20
"""The images of an app are added up again, at the earliest, after this many times the duration of the last time."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until the next attempt after the registry did not answer; doubled each time."""


@frozen
class RefreshMetrics:
    """Metrics of the refresher.

    Attributes:
        crawled: is called for each crawl that ended, and for the last one when the work begins.
        failed: is called for each failure that interrupts the work.
    """

    crawled: Callable[[CrawlState], None] = lambda _: None
    failed: Callable[[], None] = lambda: None


@frozen(eq=False, repr=False)
class ImageRefresher:
    """Keeps the index up to date for as long as a worker runs.

    Attributes:
        index: has the lease and the changes.
        state: has the progress of a crawl, and the apps to be added up.
        changes: reads changes.
        crawler: reads the whole registry, with pauses.
        counter: adds up the images of apps.
        holder: random name of this worker.
        clock: the current time.
        logger: for failures.
        has_room: whether data that can wait may be written to Redis now.
        metrics: of the refresher.
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
        """Work whenever this worker gets the lease, until cancelled."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_EVERY)
        finally:
            with suppress(StoreUnavailable):
                await self.index.release(self.holder)

    async def _look(self) -> None:
        """Work if no other worker has the lease."""
        try:
            if await self.index.lease(self.holder, LEASE_SECONDS):
                await self._work()
        except StoreUnavailable:
            pass  # other parts report it, and the work continues from its position
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
        """Repeat a job, which returns the seconds until the next time; wait ever longer while the registry is down.

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
        """Read changes."""
        await self.changes.read()
        return CHANGES_EVERY

    async def _crawl_when_due(self) -> float:
        """Make a crawl if one is due, or continue one."""
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
            # The next worker with the lease adds it up; if Redis is down, the next crawl requests it again.
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
