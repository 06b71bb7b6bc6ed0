"""Images in the index and in the activity of an installation, as if they had been pushed and pulled."""

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from authsvc.images.index import IndexChange
from authsvc.images.manifest import parse_manifest
from authsvc.images.summary import of_manifest
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from tests.support.activity import MEMBER, event, push
from tests.support.installation import Installation
from tests.support.oci import MANIFEST, Image


@frozen
class PushedImages:
    """Pushes and pulls, without a registry.

    Attributes:
        house: the installation.
    """

    house: Installation

    async def push(self, repository: str, *tags: str, content: bytes = b"", subject: str = MEMBER) -> Image:
        """Push an image, which differs with the first tag or the content; the index has it at once."""
        image = Image(content or tags[0].encode())
        manifest = parse_manifest(image.manifest, MANIFEST)
        assert manifest is not None
        app = repository.partition("/")[0]
        index = RedisImageIndex(self.house.connection, Codec())
        await index.save(app, [of_manifest(image.digest, manifest, None)])
        changes = [IndexChange(tag, None, image.digest) for tag in tags]
        await index.apply(repository, app, changes, self.house.now)
        await index.finish(repository, self.house.now, "", all_tags=True, unread=0)
        facts = {"repository": repository, "timestamp": self.house.now, "digest": image.digest, "subject": subject}
        await self._record([push(tag=tag, **facts) for tag in tags])
        return image

    async def pull(self, repository: str, tag: str, image: Image, *subjects: str) -> None:
        """Pull an image."""
        facts: dict[str, Any] = {"repository": repository, "timestamp": self.house.now, "digest": image.digest}
        await self._record([event(tag=tag, subject=subject, **facts) for subject in subjects])

    async def _record(self, events: Sequence[object]) -> None:
        recorded = await RedisActivitySink(self.house.connection, Codec()).record(events, self.house.now)  # type: ignore[arg-type]
        assert recorded.accepted == len(events)
