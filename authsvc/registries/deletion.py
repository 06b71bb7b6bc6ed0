"""Deletes an image from a registry by its tag or its digest, without losing other images.

Deleting a tag deletes the manifest only if it is the last tag and nothing else needs the manifest. Deleting a digest
deletes all of its tags. Registries have no conditional requests ("only if the tag still points there"). So the tag is
read right before each change, all tags of the repository are read after it, and a concurrent push that was lost is
found in the registry's events and restored.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from attrs import evolve, field, frozen

from authsvc.errors import Conflict
from authsvc.images.manifest_use import ContainingIndex, ManifestUse, RepositoryTags
from authsvc.images.placeholder import read_placeholder
from authsvc.images.tag_changes import TagChange, is_complete, lost_pushes
from authsvc.registries.reader import ManifestContent
from authsvc.registries.repository_reader import RepositoryReader
from authsvc.registries.tag_deletion import CHANGED, RepositoryLock, TagDeletion, persist
from authsvc.registries.writer import DeleteReply

T = TypeVar("T")

MAX_SIBLINGS = 3
"""Most tags that are read to find one with the same digest."""


class TagEvents(Protocol):
    """The registry's reports about pushes and deletions in a repository."""

    async def position(self, repository: str) -> str:
        """Return the current position of the reports.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        ...

    async def since(
        self, repository: str, position: str, complete: Callable[[tuple[TagChange, ...]], bool]
    ) -> tuple[TagChange, ...] | None:
        """Return what was reported since, in order, as soon as it is ``complete``; None when it is not, soon enough.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        ...


@frozen
class DeletionOutcome:
    """The predicted effect of a deletion, for the user; it is never carried out itself.

    Attributes:
        tag: to be deleted; None when the digest is deleted with all of its tags.
        digest: of the manifest; None for a tag whose manifest is gone.
        tags: that are deleted.
        kept: other tags of the manifest, which stay.
        all_kept: whether ``kept`` has all of them.
        deletes_manifest: whether the manifest is deleted; None when the other tags of the repository were not read.
        indexes: tagged ones that break.
        is_leftover: as in :class:`DeletionPlan`.
    """

    tag: str | None
    digest: str | None
    tags: tuple[str, ...]
    kept: tuple[str, ...] = ()
    all_kept: bool = True
    deletes_manifest: bool | None = None
    indexes: tuple[ContainingIndex, ...] = ()
    is_leftover: bool = False


