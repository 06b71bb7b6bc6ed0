"""Deletions of images as they are stored: pending ones, and results."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from attrs import asdict, field, frozen

MAX_TAGS = 100
"""Most tags that are stored of one deletion; a count says how many there were."""


@frozen
class PendingDeletion:
    """A deletion that was begun and whose end is not recorded; after a crash it must be checked.

    Attributes:
        repository: name.
        tag: None when a digest was deleted.
        digest: of the manifest; None for a tag whose manifest was gone.
        operation_id: of the deletion.
        actor: that began it, a subject.
        started_at: aware.
        request_hash: of an operation with an idempotency key, else empty.
        facts: of the audit entry about its end.
    """

    repository: str
    tag: str | None
    digest: str | None
    operation_id: str
    actor: str
    started_at: datetime
    request_hash: str = ""
    facts: Mapping[str, Any] = field(factory=dict, hash=False)


@frozen
class DeletedImage:
    """The result of a deletion.

    Attributes:
        repository: name.
        tag: None when a digest was deleted.
        digest: of the manifest; None for a tag whose manifest was gone.
        manifest_deleted: whether the manifest is gone too; otherwise it can still be pulled by its digest.
        tags_deleted: sorted, :data:`MAX_TAGS` of them at most.
        tags_kept: other tags of the manifest, which stay; sorted, as many at most.
        attached: signatures and other artifacts of the manifest, which stay; as many at most.
        parts: digests that only the deleted index lists, such as the images of its platforms: they stay; as many at
            most.
        pushed_again: digest of a tag that was to be deleted and was pushed concurrently; it stays.
        restored: other tags that were pushed concurrently, were deleted with the manifest and put back.
        pushes_checked: whether the registry reported all concurrent pushes in time.
    """

    repository: str
    tag: str | None
    digest: str | None
    manifest_deleted: bool = False
    tags_deleted: tuple[str, ...] = ()
    tags_kept: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    pushed_again: Mapping[str, str] = field(factory=dict, hash=False)
    restored: tuple[str, ...] = ()
    pushes_checked: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse what :meth:`text` wrote."""
        fields: Any = json.loads(text)
        values: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        return cls(**values)

    def facts(self) -> dict[str, Any]:
        """Return its attributes by name, for the command line and the management API."""
        return asdict(self, recurse=False)

    def text(self) -> str:
        """Return it as JSON, for a repeat of the same operation."""
        return json.dumps(self.facts(), separators=(",", ":"))

    @property
    def reference(self) -> str:
        """The name of what was deleted, as users write it."""
        return f"{self.repository}:{self.tag}" if self.tag is not None else f"{self.repository}@{self.digest}"
