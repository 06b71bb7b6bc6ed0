"""Reads what depends on an image: the digests of all tags of its repository, and the indexes that contain it."""

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress

from attrs import field, frozen

from authsvc.errors import Conflict, RegistryUnavailable
from authsvc.images.manifest import INDEXES, Manifest, parse_manifest
from authsvc.images.manifest_use import ContainingIndex, ManifestUse, RepositoryTags, attached_tags, mentioned_digests
from authsvc.registries.reader import MAX_MANIFEST, ManifestContent, RegistryReader
from authsvc.registries.session import NO_ANSWER
from authsvc.registries.writer import RepositoryWriter

AT_ONCE = 4
"""Most simultaneous requests: deleting leaves room for other requests to the registry."""

PAUSES = (0.02, 0.2)
"""Seconds after which a tag is read again."""

MAX_TAGS = 20_000
"""Most tags of a repository among which a deletion searches for tags of the same manifest."""

MAX_NESTED = 3
"""Most indexes within each other that are followed."""

DEADLINE = 100.0
"""Seconds for reading all tags of a repository, or all tagged manifests: some seconds per 1,000 are usual."""

TOO_MANY = f"the repository has more than {MAX_TAGS:,} tags, too many to look at each one before an image is deleted"


@frozen(eq=False, repr=False)
class RepositoryReader:
    """Reads one repository. Every method raises RegistryUnavailable when the registry gives no usable answer.

    Attributes:
        reader: of its registry.
        writer: of the repository.
    """

    reader: RegistryReader = field(repr=False)
    writer: RepositoryWriter

    @property
    def repository(self) -> str:
        """Its name."""
        return self.writer.repository

    async def digest(self, tag: str, expected: str | None = None) -> str | None:
        """Return the digest of a tag; None without one. Not reported as a pull if it is ``expected``.

        A registry that keeps its files on a disk answers with an error while the tag is being written: it empties the
        file first. So the request is repeated.
        """
        for pause in PAUSES:
            with suppress(RegistryUnavailable):
                return await self.reader.digest(self.repository, tag, expected)
            await asyncio.sleep(pause)
        return await self.reader.digest(self.repository, tag, expected)

    async def tags(self, expected: Mapping[str, str | None]) -> RepositoryTags:
        """Return the current digest of every tag; empty when there is no such repository.

        Args:
            expected: probable digests of tags. If a digest is right, the registry does not report a pull.

        Raises:
            Conflict: there are too many tags.
        """
        names = iter(await self.names())
        found: dict[str, str | None] = {}

        async def look(names: Iterator[str]) -> None:
            for tag in names:
                found[tag] = await self.digest(tag, expected.get(tag))

        await _at_once(look(names) for _ in range(AT_ONCE))
        return RepositoryTags(found)

    async def use(self, manifest: ManifestContent, tags: RepositoryTags) -> ManifestUse:
        """Return what depends on a manifest."""
        digest, indexes = manifest.digest, list[ContainingIndex]()
        others = iter([other for other in tags.tagged() if other != digest])
        parts = set(_listed(manifest)).difference(tags.tagged())

        async def look(others: Iterator[str]) -> None:
            for other in others:
                found = await self.mentioned(other, {digest, *parts})
                parts.difference_update(found)
                indexes.extend([ContainingIndex(other, tags.of(other))] if digest in found else [])

        await _at_once(look(others) for _ in range(AT_ONCE))
        attached = {*attached_tags(digest, tags.digests), *await self._referrers(digest)}
        by_digest = sorted(indexes, key=lambda index: index.digest)
        return ManifestUse(
            digest, tags.of(digest), tuple(by_digest), tuple(sorted(attached)), tuple(sorted(parts - {digest}))
        )

    async def names(self) -> list[str]:
        """Return all tags, each once.

        Raises:
            Conflict: there are too many.
        """
        names: dict[str, None] = {}
        last = None
        while True:
            part = await self.reader.tags(self.repository, last)
            if part is None:
                return []
            names.update(dict.fromkeys(part.names))
            if len(names) > MAX_TAGS:
                raise Conflict(TOO_MANY, code="tags_too_many")
            if part.last is None or part.last == last:
                return list(names)
            last = part.last

    async def mentioned(self, other: str, wanted: Collection[str], depth: int = MAX_NESTED) -> frozenset[str]:
        """Return those of some manifests that are in ``other``, if it is an index, or in an index within it.

        One that is too long to be read, or cannot be parsed, may contain all of them, so it counts as containing them.
        """
        found = await self.writer.original(other)
        if found is None or found.content is None or found.media_type not in INDEXES:
            return frozenset()
        mentioned = mentioned_digests(found.content).intersection(wanted)
        manifest = _parsed(found)
        if manifest is None:
            return frozenset(wanted)
        for child in dict.fromkeys(child.digest for child in manifest.children if child.media_type in INDEXES):
            if len(mentioned) == len(wanted):
                break
            mentioned |= await self.mentioned(child, wanted, depth - 1) if depth > 1 else frozenset(wanted)
        return mentioned

    async def _referrers(self, digest: str) -> frozenset[str]:
        """Return the digests of the referrers of a manifest, if the registry lists them: 2.8 does not."""
        content = await self.reader.referrers(self.repository, digest)
        return frozenset() if content is None else mentioned_digests(content) - {digest}


def _listed(manifest: ManifestContent) -> tuple[str, ...]:
    """Return the digests of what an index lists."""
    parsed = _parsed(manifest)
    return () if parsed is None else tuple(child.digest for child in parsed.children)


def _parsed(manifest: ManifestContent) -> Manifest | None:
    """Return a manifest that is short enough: parsing four megabytes would block all other requests."""
    if manifest.content is None or len(manifest.content) > MAX_MANIFEST:
        return None
    return parse_manifest(manifest.content, manifest.media_type)


async def _at_once(jobs: Iterable[Coroutine[None, None, None]]) -> None:
    """Wait for all jobs; when one fails, the others are cancelled, and its error is raised.

    Raises:
        AuthsvcError: that of the job.
        RegistryUnavailable: they take too long together.
    """
    try:
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    except TimeoutError as late:
        raise RegistryUnavailable(NO_ANSWER, detail=f"no answers to all questions in {DEADLINE:.0f} s") from late
