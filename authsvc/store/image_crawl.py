"""Stores the progress of the crawl of the registry, and the totals of the images of each app."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from attrs import Factory, field, frozen

from authsvc.images.index import AppImages
from authsvc.images.summary import BlobList, ImageSummary
from authsvc.store import keys
from authsvc.store.apps import RedisApps
from authsvc.store.image_format import SEPARATOR, decode_blobs, decode_summary
from authsvc.store.image_index import MAX_APP_BYTES, MAX_APP_TAGS
from authsvc.store.lists import STEP
from authsvc.store.records import Records
from authsvc.tenancy.pages import MAX_PAGE


@frozen
class StoredImage:
    """The stored data of an image.

    Attributes:
        digest: of it.
        summary: None when it is not known.
        blobs: None when they are not known.
        bytes: that it takes in Redis, approximately.
    """

    digest: str
    summary: ImageSummary | None
    blobs: tuple[BlobList, ...] | None
    bytes: int


@frozen(eq=False, repr=False)
class RedisImageCrawl:
    """Reads and writes a crawl's data other than tags. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        records: of the installation.
    """

    records: Records
    _apps: RedisApps = field(
        init=False, repr=False, default=Factory(lambda self: RedisApps(self.records), takes_self=True)
    )

    async def begin(self, at: datetime) -> None:
        """Record that a crawl begins."""
        await self._set({"started_at": at.isoformat(), "repositories": 0, "outside": 0, "errors": 0}, "last")

    async def advance(self, last: str, counts: Mapping[str, int]) -> None:
        """Record that a crawl has read everything up to a repository, and its counts since the last call."""
        redis = self.records.connection.redis
        async with redis.pipeline(transaction=True) as change:
            _ = change.hset(keys.IMAGES_CRAWL, "last", last)
            for name, count in counts.items():
                _ = change.hincrby(keys.IMAGES_CRAWL, name, count)
            await self.records.connection.run(change.execute())

    async def end(self, at: datetime, seconds: int) -> None:
        """Record that a crawl is complete."""
        await self._set({"ended_at": at.isoformat(), "seconds": seconds}, "started_at", "last")

    async def known_apps(self, slugs: Collection[str]) -> set[str]:
        """Return those of some slugs that are an app's, archived ones too."""
        names = sorted(set(slugs))
        raws = await self.records.connection.get_all(*map(keys.app, names))
        return {slug for slug, raw in zip(names, raws, strict=True) if raw is not None}

    async def apps(self) -> AsyncIterator[str]:
        """Yield the slug of every app, archived ones too."""
        after = None
        while True:
            page = await self._apps.page(None, after, MAX_PAGE, archived=True)
            for app in page.items:
                yield app.slug
            after = page.next
            if after is None:
                return

    async def repositories(self, app: str) -> AsyncIterator[tuple[str, str]]:
        """Yield every repository of an app that is in the index, with the name of the last crawl that read it."""
        connection, after = self.records.connection, ""
        while entries := await self.records.indexes.entries(keys.index("repositories", app), after=after, limit=STEP):
            for entry in entries:
                name = entry.removesuffix(SEPARATOR)
                key = keys.repository(name)
                crawl = await connection.read(lambda: connection.redis.hget(key, "crawl"))  # noqa: B023
                yield name, (crawl or b"").decode()
            after = entries[-1]

    async def digests(self, repository: str) -> AsyncIterator[tuple[int, list[str]]]:
        """Yield the digests of a repository's tags, some at a time, with the number of those tags."""
        index, after, last = keys.index("image-digests", repository), "", ""
        while entries := await self.records.indexes.entries(index, after=after, limit=STEP):
            found = dict.fromkeys(entry.partition(SEPARATOR)[0] for entry in entries)
            yield len(entries), [digest for digest in found if digest != last]
            after, last = entries[-1], entries[-1].partition(SEPARATOR)[0]

    async def images(self, app: str, digests: Sequence[str]) -> list[StoredImage]:
        """Return the stored data of images, whose digests are in the form of :meth:`digests`."""
        names = [key(app, digest) for digest in digests for key in (keys.image, keys.image_blobs)]
        raws = await self.records.connection.get_all(*names)
        return [
            StoredImage(
                digest,
                decode_summary(self.records.codec, summary),
                decode_blobs(blobs),
                sum(len(raw) for raw in (summary, blobs) if raw is not None),
            )
            for digest, summary, blobs in zip(digests, raws[::2], raws[1::2], strict=True)
        ]

    async def take_uncounted(self) -> str | None:
        """Return an app whose images have changed since they were last added up; it counts as added up now."""
        found = await self.records.connection.run(self.records.connection.redis.spop(keys.IMAGES_UNCOUNTED))
        return None if found is None else found.decode()

    async def mark_uncounted(self, app: str) -> None:
        """Mark the images of an app to be added up."""
        await self.records.connection.run(self.records.connection.redis.sadd(keys.IMAGES_UNCOUNTED, app))

    async def save_sum(self, total: AppImages, size: int) -> None:
        """Store the totals of the images of an app, and the bytes that they take in Redis."""
        fields: dict[str, str | int] = {
            name: getattr(total, name) for name in ("repositories", "tags", "size", "unsized", "leftovers")
        }
        fields |= {
            "counted_at": total.counted_at.isoformat(),
            "bytes": size,
            "is_full": int(total.tags >= MAX_APP_TAGS or size >= MAX_APP_BYTES),
        }
        redis = self.records.connection.redis
        await self.records.connection.run(
            redis.hset(keys.app_images(total.app), mapping=cast("Mapping[Any, Any]", fields))
        )

    async def _set(self, fields: Mapping[str, str | int], *removed: str) -> None:
        redis = self.records.connection.redis
        async with redis.pipeline(transaction=True) as change:
            _ = change.hset(keys.IMAGES_CRAWL, mapping=cast("Mapping[Any, Any]", fields))
            _ = change.hdel(keys.IMAGES_CRAWL, *removed)
            await self.records.connection.run(change.execute())
