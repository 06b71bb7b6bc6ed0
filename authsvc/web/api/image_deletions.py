"""Deleting images in the management API: ``DELETE /images/{image}``."""

from attrs import frozen

from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, NoBody, ObjectAnswer
from authsvc.web.api.images import ONE
from authsvc.web.api.parameters import CONFIRM_ERRORS, ConfirmQuery


@frozen
class DeletedImageView:
    """The result of a deletion. Lists have at most 100 tags or digests.

    Attributes:
        repository: full name.
        tag: null when a digest was deleted.
        digest: of the manifest; null for a tag whose manifest did not exist any more.
        manifest_deleted: whether the manifest was deleted too; otherwise it can still be pulled by its digest.
        tags_deleted: the deleted tags.
        tags_kept: other tags of the manifest, which stay.
        attached: digests of signatures and other artifacts attached to the manifest, which stay.
        parts: digests that only the deleted index listed; they stay until they are deleted too.
        pushed_again: the digest of the tag to be deleted, if the tag was pushed at the same moment and therefore stays.
        restored: other tags that were pushed at the same moment, deleted with the manifest, and restored.
        pushes_checked: whether the registry reported everything that happened at the same moment, so that no push was
            lost.
    """

    repository: str
    tag: str | None
    digest: str | None
    manifest_deleted: bool
    tags_deleted: tuple[str, ...]
    tags_kept: tuple[str, ...]
    attached: tuple[str, ...]
    parts: tuple[str, ...]
    pushed_again: dict[str, str]
    restored: tuple[str, ...]
    pushes_checked: bool


async def _delete(use_cases: UseCases, call: Call[ConfirmQuery, NoBody]) -> ObjectAnswer:
    deleted = await use_cases.image_deletions.delete(call.path["image"], call.operation, call.query.confirm)
    return ObjectAnswer(DeletedImageView(**deleted.facts()))


EXAMPLE = DeletedImageView(
    repository="myapp/worker",
    tag="1.2",
    digest=f"sha256:{'3f' * 32}",
    manifest_deleted=False,
    tags_deleted=("1.2",),
    tags_kept=("latest",),
    attached=(),
    parts=(),
    pushed_again={},
    restored=(),
    pushes_checked=True,
)

CONFLICTS = ApiErrors(
    conflict=("image_changed", "image_deletion_running", "registry_read_only", "tags_too_many"),
)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("DELETE", "/images/{image}", "deleteImage", "Delete a tag, or a digest with its tags"),
        *(Permission.IMAGE_DELETE, _delete, DeletedImageView),
        if_match=True,
        asks_others=True,
        errors=ONE | CONFIRM_ERRORS | CONFLICTS,
        answer_example=EXAMPLE,
        description=(
            "Deleting a tag also deletes its manifest if that has no other tag and nothing else needs it. A digest, "
            "and a tag that customers pulled in the last 30 days, has to be confirmed. A service account needs a "
            "grant with `delete` for the repository. With the digest in quotes as `If-Match`, a tag that has "
            "meanwhile moved to another image stays."
        ),
    ),
)
