"""Caches data of Redis about manifests and blobs for a while: the content of a digest never changes.

Every read in Redis extends the expiry of the data; doing that once in a while is sufficient.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from attrs import define, field

from authsvc.upstreams.link import UpstreamLink, cache_scope
from authsvc.web.proxy.activity import ContentMemory

KNOWN_FOR = timedelta(hours=1)
"""How long Redis is not asked for the same again."""

MAX_KNOWN = 2048
"""Manifests, and as many blobs, that a process remembers, at about 500 bytes each."""

Key = tuple[str, str, str]
Value = TypeVar("Value")


@define(eq=False)
class _Recent(Generic[Value]):
    _known: OrderedDict[Key, tuple[datetime, Value]] = field(init=False, factory=OrderedDict)

    def get(self, key: Key, now: datetime) -> Value | None:
        at, value = self._known.get(key, (None, None))
        return value if at is not None and timedelta() <= now - at <= KNOWN_FOR else None

    def put(self, key: Key, value: Value | None, now: datetime) -> Value | None:
        if value is not None:
            self._known[key] = (now, value)
            self._known.move_to_end(key)
            while len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        return value


@define(eq=False, repr=False)
class KnownContents:
    """A cache of recently used data. It implements :class:`authsvc.web.proxy.activity.ContentMemory`.

    Attributes:
        stored: the store behind the cache.
    """

    stored: ContentMemory
    _media_types: _Recent[str] = field(init=False, factory=_Recent, repr=False)
    _sizes: _Recent[int] = field(init=False, factory=_Recent, repr=False)

    async def media_type_of(self, link: UpstreamLink, repository: str, digest: str, now: datetime) -> str | None:
        """Return the media type of a manifest; None when it is not known."""
        key = (cache_scope(link), repository, digest)
        known = self._media_types.get(key, now)
        if known is not None:
            return known
        return self._media_types.put(key, await self.stored.media_type_of(link, repository, digest, now), now)

    async def size_of(self, link: UpstreamLink, repository: str, digest: str, now: datetime) -> int | None:
        """Return the size of a blob in bytes; None when it is not known."""
        key = (cache_scope(link), repository, digest)
        known = self._sizes.get(key, now)
        if known is not None:
            return known
        return self._sizes.put(key, await self.stored.size_of(link, repository, digest, now), now)

    async def remember(
        self,
        link: UpstreamLink,
        repository: str,
        digest: str,
        media_type: str,
        sizes: Mapping[str, int],
        now: datetime,
    ) -> None:
        """Remember a manifest, and the sizes of its blobs by their digests, for all processes."""
        await self.stored.remember(link, repository, digest, media_type, sizes, now)
        scope = cache_scope(link)
        self._media_types.put((scope, repository, digest), media_type, now)
        for blob, size in sizes.items():
            self._sizes.put((scope, repository, blob), size, now)
