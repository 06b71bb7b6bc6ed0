"""Finds out what a tag of a linked registry means, with as few questions to that registry as possible."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from attrs import define, field

from authsvc.errors import StoreUnavailable, UpstreamFailed, UpstreamLimited, UpstreamNotFound
from authsvc.in_flight import InFlight
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.tag_policy import RememberedTag, ResolvedTag, TagPolicy

MAX_PAUSED = 4096
"""Tags whose failed look-up a process remembers."""

Key = tuple[str, int, int, str, str]


class TagMemory(Protocol):
    """What tags meant before."""

    async def get(self, link: UpstreamLink, repository: str, tag: str) -> RememberedTag | None:
        """Return what a tag meant."""
        ...

    async def put(self, link: UpstreamLink, repository: str, tag: str, remembered: RememberedTag) -> None:
        """Remember what a tag means."""
        ...

    async def forget(self, link: UpstreamLink, repository: str, tag: str) -> None:
        """Forget a tag."""
        ...


class ManifestHead(Protocol):
    """What a registry says of a manifest."""

    @property
    def digest(self) -> str:
        """Its digest."""
        ...


class TagSource(Protocol):
    """Looks tags up at linked registries."""

    async def head_manifest(self, link: UpstreamLink, repository: str, reference: str) -> ManifestHead:
        """Return what the registry says of a tag; raises UpstreamFailed."""
        ...


@define(eq=False)
class TagResolver:
    """Answers what tags mean.

    Attributes:
        source: linked registries.
        memory: what they said before, shared by all workers.
        policy: for how long that counts.
        clock: returns the time.
    """

    source: TagSource
    memory: TagMemory
    policy: TagPolicy
    clock: Callable[[], datetime]
    _flights: InFlight[Key, ResolvedTag] = field(init=False, factory=InFlight, repr=False)
    _failed: OrderedDict[Key, tuple[datetime, UpstreamFailed]] = field(init=False, factory=OrderedDict, repr=False)

    async def resolve(self, link: UpstreamLink, repository: str, tag: str) -> ResolvedTag:
        """Return what ``tag`` means.

        Raises:
            UpstreamFailed: the registry does not have it, or cannot be asked and nothing is known of it.
            StoreUnavailable: what is known cannot be read.
        """
        key = (link.id, link.credential_version, link.purge_count, repository, tag)
        remembered = await self.memory.get(link, repository, tag)
        now = self.clock()
        if remembered is not None and self.policy.is_fresh(remembered, now):
            return ResolvedTag(remembered.digest)
        failed = self._failed.get(key)
        if failed is not None and now < failed[0]:
            return self._by_memory(remembered, failed[1], now)

        def start() -> asyncio.Task[ResolvedTag]:
            return asyncio.create_task(self._look_up(key, link, remembered))

        return await self._flights.ask(key, start)

    async def _look_up(self, key: Key, link: UpstreamLink, remembered: RememberedTag | None) -> ResolvedTag:
        *_, repository, tag = key
        try:
            found = await self.source.head_manifest(link, repository, tag)
        except UpstreamFailed as error:
            return await self._failure(key, link, remembered, error)
        self._failed.pop(key, None)
        with suppress(StoreUnavailable):  # the next request asks again
            await self.memory.put(link, repository, tag, RememberedTag(found.digest, self.clock()))
        return ResolvedTag(found.digest)

    async def _failure(
        self, key: Key, link: UpstreamLink, remembered: RememberedTag | None, error: UpstreamFailed
    ) -> ResolvedTag:
        *_, repository, tag = key
        now = self.clock()
        if isinstance(error, UpstreamNotFound):
            if remembered is not None:
                with suppress(StoreUnavailable):
                    await self.memory.forget(link, repository, tag)
            raise error
        pause = self.policy.interval
        if isinstance(error, UpstreamLimited):
            pause = max(pause, timedelta(seconds=error.retry_after))
        self._failed[key] = (now + pause, error)
        while len(self._failed) > MAX_PAUSED:
            self._failed.popitem(last=False)
        return self._by_memory(remembered, error, now)

    def _by_memory(self, remembered: RememberedTag | None, error: UpstreamFailed, now: datetime) -> ResolvedTag:
        stale = self.policy.stands_in(remembered, error, now)
        if stale is None:
            raise error
        return stale
