"""Deletes one tag from a registry, without the other tags of its manifest.

Distribution 3.x can delete a tag. 2.8 answers 400 to that: it only deletes manifests, each with all of its tags. There
a placeholder, to which no other tag points, is pushed under the tag and deleted (:mod:`authsvc.images.placeholder`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from attrs import field, frozen

from authsvc.errors import Conflict, RegistryUnavailable
from authsvc.images.placeholder import EMPTY_BLOB, MEDIA_TYPE, NONCE_BYTES, Placeholder
from authsvc.registries.reader import ManifestContent
from authsvc.registries.repository_reader import RepositoryReader
from authsvc.registries.writer import READ_ONLY, DeleteReply

T = TypeVar("T")

PAUSES = (0.0, 0.5)
"""Seconds before each attempt at a change."""

CHANGED = "the image was pushed or deleted at the same moment; nothing was deleted, look at what it is now"

AS_BEFORE = "the registry did not delete the tag {tag}, which points at its image again; try again later"

LEFT_BEHIND = (
    "the registry stopped answering while the tag {tag} was deleted: it shows a placeholder, which cannot be run; "
    "delete the tag again when the registry answers"
)


class RepositoryLock(Protocol):
    """A temporary lock against other deletions in a repository."""

    async def extend(self) -> None:
        """Extend the lock by some seconds.

        Raises:
            Conflict: another deletion may have it by now.
            StoreUnavailable: the store does not answer.
        """
        ...


@frozen(eq=False, repr=False)
class TagDeletion:
    """Deletes tags from one repository, whose lock must be held.

    Every method raises RegistryUnavailable when the registry gives no usable answer, and Conflict when it is read-only,
    when the tag has changed, or when the lock is lost.

    Attributes:
        reading: of the repository.
        lock: of the repository.
        entropy: returns that many random bytes.
        digests: of the manifests that were deleted, or may have been.
        answered: those of them, and the tags, whose deletion the registry confirmed.
    """

    reading: RepositoryReader
    lock: RepositoryLock = field(repr=False)
    entropy: Callable[[int], bytes] = field(repr=False)
    digests: list[str] = field(factory=list)
    answered: list[str] = field(factory=list)

    async def take_away(self, tag: str, original: ManifestContent | None) -> None:
        """Delete a tag that points to ``original``; None for one whose manifest is gone."""
        if await self._by_tag(tag, original) is DeleteReply.NOT_BY_TAG:
            await self.by_placeholder(tag, original)

    async def _by_tag(self, tag: str, original: ManifestContent | None) -> DeleteReply:
        """Ask the registry to delete the tag itself."""
        sent = False

        async def attempt() -> DeleteReply:
            nonlocal sent
            if sent and not await self._exists(tag):
                return DeleteReply.DELETED  # by an attempt whose answer was lost
            await self._require_unchanged(tag, original)
            await self.lock.extend()
            sent = True
            reply = await self.reading.writer.delete(tag)
            # Some registries may answer 404 to unsupported requests.
            there = reply is DeleteReply.MISSING and await self._exists(tag)
            return DeleteReply.NOT_BY_TAG if there else reply

        reply = await persist(attempt)
        self._note(tag, reply)
        return reply

    async def by_placeholder(self, tag: str, original: ManifestContent | None) -> None:
        """Push a placeholder under the tag and delete that."""
        digest = None if original is None else original.digest
        placeholder = Placeholder.make(tag, digest, self.entropy(NONCE_BYTES))
        await persist(lambda: self.reading.writer.put_blob(EMPTY_BLOB))
        self.digests.append(placeholder.digest)
        try:
            await self._put_placeholder(tag, original, placeholder)
            # Only this tag points to the placeholder. So deleting it is right, even if the lock was lost and the tag
            # was pushed meanwhile.
            reply = await persist(lambda: self.reading.writer.delete(placeholder.digest))
        except RegistryUnavailable as error:
            await self._put_back(tag, placeholder, original, error.detail)
        else:
            if reply is DeleteReply.REFUSED:
                await self._put_back(tag, placeholder, original, READ_ONLY)
            self._note(placeholder.digest, reply)

    async def _put_placeholder(self, tag: str, original: ManifestContent | None, placeholder: Placeholder) -> None:
        manifest = ManifestContent(placeholder.digest, MEDIA_TYPE, placeholder.content)
        sent = False

        async def attempt() -> None:
            nonlocal sent
            if sent and await self.reading.digest(tag, placeholder.digest) == placeholder.digest:
                return  # by an attempt whose answer was lost
            await self._require_unchanged(tag, original)
            await self.lock.extend()
            sent = True
            await self.reading.writer.put(tag, manifest)

        await persist(attempt)

    async def manifest(self, digest: str, attempt: Callable[[], Awaitable[DeleteReply]]) -> None:
        """Delete a manifest with all of its tags; ``attempt`` does it."""
        self.digests.append(digest)
        self._note(digest, await persist(attempt))

    def _note(self, deleted: str, reply: DeleteReply) -> None:
        """Store the answer to a deletion.

        Raises:
            Conflict: it was refused.
        """
        if reply is DeleteReply.REFUSED:
            raise Conflict(READ_ONLY, code="registry_read_only")
        if reply is DeleteReply.DELETED:
            self.answered.append(deleted)

    async def _put_back(
        self, tag: str, placeholder: Placeholder, original: ManifestContent | None, why: str | None
    ) -> None:
        """Let the tag point to its image again, because the placeholder cannot be deleted.

        Raises:
            RegistryUnavailable: always; it says in which state the tag is.
        """

        async def attempt() -> None:
            if original is not None and await self.reading.digest(tag, placeholder.digest) == placeholder.digest:
                await self.reading.writer.put(tag, original)

        try:
            await persist(attempt)
        except (RegistryUnavailable, Conflict) as error:
            raise RegistryUnavailable(LEFT_BEHIND.format(tag=tag), detail=why) from error
        sentence = LEFT_BEHIND if original is None else AS_BEFORE
        raise RegistryUnavailable(sentence.format(tag=tag), detail=why)

    async def _require_unchanged(self, tag: str, original: ManifestContent | None) -> None:
        """Check that a tag still points to the same digest as when the deletion was planned.

        Raises:
            Conflict: it does not.
        """
        expected = None if original is None else original.digest
        if await self.reading.digest(tag, expected) != expected:
            raise Conflict(CHANGED, code="image_changed", field="reference")

    async def _exists(self, tag: str) -> bool:
        return tag in await self.reading.names()


async def persist(attempt: Callable[[], Awaitable[T]]) -> T:
    """Return the result of the first attempt that the registry answers.

    Raises:
        RegistryUnavailable: it answered none.
    """
    for pause in PAUSES[:-1]:
        await asyncio.sleep(pause)
        with suppress(RegistryUnavailable):
            return await attempt()
    await asyncio.sleep(PAUSES[-1])
    return await attempt()
