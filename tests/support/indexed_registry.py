"""A registry for tests of who may delete: it holds what the index of images says, and forgets that it was deleted."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from attrs import frozen

from authsvc.images.manifest_use import ManifestUse, RepositoryTags
from authsvc.registries.deletion import Deleted, DeletionOutcome, DeletionPlan
from authsvc.registries.reader import ManifestContent
from authsvc.registries.tag_deletion import RepositoryLock
from tests.support.oci import MANIFEST


@frozen
class IndexedRepository:
    """One repository."""

    async def outcome(
        self, tag: str, expected: str | None, siblings: Callable[[str], Awaitable[Sequence[str]]]
    ) -> DeletionOutcome | None:
        """Return what deleting a tag would do."""
        kept = () if expected is None else tuple(one for one in await siblings(expected) if one != tag)
        return None if expected is None else DeletionOutcome(tag, expected, (tag,), kept, deletes_manifest=not kept)

    async def plan(
        self, tag: str | None, digest: str | None, expected: Mapping[str, str | None]
    ) -> DeletionPlan | None:
        """Return what deleting would do."""
        found = expected.get(tag) if tag is not None else digest
        if found is None:
            return None
        tags = RepositoryTags(expected)
        return DeletionPlan(tag, ManifestUse(found, tags.of(found)), tags, ManifestContent(found, MANIFEST, b"{}"))

    async def carry_out(self, plan: DeletionPlan) -> Deleted:
        """Return what was deleted."""
        left = {tag: digest for tag, digest in plan.before.digests.items() if tag not in plan.tags}
        return Deleted(plan.tags, plan.deletes_manifest, {}, (), RepositoryTags(left), sure=True)


@frozen
class IndexedRegistry:
    """It implements :class:`authsvc.manage.image_deletions.RegistryDeletions`."""

    @asynccontextmanager
    async def repository(
        self, name: str, lock: RepositoryLock, entropy: Callable[[int], bytes]
    ) -> AsyncIterator[IndexedRepository]:
        """Yield what deletes from a repository."""
        del name, lock, entropy
        yield IndexedRepository()
