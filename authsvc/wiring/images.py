"""The index of images in a worker: its background task, and its access to the registry."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attrs import frozen

from authsvc.errors import RegistryUnavailable
from authsvc.image_index.change_reader import ChangeReader
from authsvc.image_index.counter import ImageCounter
from authsvc.image_index.crawler import Crawler
from authsvc.image_index.pace import Pace
from authsvc.image_index.refresher import ImageRefresher, RefreshMetrics
from authsvc.image_index.repository_update import RepositoryUpdate
from authsvc.images.index import CrawlState
from authsvc.images.summary import DescribedImage
from authsvc.logs import Logger
from authsvc.manage.images import RegistryImages
from authsvc.metrics.catalogue import (
    IMAGES_CRAWL_SECONDS,
    IMAGES_CRAWL_UNREAD,
    IMAGES_CRAWLED,
    IMAGES_FAILURES,
    IMAGES_WAITING,
)
from authsvc.metrics.shared_metrics import Slot
from authsvc.processes.waiting import ended
from authsvc.registries.access import RegistryAccess
from authsvc.registries.image_reader import ImageReader
from authsvc.registries.reader import RegistryReader
from authsvc.registries.session import RegistrySession
from authsvc.settings import Settings
from authsvc.store.activity_crawl import RedisActivityCrawl
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.image_crawl import RedisImageCrawl
from authsvc.store.image_index import RedisImageIndex
from authsvc.store.images import RedisImages
from authsvc.store.records import Records
from authsvc.system_token import SystemTokens
from authsvc.wiring import NO_REGISTRY, clock

GENTLE = Pace(1.0)
"""A crawl pauses for as long as it works."""


@frozen(eq=False, repr=False)
class NoRegistry:
    """Stands in for a registry whose URL is not configured; refuses every request."""

    async def find(self, repository: str, reference: str) -> DescribedImage | None:  # noqa: ARG002  as every registry
        """Refuse."""
        raise RegistryUnavailable(NO_REGISTRY)

    async def count_tags(self, repository: str) -> int:  # noqa: ARG002  the same
        """Refuse."""
        raise RegistryUnavailable(NO_REGISTRY)


def registry_images(session: RegistrySession | None, tokens: SystemTokens) -> RegistryImages:
    """Return the registry for the use cases of a worker."""
    return NoRegistry() if session is None else image_reader(session, tokens)


def image_reader(session: RegistrySession, tokens: SystemTokens) -> ImageReader:
    """Return a reader of the registry on an open session."""
    return ImageReader(RegistryReader(session, RegistryAccess(tokens, clock)))


@asynccontextmanager
async def indexed_registry(
    settings: Settings,
    tokens: SystemTokens,
    holder: str,
    logger: Logger,
    slot: Slot,
    has_room: Callable[[], bool],
) -> AsyncIterator[RegistrySession | None]:
    """Yield a session to the registry, or None without one, and update the index of images in the background.

    The background task has separate connections.

    Args:
        settings: of the installation.
        tokens: make the tokens for the registry.
        holder: random name of this worker.
        logger: for crawls and failures.
        slot: of the metrics.
        has_room: whether data that can wait may be written to Redis now.
    """
    if settings.registry_url is None:
        yield None
        return
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    async with RegistrySession(settings.registry_url) as asking, RegistrySession(settings.registry_url) as session:
        records = Records(connection, Codec())
        index, state, reading = (
            RedisImageIndex(connection, records.codec),
            RedisImageCrawl(records),
            RedisImages(records),
        )
        reader = image_reader(session, tokens)
        crawled, failed, waiting = _counting(slot)
        crawling = RepositoryUpdate(index, reader, clock, GENTLE, RedisActivityCrawl(connection))
        refresher = ImageRefresher(
            index,
            state,
            ChangeReader(index, state, RepositoryUpdate(index, reader, clock), logger, failed, waiting),
            Crawler(state, reading, crawling, clock, logger),
            ImageCounter(state, clock, GENTLE),
            holder,
            clock,
            logger,
            has_room,
            RefreshMetrics(crawled, failed),
        )
        task = asyncio.create_task(refresher.run())
        try:
            yield asking
        finally:
            await ended(task)
            await connection.close()


def _counting(slot: Slot) -> tuple[Callable[[CrawlState], None], Callable[[], None], Callable[[int], None]]:
    """Return what counts crawls, failures, and changes that wait."""

    def crawled(state: CrawlState) -> None:
        if state.ended_at is not None:
            slot.set(IMAGES_CRAWLED, int(state.ended_at.timestamp()))
            slot.set(IMAGES_CRAWL_SECONDS, state.seconds)
        if state.started_at is None:
            slot.set(IMAGES_CRAWL_UNREAD, state.errors)

    def failed() -> None:
        slot.inc(IMAGES_FAILURES)

    def waiting(count: int) -> None:
        slot.set(IMAGES_WAITING, count)

    return crawled, failed, waiting
