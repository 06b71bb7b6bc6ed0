"""Deletes images: a single tag, or a digest with all of its tags.

Registry and store have no common transaction. So a deletion is recorded as begun, carried out, and recorded as ended
together with the audit entry, all under the lock of the repository. A deletion that a crash interrupted is completed by
the next one in the repository.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Protocol

from attrs import evolve, field, frozen

from authsvc.activity.image_name import ImageName
from authsvc.audit.entry import Entry
from authsvc.decision import DELETE
from authsvc.errors import AuthsvcError, Conflict, InputRefused, PermissionDenied, StoreUnavailable
from authsvc.fair_share import FairShare
from authsvc.images.deletion_record import MAX_TAGS, DeletedImage, PendingDeletion
from authsvc.manage.actor import Actor, ActorKind
from authsvc.manage.authorization import permitted
from authsvc.manage.confirmation import require
from authsvc.manage.ended_images import (
    DeletionPreview,
    ImageCustomer,
    customers_of_image,
    ended_access,
    preview_of,
)
from authsvc.manage.idempotency import repeatable
from authsvc.manage.lookup import find_app_of_image, no_image
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.policy import locate
from authsvc.registries.deletion import Deleted, DeletionOutcome, DeletionPlan, uninterrupted
from authsvc.registries.tag_deletion import RepositoryLock
from authsvc.tenancy.patterns import covers_native
from authsvc.tenancy.records import App
from authsvc.tenancy.versioned import Versioned

HOLDER_BYTES = 16

AT_ONCE, PER_TEAM, MAX_WAITING = 4, 2, 20
"""Most deletions at one time, most of them for one team, and most that wait for one team."""

FEW_TAGS = 30
"""Most tags of a repository that are all read for the preview of a deletion, which takes some tenths of a second."""

PATIENCE = 60.0
"""Seconds that a deletion waits for its turn: in a repository of 5,000 tags one takes about 20."""

TOO_MANY = "too many images of your team are being deleted; try again in a few seconds"

UNRECORDED = "the image was deleted, and the service's database did not confirm that it is recorded; look at it again"


class RegistryDeletion(Protocol):
    """Deletes from one repository (:class:`authsvc.registries.deletion.Deletion`)."""

    async def outcome(
        self, tag: str, expected: str | None, siblings: Callable[[str], Awaitable[Sequence[str]]]
    ) -> DeletionOutcome | None: ...
    async def plan(
        self, tag: str | None, digest: str | None, expected: dict[str, str | None]
    ) -> DeletionPlan | None: ...
    async def carry_out(self, plan: DeletionPlan) -> Deleted: ...


class RegistryDeletions(Protocol):
    """Our registry, for deletions."""

    def repository(
        self, name: str, lock: RepositoryLock, entropy: Callable[[int], bytes]
    ) -> AbstractAsyncContextManager[RegistryDeletion]:
        """Yield an object that deletes from a repository, whose lock must be held.

        Raises:
            RegistryUnavailable: the URL of the registry is not configured.
        """
        ...


def _fair_share() -> FairShare:
    return FairShare(AT_ONCE, PER_TEAM, MAX_WAITING, TOO_MANY, patience=PATIENCE)


@frozen(eq=False, repr=False)
class ImageDeletions:
    """Deletes images. Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stores: the records.
        registry: ours.
        service: its host and port, which names may begin with.
    """

    stores: Stores
    registry: RegistryDeletions
    service: str
    _share: FairShare = field(init=False, factory=_fair_share, eq=False)

    async def _first(self, result: str, operation: Operation) -> DeletedImage:
        deleted = DeletedImage.parse(result)
        await find_app_of_image(self.stores, operation.actor, ImageName(deleted.repository))
        return deleted

    @permitted(Permission.IMAGE_DELETE)
    @repeatable(_first)
    async def delete(self, name: str, operation: Operation, confirmed: str | None = None) -> DeletedImage:
        """Delete a tag, and the manifest with its last tag; or a digest with all of its tags.

        The bytes of layers stay in the registry until it is cleaned up.

        Args:
            name: ``REPOSITORY:TAG`` or ``REPOSITORY@DIGEST``.
            operation: its entity tag, if any, is the digest that the tag must point to.
            confirmed: the mark of the confirmation.

        Raises:
            InputRefused: ``name`` does not name a tag or digest of this registry.
            PermissionDenied: a service account has no grant to delete there.
            NotFound: there is no such image for the actor.
            PreconditionFailed: the tag points to another digest.
            ConfirmationNeeded: a digest is to be deleted, or a tag that customers pulled recently.
            Conflict: the image was changed concurrently, another deletion takes too long, or the registry is
                read-only.
            RegistryUnavailable: the registry does not answer; the sentence says in which state the image is.
            Overloaded: too many deletions of the team wait already, or take too long.
        """
        async with self._opened(name, operation) as (deletion, image, app):
            earlier = await self._completed(deletion, image, operation)
            return earlier or await self._deleted(deletion, image, app, operation, confirmed)

    @permitted(Permission.IMAGE_PREVIEW_DELETION)
    async def preview(self, name: str, operation: Operation) -> DeletionPreview:
        """Return what deleting a tag or digest would do now; nothing is deleted, and no audit entry is written.

        For a tag in a repository with many tags the preview may be incomplete, but never wrong. It raises the errors
        that :meth:`delete` raises before it deletes anything, except ConfirmationNeeded.
        """
        async with self._opened(name, operation) as (deletion, image, app):
            foreseen = await self._foreseen(deletion, image, app, operation)
            if foreseen is None:
                plan, customers = await self._planned(deletion, image, operation)
                foreseen = plan.outcome, customers
            outcome, customers = foreseen
            return preview_of(image, outcome, customers, ended_access(image, outcome, customers, app.slug))

    @asynccontextmanager
    async def _opened(self, name: str, operation: Operation) -> AsyncIterator[tuple[RegistryDeletion, ImageName, App]]:
        """Yield an object that deletes an image, while holding the lock of its repository."""
        image = self._named(name)
        _require_grant(operation.actor, image)
        app = await find_app_of_image(self.stores, operation.actor, image)
        holder, locked = operation.entropy(HOLDER_BYTES).hex(), self.stores.image_deletions.locked
        async with (
            self._share.slot(app.team),
            locked(image.repository, holder) as lock,
            self.registry.repository(image.repository, lock, operation.entropy) as deletion,
        ):
            yield deletion, image, app

    async def _foreseen(
        self, deletion: RegistryDeletion, image: ImageName, app: App, operation: Operation
    ) -> tuple[DeletionOutcome, Sequence[ImageCustomer]] | None:
        """Return the effect of deleting a tag and its recent customers, if the repository has many tags.

        None if all tags have to be read: there are few, or a digest is deleted with all tags that point to it.
        """
        state = await self.stores.images.repository(image.repository, app.slug)
        if image.tag is None or state is None or state.tags <= FEW_TAGS:
            return None
        store, repository = self.stores.image_deletions, image.repository
        expected = await store.indexed_tag(repository, image.tag)
        outcome = await deletion.outcome(image.tag, expected, lambda digest: store.indexed_siblings(repository, digest))
        if outcome is None:
            raise no_image(image)
        return outcome, await self._customers(operation, image, outcome)

    async def _customers(
        self, operation: Operation, image: ImageName, outcome: DeletionOutcome
    ) -> Sequence[ImageCustomer]:
        """Return the recent customers of an image, which must be the one that the client has seen."""
        _require_match(operation, image, outcome.digest)
        named = ImageName(image.repository, image.tag, outcome.digest)
        return () if outcome.is_leftover else await customers_of_image(self.stores, named, operation.now)

    async def _planned(
        self, deletion: RegistryDeletion, image: ImageName, operation: Operation
    ) -> tuple[DeletionPlan, Sequence[ImageCustomer]]:
        """Return what would be deleted, and its recent customers."""
        expected = await self.stores.image_deletions.indexed(image.repository)
        plan = await deletion.plan(image.tag, image.digest, expected)
        if plan is None:
            raise no_image(image)
        return plan, await self._customers(operation, image, plan.outcome)

    def _named(self, name: str) -> ImageName:
        image = ImageName.parse(name.removeprefix(f"{self.service}/"))
        location = locate(image.repository)
        if location is not None and location.upstream is not None:
            raise InputRefused(
                f"{str(image)[:200]!r} is pulled through from another registry, which alone can delete it",
                code="image_invalid",
                field="image",
            )
        if image.tag is None and image.digest is None:
            raise InputRefused(
                f"{str(image)[:200]!r} is a repository; name one tag or digest of it, REPOSITORY:TAG or "
                "REPOSITORY@DIGEST",
                code="image_invalid",
                field="image",
            )
        return image

    async def _deleted(
        self, deletion: RegistryDeletion, image: ImageName, app: App, operation: Operation, confirmed: str | None
    ) -> DeletedImage:
        if confirmed is None and (foreseen := await self._foreseen(deletion, image, app, operation)) is not None:
            require(ended_access(image, *foreseen, app.slug), None)  # ask early; checked again with what is found later
        plan, customers = await self._planned(deletion, image, operation)
        require(ended_access(image, plan.outcome, customers, app.slug), confirmed)
        facts = {
            "app": app.slug,
            "team": app.team,
            **_reference(image, plan),
            "kept": _some(plan.kept),
            "customers": len(customers),
        }
        return await uninterrupted(self._carry_out(deletion, image, plan, operation, facts))

    async def _carry_out(
        self,
        deletion: RegistryDeletion,
        image: ImageName,
        plan: DeletionPlan,
        operation: Operation,
        facts: dict[str, Any],
    ) -> DeletedImage:
        """Delete what is planned, with a record before and after."""
        pending = await self._begin(image, operation, facts)
        try:
            deleted = await deletion.carry_out(plan)
        except AuthsvcError as error:
            with suppress(StoreUnavailable, Conflict):
                failed = _entry_of(pending.record, operation, "image.deletion_failed", reason=error.code)
                await self.stores.image_deletions.end(pending, evolve(failed, id=operation.entropy(HOLDER_BYTES).hex()))
            raise
        result = _result(image, plan, deleted)
        await self._end(pending, operation, result)
        gone_or_new = {tag: deleted.after.digests.get(tag) for tag in (*plan.tags, *deleted.restored)}
        with suppress(StoreUnavailable):  # it is marked as changed, so that the index soon reads it again
            await self.stores.image_deletions.reindex(image.repository, facts["app"], gone_or_new, operation.now)
        return result

    async def _begin(self, image: ImageName, operation: Operation, facts: dict[str, Any]) -> Versioned[PendingDeletion]:
        pending = PendingDeletion(
            image.repository,
            image.tag,
            facts["digest"],
            operation.operation_id,
            operation.actor.subject,
            operation.now,
            operation.request_hash,
            operation.behalf | facts,
        )
        # Each attempt has a separate entry, so that the repeat of a failed operation is recorded, too.
        attempt = evolve(operation, operation_id=operation.entropy(HOLDER_BYTES).hex())
        entry = attempt.entry("image.deletion_started", operation=operation.operation_id, **facts)
        return await self.stores.image_deletions.begin(pending, evolve(entry, request_hash=""))

    async def _end(self, pending: Versioned[PendingDeletion], operation: Operation, result: DeletedImage) -> None:
        record = pending.record
        entry = _entry_of(
            record,
            operation,
            "image.deleted",
            manifest_deleted=result.manifest_deleted,
            tags_deleted=list(result.tags_deleted),
            pushed_again=dict(result.pushed_again),
            restored=list(result.restored),
            pushes_checked=result.pushes_checked,
        )
        try:
            await self.stores.image_deletions.end(pending, entry, result.text())
        except StoreUnavailable as error:
            raise StoreUnavailable(UNRECORDED, uncertain=True, detail=error.detail) from error

    async def _completed(
        self, deletion: RegistryDeletion, image: ImageName, operation: Operation
    ) -> DeletedImage | None:
        """Complete a deletion that a crash interrupted; return its result if it is the requested one."""
        pending = await self.stores.image_deletions.pending(image.repository)
        if pending is None:
            return None
        record = pending.record
        begun = ImageName(record.repository, record.tag, record.digest if record.tag is None else None)
        plan = await deletion.plan(begun.tag, begun.digest, {})
        result = None
        if plan is None:
            whole = record.digest is None or await deletion.plan(None, record.digest, {}) is None
            tags = tuple(record.facts.get("tags", ()))
            result = DeletedImage(record.repository, record.tag, record.digest, whole, tags)
        elif plan.is_leftover:
            result = _result(begun, plan, await uninterrupted(deletion.carry_out(plan)))
        try:
            if result is None:
                failed = _entry_of(record, operation, "image.deletion_failed", reason="interrupted")
                await self.stores.image_deletions.end(pending, evolve(failed, id=operation.entropy(HOLDER_BYTES).hex()))
            else:
                await self._end(pending, operation, result)
        except Conflict:
            return None  # another process was faster
        return result if begun == image else None


def _require_grant(actor: Actor, image: ImageName) -> None:
    """Accept service accounts with a grant to delete there at the registry, and all other actors. Nothing is read.

    Raises:
        PermissionDenied: it has no such grant.
    """
    location = locate(image.repository)
    if actor.kind is not ActorKind.SERVICE_ACCOUNT or location is None:
        return
    if not any(
        grant.app == location.app and DELETE in grant.actions and covers_native(grant.pattern, location.rest)
        for grant in actor.grants
    ):
        raise PermissionDenied(
            f"the service account {actor.name} has no grant with delete for {image.repository}; an owner can add one"
        )


def _require_match(operation: Operation, image: ImageName, digest: str | None) -> None:
    """Accept an image that is unchanged since the client saw it: compares its digest, like the registry's entity tag.

    Raises:
        PreconditionFailed: it points to another digest.
    """
    if operation.if_match is None or f'"{digest}"' not in operation.if_match:
        operation.require_match(ImageName(image.repository, image.tag, digest))


def _reference(image: ImageName, plan: DeletionPlan) -> dict[str, Any]:
    """Return the name of the image in an entry; for a leftover the digest that it names as deleted."""
    digest = plan.replaced if plan.is_leftover else plan.digest
    return {"repository": image.repository, "tag": image.tag, "digest": digest, "tags": _some(plan.tags)}


def _entry_of(pending: PendingDeletion, operation: Operation, event: str, **facts: Any) -> Entry:
    """Return the entry about the end of a deletion, in the name of the actor who began it."""
    said = {name: value for name, value in pending.facts.items() if name != "tags"} | facts
    return Entry(pending.operation_id, operation.now, event, pending.actor, said, pending.request_hash)


def _result(image: ImageName, plan: DeletionPlan, deleted: Deleted) -> DeletedImage:
    digest = plan.replaced if plan.is_leftover else plan.digest
    kept = () if plan.is_leftover else deleted.after.of(plan.digest)
    return DeletedImage(
        image.repository,
        image.tag,
        digest,
        deleted.manifest and not plan.is_leftover,
        tuple(_some(deleted.tags)),
        tuple(_some(tag for tag in kept if tag not in plan.tags)),
        tuple(_some(plan.use.attached)),
        tuple(_some(plan.use.parts)) if deleted.manifest else (),
        dict(deleted.pushed),
        deleted.restored,
        deleted.sure,
    )


def _some(tags: Any) -> list[str]:
    found: Sequence[str] = sorted(tags)
    return list(found[:MAX_TAGS])
