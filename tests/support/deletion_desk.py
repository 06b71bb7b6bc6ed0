"""Deleting images as a use case, in one repository of a real registry and on a real Redis."""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, evolve, field, frozen

from authsvc.audit.entry import Entry
from authsvc.errors import (
    ConfirmationNeeded,
)
from authsvc.images.deletion_record import DeletedImage
from authsvc.manage.actor import Actor
from authsvc.manage.image_deletions import ImageDeletions
from authsvc.manage.operation import Operation
from authsvc.registries.deletion import Deletion
from authsvc.registries.tag_deletion import RepositoryLock
from authsvc.spec.registry_event import EventAction, RegistryEvent
from authsvc.store import keys
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from tests.manage.use_cases import terms
from tests.support.builders import SERVICE, make_member
from tests.support.deletions import Scene, SteppedSession, Variant
from tests.support.installation import APP, TEAM, Installation
from tests.support.oci import MANIFEST

ONE, TWO, NEW = Variant("one"), Variant("two"), Variant("new")
OWNER = Actor.of_member(make_member(team=TEAM))


@frozen
class SceneRegistry:
    """The registry of one scene; it implements :class:`authsvc.manage.image_deletions.RegistryDeletions`.

    Attributes:
        scene: the only repository.
        prepare: is given each session before it is used.
    """

    scene: Scene
    prepare: Callable[[SteppedSession], None]

    @asynccontextmanager
    async def repository(
        self, name: str, lock: RepositoryLock, entropy: Callable[[int], bytes]
    ) -> AsyncIterator[Deletion]:
        """Yield what deletes."""
        assert name == self.scene.repository
        async with self.scene.deleting() as (deletion, session):
            self.prepare(session)
            yield evolve(deletion, lock=lock, entropy=entropy)


@define
class DeletionDesk:
    """An installation with one repository.

    Attributes:
        house: the installation.
        scene: the repository.
        deletions: the use case.
        sessions: what is done with each session before it is used.
    """

    house: Installation
    scene: Scene
    sessions: list[Callable[[SteppedSession], None]] = field(factory=list)
    numbers: "itertools.count[int]" = field(factory=itertools.count)

    @property
    def deletions(self) -> ImageDeletions:
        """The use case."""
        return ImageDeletions(self.house.stores, self.registry, SERVICE)

    @property
    def registry(self) -> SceneRegistry:
        """What deletes from the repository."""
        return SceneRegistry(self.scene, self._prepare)

    def _prepare(self, session: SteppedSession) -> None:
        if self.sessions:
            self.sessions.pop(0)(session)

    def name(self, reference: str) -> str:
        """Return the name of an image of the repository: ``:TAG`` or ``@DIGEST`` behind it."""
        return f"{self.scene.repository}{reference}"

    async def delete(
        self, reference: str, confirmed: str | None = None, *, operation: Operation | None = None
    ) -> DeletedImage:
        """Delete an image."""
        made = operation or self.house.operation(OWNER)
        return await self.deletions.delete(self.name(reference), made, confirmed)

    async def confirm(self, reference: str) -> str:
        """Return the sentence that has to be confirmed, and confirm it."""
        with pytest.raises(ConfirmationNeeded) as needed:
            await self.delete(reference)
        await self.delete(reference, needed.value.mark)
        return str(needed.value).replace(self.scene.repository, "REPOSITORY")

    async def pulled(self, subject: str, tag: str | None, image: Variant) -> None:
        """Record a pull."""
        event = RegistryEvent(
            f"e{next(self.numbers)}", self.house.now, EventAction.PULL, self.scene.repository, MANIFEST, image.digest,
            1, tag, method="GET", subject=subject,
        )  # fmt: skip
        recorded = await RedisActivitySink(self.house.connection, Codec()).record([event], self.house.now)
        assert recorded.accepted == 1

    async def license_of(self, customer: str) -> str:
        """Return the subject of a new license."""
        made, _ = await self.house.licenses.create(
            APP, evolve(terms(self.house), customer=customer), self.house.operation()
        )
        return f"license:{made.id}"

    def told(self, *events: str) -> list[Entry]:
        """Return the entries that were logged with these events."""
        return [entry for entry in self.house.told if entry.event in events]

    async def audited(self) -> list[dict[str, Any]]:
        """Return what the audit has of images."""
        entries: Any = await self.house.connection.redis.xrange(keys.AUDIT)
        found = [json.loads(fields[b"entry"]) for _, fields in entries]
        return [entry for entry in found if entry["event"].startswith("image.")]
