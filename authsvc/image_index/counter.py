"""Adds up the images of an app: repositories, tags, and bytes, where a blob that is in several images counts once."""

from collections.abc import Callable
from datetime import datetime

from attrs import define, field, frozen

from authsvc.image_index.pace import Pace
from authsvc.images import placeholder
from authsvc.images.index import AppImages
from authsvc.images.manifest import ImageKind
from authsvc.store.image_crawl import RedisImageCrawl, StoredImage

STEP = 50
"""Images that are read with one command."""

MAX_BLOBS = 500_000
"""Most distinct blobs of an app that are counted; beyond them, the size of further images is unknown."""


@define
class _Sum:
    tags: int = 0
    repositories: int = 0
    leftovers: int = 0
    bytes: int = 0
    unsized: int = 0
    blobs: dict[str, int] = field(factory=dict)
    seen: set[str] = field(factory=set)

    def add(self, image: StoredImage) -> None:
        """Add an image that was not added yet."""
        self.bytes += image.bytes
        summary = image.summary
        if summary is not None and summary.artifact_type == placeholder.ARTIFACT_TYPE:
            self.leftovers += 1
        is_known = summary is not None and summary.kind is not ImageKind.UNKNOWN and summary.size is not None
        if not is_known or image.blobs is None or len(self.blobs) > MAX_BLOBS:
            self.unsized += 1
            return
        for one in image.blobs:
            self.blobs |= {blob.digest: blob.size for blob in one.blobs}


@frozen(eq=False, repr=False)
class ImageCounter:
    """Adds up the images of apps.

    Attributes:
        crawl: reads and writes the index.
        clock: the current time.
        pace: makes pauses, in which Redis and this process serve other requests.
    """

    crawl: RedisImageCrawl
    clock: Callable[[], datetime]
    pace: Pace

    async def count(self, app: str) -> AppImages:
        """Store and return the totals of the images of an app.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        counted_at, total = self.clock(), _Sum()
        async for repository, _ in self.crawl.repositories(app):
            total.repositories += 1
            async for tags, digests in self.crawl.digests(repository):
                total.tags += tags
                new = [digest for digest in digests if digest not in total.seen]
                total.seen.update(new)
                for start in range(0, len(new), STEP):
                    for image in await self.pace.of(self.crawl.images(app, new[start : start + STEP])):
                        total.add(image)
        found = AppImages(
            app=app,
            repositories=total.repositories,
            tags=total.tags,
            size=sum(total.blobs.values()),
            unsized=total.unsized,
            leftovers=total.leftovers,
            counted_at=counted_at,
        )
        await self.crawl.save_sum(found, total.bytes)
        return found