@frozen
class DeletionPlan:
    """The effect of a deletion, according to one reading of the repository.

    Attributes:
        tag: to be deleted; None when the digest is deleted with all of its tags.
        use: of the manifest.
        before: digest of every tag.
        original: the whole manifest; None for a tag whose manifest is gone.
        is_leftover: whether the tag points to a placeholder, left behind by an unfinished deletion.
        replaced: digest that the placeholder names as replaced.
        position: of the registry's reports before the reading.
    """

    tag: str | None
    use: ManifestUse
    before: RepositoryTags
    original: ManifestContent | None = field(repr=False)
    is_leftover: bool = False
    replaced: str | None = None
    position: str = ""

    @property
    def digest(self) -> str | None:
        """Of the manifest; None for a tag whose manifest is gone."""
        return self.use.digest

    @property
    def deletes_manifest(self) -> bool:
        """Whether the manifest is deleted."""
        return self.tag is None or (self.digest is not None and not self.use.needs_manifest(self.tag))

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that are deleted."""
        return self.use.tags if self.tag is None else (self.tag,)

    @property
    def kept(self) -> tuple[str, ...]:
        """The other tags of the manifest, which stay."""
        return tuple(tag for tag in self.use.tags if tag not in self.tags)

    @property
    def outcome(self) -> DeletionOutcome:
        """The predicted effect, for the user."""
        indexes = self.use.indexes if self.tag is None else ()
        return DeletionOutcome(
            self.tag,
            self.digest,
            self.tags,
            self.kept,
            deletes_manifest=self.deletes_manifest,
            indexes=indexes,
            is_leftover=self.is_leftover,
        )


@frozen
class Deleted:
    """The result of a deletion.

    Attributes:
        tags: that were deleted, sorted.
        manifest: whether the manifest was deleted.
        pushed: digest of a tag that was to be deleted and was pushed concurrently.
        restored: other tags that were pushed concurrently, deleted with the manifest, and restored.
        after: digest of every tag now.
        sure: whether the registry reported all concurrent changes, so that no push was lost.
    """

    tags: tuple[str, ...]
    manifest: bool
    pushed: Mapping[str, str]
    restored: tuple[str, ...]
    after: RepositoryTags
    sure: bool = False


@frozen(eq=False, repr=False)
class Deletion:
    """Deletes from one repository, whose lock is held.

    Every method raises RegistryUnavailable when the registry gives no usable answer, and Conflict when it is read-only,
    when the image has changed, when the repository has too many tags, or when the lock is lost.

    Attributes:
        reading: of the repository.
        lock: of the repository.
        entropy: returns that many random bytes.
        events: what the registry reports of it.
    """

    reading: RepositoryReader
    lock: RepositoryLock = field(repr=False)
    entropy: Callable[[int], bytes] = field(repr=False)
    events: TagEvents = field(repr=False)

    async def outcome(
        self, tag: str, expected: str | None, siblings: Callable[[str], Awaitable[Sequence[str]]]
    ) -> DeletionOutcome | None:
        """Return the effect of deleting a tag, without reading all other tags; None when there is no such tag.

        If another tag of its manifest is found, the manifest stays; otherwise that is unknown.

        Args:
            tag: its name.
            expected: its probable digest.
            siblings: returns tags that probably point to a digest.
        """
        names = set(await self.reading.names())
        if tag not in names:
            return None
        digest = await self.reading.digest(tag, expected)
        original = None if digest is None else await self.reading.writer.original(digest)
        if digest is None or original is None:
            return DeletionOutcome(tag, None, (tag,), deletes_manifest=False)
        if read_placeholder(original.content or b"", original.media_type) is not None:
            return DeletionOutcome(tag, digest, (tag,), all_kept=False, is_leftover=True)
        for other in [one for one in await siblings(digest) if one != tag and one in names][:MAX_SIBLINGS]:
            if await self.reading.digest(other, digest) == digest:
                return DeletionOutcome(tag, digest, (tag,), (other,), all_kept=False, deletes_manifest=False)
        return DeletionOutcome(tag, digest, (tag,), all_kept=False)

    async def plan(
        self, tag: str | None, digest: str | None, expected: Mapping[str, str | None]
    ) -> DeletionPlan | None:
        """Return the effect of deleting a tag, or else a digest; None when there is no such image.

        Args:
            tag: its name, or None.
            digest: to be deleted when ``tag`` is None.
            expected: probable digests of tags; they save the registry work.
        """
        position = await self.events.position(self.reading.repository)
        before = await self.reading.tags(expected)
        if tag is not None and tag not in before.digests:
            return None
        digest = digest if tag is None else before.digests[tag]
        original = None if digest is None else await self.reading.writer.original(digest)
        if original is None:
            # A tag can outlive its manifest: if the registry was interrupted, or removed the manifest during a push.
            use = ManifestUse(None, () if tag is None else (tag,))
            return None if tag is None else DeletionPlan(tag, use, before, None, position=position)
        use = await self.reading.use(original, before)
        left = read_placeholder(original.content or b"", original.media_type)
        return DeletionPlan(
            tag, use, before, original, left is not None, None if left is None else left.replaced, position
        )

    async def carry_out(self, plan: DeletionPlan) -> Deleted:
        """Carry out a plan completely, even when the caller is cancelled meanwhile."""
        return await uninterrupted(self._carry_out(plan))

    async def _carry_out(self, plan: DeletionPlan) -> Deleted:
        tags = TagDeletion(self.reading, self.lock, self.entropy)
        if plan.original is not None and plan.deletes_manifest:
            broken = await self._delete_manifest(plan, plan.original.digest, tags)
            return await self._settled(plan, await self._after_manifest(plan, plan.original, tags, broken), tags)
        for tag in plan.tags:
            await tags.take_away(tag, plan.original)
        after = await self.reading.tags(plan.before.digests)
        # The registry may have been interrupted between removing a placeholder and its tag.
        dangling = [tag for tag in plan.tags if tag in after.digests and after.digests[tag] is None]
        for tag in dangling:
            await tags.by_placeholder(tag, None)
            after = await self.reading.tags(after.digests)
        return await self._settled(plan, _deleted(plan, after, ()), tags)

    async def _delete_manifest(self, plan: DeletionPlan, digest: str, deletion: TagDeletion) -> bool:
        """Delete a manifest; return whether the registry may have been interrupted and left tags of it."""
        attempts = 0

        async def attempt() -> DeleteReply:
            nonlocal attempts
            tags = await self.reading.tags(plan.before.digests)
            if not set(tags.of(digest)) <= set(plan.tags):
                raise Conflict(CHANGED, code="image_changed", field="reference")
            await self.lock.extend()
            attempts += 1
            return await self.reading.writer.delete(digest)

        await deletion.manifest(digest, attempt)
        return attempts > 1

    async def _after_manifest(
        self,
        plan: DeletionPlan,
        original: ManifestContent,
        deletion: TagDeletion,
        broken: bool,  # noqa: FBT001
    ) -> Deleted:
        """Read all tags after a manifest was deleted; restore concurrent pushes of it to other tags."""
        others = {tag: found for tag, found in plan.before.digests.items() if found != original.digest}
        after = dict((await self.reading.tags(others)).digests)
        restored = []
        for tag in [tag for tag, found in after.items() if found is None and others.get(tag, "") is not None]:
            if broken and tag in plan.tags:
                await deletion.by_placeholder(tag, None)
                del after[tag]
            else:
                # The registry removed the manifest while it was being pushed to this tag.
                await self._restore(tag, original)
                after[tag] = original.digest
                restored.append(tag)
        return _deleted(plan, RepositoryTags(after), restored)

    async def _settled(self, plan: DeletionPlan, deleted: Deleted, deletion: TagDeletion) -> Deleted:
        """Restore what others pushed between the last reading of a tag and its deletion."""
        awaited = {*deletion.answered, *(deleted.tags if deletion.answered else ())}
        changes = await self.events.since(
            self.reading.repository, plan.position, lambda found: is_complete(found, awaited)
        )
        if changes is None:
            return deleted
        after, restored = dict(deleted.after.digests), list(deleted.restored)
        for tag, digest in lost_pushes(changes, after, plan.tags, {*deletion.digests, plan.digest}).items():
            is_original = plan.original is not None and digest == plan.original.digest
            content = plan.original if is_original else await self.reading.writer.original(digest)
            if content is not None and await self._restore(tag, content):
                after[tag] = digest
                restored.append(tag)
        settled = evolve(_deleted(plan, RepositoryTags(after), restored), sure=True)
        original = plan.original
        if settled.manifest and original is not None and await self._is_listed_again(original.digest, plan, changes):
            await persist(lambda: self.reading.writer.put(original.digest, original))
            return evolve(settled, manifest=False)
        return settled

    async def _is_listed_again(self, deleted: str, plan: DeletionPlan, changes: Iterable[TagChange]) -> bool:
        """Whether an index with the manifest was pushed meanwhile, while the registry still had the manifest."""
        known = {deleted, *(index.digest for index in plan.use.indexes)}
        pushed = {change.digest for change in changes if change.tag is not None and not change.own} - known
        for digest in pushed:
            if digest is not None and await self.reading.mentioned(digest, {deleted}):
                return True
        return False

    async def _restore(self, tag: str, content: ManifestContent) -> bool:
        """Let a tag point to a manifest again; return whether it had not been pushed meanwhile."""
        if await self.reading.digest(tag) is not None:
            return False
        await persist(lambda: self.reading.writer.put(tag, content))
        return True


def _deleted(plan: DeletionPlan, after: RepositoryTags, restored: list[str] | tuple[str, ...]) -> Deleted:
    pushed = {tag: found for tag in plan.tags if (found := after.digests.get(tag)) is not None}
    others = tuple(sorted(tag for tag in restored if tag not in plan.tags))
    # A manifest that was restored under another tag exists again.
    manifest = plan.deletes_manifest and plan.original is not None and not after.of(plan.original.digest)
    return Deleted(tuple(tag for tag in plan.tags if tag not in pushed), manifest, pushed, others, after)


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of ``work``, which is completed even when the caller is cancelled; the caller waits for it.

    Every request in it has a deadline, so it ends. If it were interrupted, a placeholder could be left under a tag.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # retrieved, but the caller gets its cancellation
        raise
