"""Resolves tags of linked registries, with as few requests to the registry as possible."""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from attrs import define, field

from authsvc.errors import Overloaded, StoreUnavailable, UpstreamFailed, UpstreamLimited, UpstreamNotFound
from authsvc.upstreams.link import UpstreamLink, cache_scope
from authsvc.upstreams.tag_policy import RememberedTag, ResolvedTag, TagPolicy
from authsvc.web.proxy.link_shares import LinkShares, SharedQuestions

MAX_PAUSED = 4096
"""Tags whose failed look-up a process remembers."""

Key = tuple[str, str, str]


class TagMemory(Protocol):
    """Stores the last known images of tags."""

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
    """The headers of a registry about a manifest."""

    @property
    def digest(self) -> str:
        """Its digest."""
        ...


class TagSource(Protocol):
    """Looks tags up at linked registries."""

    async def head_manifest(self, link: UpstreamLink, repository: str, reference: str) -> ManifestHead:
        """Return what the registry says of a tag; raises UpstreamFailed."""
        ...


@define(eq=False, repr=False)
class TagResolver:
    """Resolves tags.

    Attributes:
        source: linked registries.
        memory: their previous answers, shared by all workers.
        policy: how long those are used.
        clock: returns the time.
        shares: gives turns for requests.
    """

    source: TagSource
    memory: TagMemory
    policy: TagPolicy
    clock: Callable[[], datetime]
    shares: LinkShares
    _questions: SharedQuestions[Key, ResolvedTag] = field(init=False, repr=False)
    _failed: OrderedDict[Key, tuple[datetime, UpstreamFailed]] = field(init=False, factory=OrderedDict, repr=False)

    def __attrs_post_init__(self) -> None:
        """Start with nothing asked."""
        self._questions = SharedQuestions(self.shares)

    async def resolve(self, link: UpstreamLink, repository: str, tag: str, subject: str) -> ResolvedTag:
        """Return the image of ``tag``; a request, if needed, is made in the turn of ``subject``.

        Raises:
            UpstreamFailed: the registry does not have it, or cannot be asked and nothing is known of it.
            Overloaded: the turn of ``subject`` does not come soon enough, and nothing is known of the tag.
            StoreUnavailable: the previous answers cannot be read.
        """
        key = (cache_scope(link), repository, tag)

        async def known() -> ResolvedTag | None:
            return await self._known(key, link)

        async def ask() -> ResolvedTag:
            return await self._look_up(key, link, await self.memory.get(link, repository, tag))

        found = await known()
        if found is not None:
            return found
        try:
            return await self._questions.ask(link.id, subject, key, known, ask)
        except Overloaded as error:
            return self._by_memory(await self.memory.get(link, repository, tag), error, self.clock())

    async def _known(self, key: Key, link: UpstreamLink) -> ResolvedTag | None:
        """Return what a tag means when the registry need not be asked, or was asked in vain a moment ago."""
        _, repository, tag = key
        remembered = await self.memory.get(link, repository, tag)
        now = self.clock()
        if remembered is not None and self.policy.is_fresh(remembered, now):
            return ResolvedTag(remembered.digest)
        failed = self._failed.get(key)
        return self._by_memory(remembered, _copy(failed[1]), now) if failed is not None and now < failed[0] else None

    async def _look_up(self, key: Key, link: UpstreamLink, remembered: RememberedTag | None) -> ResolvedTag:
        _, repository, tag = key
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
        _, repository, tag = key
        now = self.clock()
        if isinstance(error, UpstreamNotFound):
            if remembered is not None:
                with suppress(StoreUnavailable):
                    await self.memory.forget(link, repository, tag)
            raise error
        pause = self.policy.interval
        if isinstance(error, UpstreamLimited):
            pause = max(pause, timedelta(seconds=error.retry_after))
        self._failed[key] = (now + pause, _copy(error))
        while len(self._failed) > MAX_PAUSED:
            self._failed.popitem(last=False)
        return self._by_memory(remembered, error, now)

    def _by_memory(
        self, remembered: RememberedTag | None, error: UpstreamFailed | Overloaded, now: datetime
    ) -> ResolvedTag:
        stale = self.policy.stands_in(remembered, error, now)
        if stale is None:
            raise error
        return stale


def _copy(error: UpstreamFailed) -> UpstreamFailed:
    """Return the same error for another time: the traceback of this one holds what was answered."""
    copied = type(error).__new__(type(error), *error.args)
    vars(copied).update(vars(error))
    return copied
