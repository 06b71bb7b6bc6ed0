"""Compares a repository, or one tag of it, with the registry, and writes differences into the index.

A tag is removed from the index only when a request for that tag returns that it does not exist: a list of tags that was
read a moment ago does not contain a tag that was pushed since.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from attrs import Factory, define, field, frozen

from authsvc.errors import RegistryUnavailable
from authsvc.image_index.pace import Pace
from authsvc.images.evidence import Evidence, evidence_in
from authsvc.images.index import IndexChange
from authsvc.images.manifest import INDEXES, parse_manifest
from authsvc.images.summary import DescribedImage
from authsvc.processes.waiting import all_of
from authsvc.registries.image_reader import ImageReader
from authsvc.registries.reader import ManifestContent
from authsvc.spec.reference import is_tag
from authsvc.store.image_index import STEP, RedisImageIndex

AT_ONCE = 4
"""Most simultaneous requests to the registry."""

MAX_TAGS = 100_000
"""Most tags of a repository that are in the index."""

MAX_NEW_TAGS = 100
"""Most tags of a new repository that is read completely at once; a larger one waits for a crawl."""

MAX_FAILURES = 3
"""The registry counts as down after this many consecutive tags that could not be read."""

ATTEMPTS = 3
"""How often a tag is read again when it is changed concurrently."""


class TagObserver(Protocol):
    """Is notified of the tags that were found in the registry."""

    async def reconcile(
        self, repository: str, found: Mapping[str, str], gone: Collection[str], as_of: datetime
    ) -> int: ...


@frozen
class RepositoryRead:
    """The result of comparing a repository.

    Attributes:
        tags: number of tags in the registry.
        changed: number of tags, including deleted ones, that were different in the index.
        unread: number of tags that could not be read.
    """

    tags: int = 0
    changed: int = 0
    unread: int = 0


@define
class _TagBatch:
    """Some tags of a repository: as in the index, and as found in the registry."""

    known: dict[str, str]
    found: dict[str, str] = field(factory=dict)
    contents: dict[str, ManifestContent] = field(factory=dict)
    gone: list[str] = field(factory=list)
    unread: set[str] = field(factory=set)


@frozen(eq=False, repr=False)
class RepositoryUpdate:
    """Compares repositories.

    Every method raises StoreUnavailable when Redis does not answer, and RegistryUnavailable when the registry does not.

    Attributes:
        index: is updated.
        images: reads and describes images.
        clock: the current time.
        pace: makes pauses for the registry.
        observer: is notified of what a crawl finds; None for no observer.
    """

    index: RedisImageIndex
    images: ImageReader
    clock: Callable[[], datetime]
    pace: Pace = Factory(Pace)
    observer: TagObserver | None = None

    async def whole(self, repository: str, app: str, crawl: str = "") -> RepositoryRead:
        """Compare every tag. ``crawl`` is the name of the crawl that this is part of."""
        read_at = self.clock()
        names, all_tags = await self._names(repository)
        has_room = await self.index.has_room(app)
        result, referring = RepositoryRead(), dict[str, frozenset[Evidence]]()
        for part in _parts(sorted(names)):
            batch = _TagBatch(await self.index.digests(repository, part))
            wanted = part if has_room else [tag for tag in part if tag in batch.known]
            all_tags = all_tags and len(wanted) == len(part)
            await self._read(repository, batch, wanted)
            changed = await self._write(repository, app, batch)
            result = _added(result, RepositoryRead(len(batch.found), changed, len(batch.unread)))
            if crawl:
                await self._observe(repository, batch, read_at)
                referring |= await self._referrers(repository, batch.found.values())
        result = _added(result, await self._drop_absent(repository, app, names, read_at if crawl else None))
        if crawl:
            await self.index.save_referrers(repository, referring)
        await self.index.finish(repository, read_at, crawl, all_tags=all_tags, unread=result.unread)
        return result

    async def tag(self, repository: str, app: str, tag: str) -> None:
        """Compare one tag."""
        for _ in range(ATTEMPTS):
            batch = _TagBatch(await self.index.digests(repository, [tag]))
            if not batch.known and not await self.index.has_room(app):
                return
            content = await self.pace.of(self.images.reader.manifest(repository, tag, batch.known.get(tag)))
            _sort_in(batch, tag, content)
            if not await self._conflicts(repository, app, batch):
                await self._read_new(repository, app)
                return
        await self.index.mark_changed(f"{repository}:{tag}")

    async def _read_new(self, repository: str, app: str) -> None:
        """Compare all tags of a new repository, so that all are known now, not only after a crawl."""
        if not await self.index.is_new(repository, MAX_NEW_TAGS):
            return
        names, _ = await self._names(repository)
        if len(names) <= MAX_NEW_TAGS:
            await self.whole(repository, app)

    async def digest(self, repository: str, app: str, digest: str) -> None:
        """Compare every tag that the index has for a digest."""
        last = ""
        while tags := await self.index.tags_of(repository, digest, last):
            batch = _TagBatch(dict.fromkeys(tags, digest))
            await self._read(repository, batch, tags)
            for tag in await self._conflicts(repository, app, batch):
                await self.index.mark_changed(f"{repository}:{tag}")
            last = tags[-1]

    async def _names(self, repository: str) -> tuple[set[str], bool]:
        """Return the names of a repository's tags, and whether they are complete."""
        names, last = set[str](), None
        while True:
            page = await self.images.reader.tags(repository, last)
            if page is None:
                return set(), True
            names.update(filter(is_tag, page.names))
            if len(names) > MAX_TAGS:
                return set(sorted(names)[:MAX_TAGS]), False
            if page.last is None or page.last == last:
                return names, True
            last = page.last

    async def _read(self, repository: str, batch: _TagBatch, tags: Sequence[str]) -> None:
        """Read some tags, a few at a time."""
        waiting, failures = iter(tags), 0

        async def read_next() -> None:
            nonlocal failures
            for tag in waiting:
                try:
                    content = await self.pace.of(self.images.reader.manifest(repository, tag, batch.known.get(tag)))
                except RegistryUnavailable:
                    failures += 1
                    batch.unread.add(tag)
                    if failures >= MAX_FAILURES:
                        raise
                else:
                    failures = 0
                    _sort_in(batch, tag, content)

        await all_of(*(read_next() for _ in range(AT_ONCE)))

    async def _write(self, repository: str, app: str, batch: _TagBatch) -> int:
        """Write the differences and return their number. Concurrent changes are newer, and are kept."""
        conflicts = await self._conflicts(repository, app, batch)
        return sum(batch.known.get(tag) != digest for tag, digest in batch.found.items()) - len(conflicts)

    async def _conflicts(self, repository: str, app: str, batch: _TagBatch) -> list[str]:
        """Store unknown images, and then the tags that point to them; return tags that were changed concurrently."""
        await self._describe(repository, app, batch)
        changes = [
            IndexChange(tag, batch.known.get(tag), digest)
            for tag, digest in batch.found.items()
            if batch.known.get(tag) != digest
        ]
        changes += [IndexChange(tag, batch.known[tag], None) for tag in batch.gone if tag in batch.known]
        return await self.index.apply(repository, app, changes, self.clock()) if changes else []

    async def _describe(self, repository: str, app: str, batch: _TagBatch) -> None:
        """Store descriptions of images that are not known, or whose description is only temporary."""
        missing = await self.index.missing(app, list(dict.fromkeys(batch.found.values())))
        described: list[DescribedImage] = []
        for digest in sorted(missing):
            content = batch.contents.get(digest)
            try:
                if content is None:
                    content = await self.pace.of(self.images.reader.manifest(repository, digest))
                if content is not None:
                    described.append(await self.pace.of(self.images.describe(repository, content)))
            except RegistryUnavailable:
                # The tags of a damaged image are shown nevertheless.
                batch.unread |= {tag for tag, found in batch.found.items() if found == digest}
        await self.index.save(app, described)

    async def _drop_absent(
        self, repository: str, app: str, names: Collection[str], observed_at: datetime | None
    ) -> RepositoryRead:
        """Remove tags from the index that were not listed and do not exist."""
        last, dropped, unread = "", 0, 0
        while page := await self.index.tags(repository, last):
            last = page[-1][0]
            batch = _TagBatch({tag: digest for tag, digest in page if tag not in names})
            if not batch.known:
                continue
            await self._read(repository, batch, list(batch.known))
            await self._conflicts(repository, app, batch)
            dropped, unread = dropped + len(batch.gone), unread + len(batch.unread)
            if observed_at is not None:
                await self._observe(repository, batch, observed_at)
        return RepositoryRead(0, dropped, unread)

    async def _observe(self, repository: str, batch: _TagBatch, as_of: datetime) -> None:
        if self.observer is not None:
            await self.observer.reconcile(repository, batch.found, batch.gone, as_of)

    async def _referrers(self, repository: str, digests: Collection[str]) -> dict[str, frozenset[Evidence]]:
        """Return the referrers of some manifests, if the registry lists them: no released distribution does."""
        found = dict[str, frozenset[Evidence]]()
        for digest in dict.fromkeys(digests):
            content = await self.pace.of(self.images.reader.referrers(repository, digest))
            if content is None:
                return {}
            found[digest] = evidence_in(parse_manifest(content, INDEXES[0]))
        return found


def _sort_in(batch: _TagBatch, tag: str, content: ManifestContent | None) -> None:
    if content is None:
        batch.gone.append(tag)
        return
    batch.found[tag] = content.digest
    if content.content is not None or content.media_type:
        batch.contents[content.digest] = content


def _parts(tags: Sequence[str]) -> Iterator[Sequence[str]]:
    return (tags[start : start + STEP] for start in range(0, len(tags), STEP))


def _added(one: RepositoryRead, other: RepositoryRead) -> RepositoryRead:
    return RepositoryRead(one.tags + other.tags, one.changed + other.changed, one.unread + other.unread)
