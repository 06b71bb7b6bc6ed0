"""Crawls the registry: all repositories in its catalog, and then those in the index that the catalog did not list.

Its position is stored in Redis, so that another worker continues there after a crash. The catalog lists the
repositories of all teams; only those under the slug of an app are read.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

from attrs import frozen

from authsvc.errors import RegistryUnavailable
from authsvc.image_index.repository_update import RepositoryUpdate
from authsvc.images.index import CrawlState
from authsvc.logs import Logger
from authsvc.policy import locate
from authsvc.store.image_crawl import RedisImageCrawl
from authsvc.store.images import RedisImages

MAX_FAILURES = 3
"""The registry counts as down after this many consecutive repositories that could not be read."""

MAX_NAMED = 10
"""Most repositories outside of apps that a crawl lists in the log."""


@frozen(eq=False, repr=False)
class Crawler:
    """Makes crawls.

    Attributes:
        state: stores the position of a crawl.
        reading: reads the progress of a crawl.
        update: compares one repository.
        clock: the current time.
        logger: for the beginning and the end of a crawl.
    """

    state: RedisImageCrawl
    reading: RedisImages
    update: RepositoryUpdate
    clock: Callable[[], datetime]
    logger: Logger

    async def run(self) -> CrawlState:
        """Make a crawl, or continue one that was begun, and return its result.

        Raises:
            StoreUnavailable: Redis does not answer; the next run continues from the same position.
            RegistryUnavailable: the registry does not answer, with the same effect.
            SignerUnavailable: no token can be signed, with the same effect.
        """
        before = await self.reading.crawl()
        if before.started_at is None:
            await self.state.begin(self.clock())
            before = await self.reading.crawl()
        started_at = before.started_at or self.clock()
        name, last = started_at.isoformat(), before.last
        self.logger.info("images.crawl_begin", after=last)
        while True:
            page = await self.update.images.reader.catalog(last)
            await self._read(page.names, name)
            if page.last is None or page.last == last:
                break
            last = page.last
        await self._read_unlisted(name)
        now = self.clock()
        await self.state.end(now, max(0, int((now - started_at).total_seconds())))
        async for app in self.state.apps():
            await self.state.mark_uncounted(app)
        after = await self.reading.crawl()
        self.logger.info(
            "images.crawl_end",
            seconds=after.seconds,
            repositories=after.repositories,
            outside=after.outside,
            errors=after.errors,
        )
        return after

    async def _read(self, names: Sequence[str], crawl: str) -> None:
        """Read the repositories of a page of the catalog; store the position after each."""
        places = {name: locate(name) for name in names}
        apps = await self.state.known_apps({place.app for place in places.values() if place is not None})
        counts, failures, outside = Counter[str](), 0, list[str]()
        for name, place in places.items():
            counts["repositories"] += 1
            if place is None or place.upstream is not None or place.app not in apps:
                counts["outside"] += 1
                outside.append(name)
                continue
            try:
                counts["errors"] += await self._whole(name, place.app, crawl)
                failures = 0
            except RegistryUnavailable as error:
                failures += 1
                counts["errors"] += 1
                self.logger.warning("images.unreadable", repository=name, detail=error.detail)
                if failures >= MAX_FAILURES:
                    raise
                continue
            await self.state.advance(name, counts)
            counts.clear()
        if outside:
            self.logger.info("images.outside", repositories=len(outside), names=[n[:100] for n in outside[:MAX_NAMED]])
        if names:
            await self.state.advance(names[-1], counts)

    async def _whole(self, name: str, app: str, crawl: str) -> int:
        """Read a repository; return how many of its tags could not be read."""
        read = await self.update.whole(name, app, crawl)
        if read.unread:
            self.logger.warning("images.unreadable", repository=name, tags=read.unread)
        return read.unread

    async def _read_unlisted(self, crawl: str) -> None:
        """Read repositories of the index that this crawl has not read: the registry may no longer have them."""
        failures = 0
        async for app in self.state.apps():
            async for name, last_crawl in self.state.repositories(app):
                if last_crawl == crawl:
                    continue
                try:
                    await self._whole(name, app, crawl)
                    failures = 0
                except RegistryUnavailable:
                    failures += 1
                    if failures >= MAX_FAILURES:
                        raise
