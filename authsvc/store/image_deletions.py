"""Deletions of images in Redis: the lock of a repository, and the pending deletion.

Registry and Redis have no common transaction. So a deletion is recorded before it begins, and its end together with the
audit entry; a deletion that a crash interrupted is completed by the next one in the repository.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.images.deletion_record import PendingDeletion
from authsvc.images.index import IndexChange
from authsvc.store import keys
from authsvc.store.image_index import STEP, RedisImageIndex
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.store.repository_lock import RedisRepositoryLock, RepositoryLocks
from authsvc.tenancy.versioned import Versioned


@frozen(eq=False, repr=False)
class RedisImageDeletions:
    """The deletions of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records
    locks: RepositoryLocks
    index: RedisImageIndex

    def locked(self, repository: str, holder: str) -> AbstractAsyncContextManager[RedisRepositoryLock]:
        """Hold the lock of a repository until the context ends, under the random name ``holder``.

        Raises:
            Conflict: another deletion takes too long.
        """
        return self.locks.locked(repository, holder)

    async def pending(self, repository: str) -> Versioned[PendingDeletion] | None:
        """Return the deletion in a repository that was begun and is not recorded as ended."""
        return await self.records.get(keys.pending_deletion(repository), PendingDeletion)

    async def begin(self, deletion: PendingDeletion, entry: Entry) -> Versioned[PendingDeletion]:
        """Record that a deletion begins.

        Raises:
            Conflict: another one was begun and is not recorded as ended.
        """
        key = keys.pending_deletion(deletion.repository)
        raw = self.records.codec.encode(deletion)
        change = self.records.change(entry, "")
        change.expect_absent(key, CHANGED_MEANWHILE)
        change.put(key, raw)
        await change.apply(self.records.connection)
        return self.records.versioned(raw, PendingDeletion)

    async def end(self, deletion: Versioned[PendingDeletion], entry: Entry, result: str = "") -> None:
        """Record the end of a deletion, whatever it was; the index of images reads the repository again.

        Raises:
            Conflict: it was recorded by another process.
            OperationRepeated: it was recorded by another process for the same operation.
        """
        key = keys.pending_deletion(deletion.record.repository)
        change = self.records.change(entry, result)
        change.expect(key, deletion.version, CHANGED_MEANWHILE)
        change.add_to_set(keys.IMAGES_CHANGED, deletion.record.repository)
        change.remove(key)
        await change.apply(self.records.connection)

    async def indexed(self, repository: str) -> dict[str, str | None]:
        """Return the digests of the tags of a repository, from the index of images."""
        found: dict[str, str | None] = {}
        last = ""
        while tags := await self.index.tags(repository, last):
            found |= tags
            last = tags[-1][0]
        return found

    async def indexed_tag(self, repository: str, tag: str) -> str | None:
        """Return the digest of a tag, from the index of images; None when it has no such tag."""
        return (await self.index.digests(repository, [tag])).get(tag)

    async def indexed_siblings(self, repository: str, digest: str) -> list[str]:
        """Return the first tags of a digest, from the index of images."""
        return await self.index.tags_of(repository, digest, "")

    async def reindex(self, repository: str, app: str, digests: Mapping[str, str | None], now: datetime) -> None:
        """Update some tags in the index; None for a deleted one.

        A tag that another process has changed meanwhile is skipped: the repository is read again anyway.
        """
        tags = sorted(digests)
        for start in range(0, len(tags), STEP):
            part = tags[start : start + STEP]
            old = await self.index.digests(repository, part)
            changes = [IndexChange(tag, old.get(tag), digests[tag]) for tag in part]
            await self.index.apply(repository, app, changes, now)
