"""Activity of pulls of linked images: makes the events that our own registry would have sent.

Manifests pass through authsvc when they are fetched, and their media types and the sizes of their blobs are stored.
After that nginx has them, and requests for them are counted with the stored data.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from attrs import define, field

from authsvc.errors import StoreUnavailable
from authsvc.images.manifest import Manifest, parse_manifest
from authsvc.registries.upstream.client import UpstreamManifest
from authsvc.spec.registry_event import MAX_TEXT, CacheUse, EventAction, RegistryEvent
from authsvc.upstreams.link import UpstreamLink
from authsvc.web.client import CLIENT
from authsvc.web.middleware import REQUEST_ID
from authsvc.web.proxy.accel import OCTETS
from authsvc.web.proxy.pull import METHOD, Pull

MAX_BLOBS = 256
"""Blobs of one manifest whose sizes are remembered: an engine refuses an image of more than 127 layers."""


class ContentMemory(Protocol):
    """Stores data about fetched manifests and their blobs."""

    async def media_type_of(self, link: UpstreamLink, repository: str, digest: str, now: datetime) -> str | None:
        """Return the media type of a manifest; None when it is not known."""
        ...

    async def size_of(self, link: UpstreamLink, repository: str, digest: str, now: datetime) -> int | None:
        """Return the size of a blob in bytes; None when it is not known."""
        ...

    async def remember(
        self,
        link: UpstreamLink,
        repository: str,
        digest: str,
        media_type: str,
        sizes: Mapping[str, int],
        now: datetime,
    ) -> None:
        """Remember a manifest, and the sizes of its blobs by their digests."""
        ...


@define(eq=False, repr=False)
class PullActivity:
    """Counts pulls.

    Attributes:
        contents: data about manifests and blobs.
        record: is called with the events.
        new_id: makes the id of an event.
        clock: returns the time.
    """

    contents: ContentMemory = field(repr=False)
    record: Callable[[RegistryEvent], None] = field(repr=False)
    new_id: Callable[[], str] = field(repr=False)
    clock: Callable[[], datetime] = field(repr=False)

    async def asked_for_manifest(self, pull: Pull, digest: str, *, stale: bool = False) -> None:
        """Count a pull, unless by a digest that may not be there: that is counted when it is fetched.

        Of concurrent requests for a tag, nginx sends only one on and lets the others wait.
        """
        media_type = await self._media_type(pull, digest)
        if media_type is not None or pull.path.digest is None:
            cache = CacheUse.STALE if stale else None
            self._count(pull, digest, media_type, pull.request.method, cache=cache)

    async def fetched(self, pull: Pull, found: UpstreamManifest) -> None:
        """Store data about a manifest, and count the miss, and the pull unless it was counted at the request."""
        counted = pull.path.digest is None or await self._media_type(pull, found.digest) is not None
        manifest = parse_manifest(found.content, found.media_type)
        with suppress(StoreUnavailable):
            await self.contents.remember(
                pull.link, pull.repository, found.digest, found.media_type, _sizes(manifest), self.clock()
            )
        if not counted:
            self._count(pull, found.digest, found.media_type, pull.said(METHOD))
        parts = () if manifest is None else tuple(child.digest for child in manifest.children)
        self._count(pull, found.digest, found.media_type, pull.said(METHOD), parts=parts, cache=CacheUse.MISS)

    async def asked_for_blob(self, pull: Pull) -> None:
        """Count the size of a blob that a manifest has named."""
        if pull.request.method == "GET":
            await self._count_blob(pull, None)

    async def missed_blob(self, pull: Pull) -> None:
        """Count that nginx does not have a blob; its request was counted before."""
        if pull.said(METHOD) == "GET":
            await self._count_blob(pull, CacheUse.MISS)

    async def _count_blob(self, pull: Pull, cache: CacheUse | None) -> None:
        digest = pull.path.reference
        with suppress(StoreUnavailable):
            size = await self.contents.size_of(pull.link, pull.repository, digest, self.clock())
            if size is not None:
                self._count(pull, digest, OCTETS, "GET", size=size, cache=cache)

    async def _media_type(self, pull: Pull, digest: str) -> str | None:
        try:
            return await self.contents.media_type_of(pull.link, pull.repository, digest, self.clock())
        except StoreUnavailable:
            return None

    def _count(
        self,
        pull: Pull,
        digest: str,
        media_type: str | None,
        method: str,
        *,
        size: int | None = None,
        parts: tuple[str, ...] = (),
        cache: CacheUse | None = None,
    ) -> None:
        client = pull.request[CLIENT]
        tagged = size is None and pull.path.digest is None
        self.record(
            RegistryEvent(
                id=self.new_id(),
                timestamp=self.clock(),
                action=EventAction.PULL,
                repository=str(pull.path.repository),
                media_type=media_type,
                digest=digest,
                size=size,
                tag=pull.path.reference if tagged else None,
                method=method,
                address=client.address,
                user_agent=client.user_agent[:MAX_TEXT],
                subject=pull.subject,
                request_id=pull.request[REQUEST_ID],
                parts=parts,
                cache=cache,
            )
        )


def _sizes(manifest: Manifest | None) -> dict[str, int]:
    if manifest is None:
        return {}
    blobs = (*((manifest.config,) if manifest.config else ()), *manifest.layers)
    return {blob.digest: blob.size for blob in blobs[:MAX_BLOBS]}
