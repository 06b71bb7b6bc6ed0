"""Lists of tags of linked registries, asked for once in an interval: one takes many requests to the registry."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import define, field

from authsvc.upstreams.link import UpstreamLink, cache_scope
from authsvc.web.proxy.link_shares import LinkShares, SharedQuestions

MAX_NAMES = 60_000
"""Names of tags that a process keeps in all lists together, which are about 10 MiB at most."""

EMPTY = 20
"""Number of names that a list counts for in addition to its own, since an empty list also takes memory."""

Key = tuple[str, str]
Names = tuple[str, ...]


class ListedTags(Protocol):
    """The tags of a repository."""

    @property
    def names(self) -> Names:
        """Sorted."""
        ...


class TagListSource(Protocol):
    """Asks linked registries for their tags."""

    async def list_tags(self, link: UpstreamLink, repository: str) -> ListedTags:
        """Return the tags of a repository; raises UpstreamFailed."""
        ...


@define(eq=False, repr=False)
class TagLists:
    """Lists tags.

    Attributes:
        source: linked registries.
        shares: gives turns for requests.
        interval: for which a list is kept.
        clock: returns the time.
    """

    source: TagListSource
    shares: LinkShares
    interval: timedelta
    clock: Callable[[], datetime]
    _questions: SharedQuestions[Key, Names] = field(init=False, repr=False)
    _kept: OrderedDict[Key, tuple[datetime, Names]] = field(init=False, factory=OrderedDict, repr=False)
    _size: int = field(init=False, default=0, repr=False)

    def __attrs_post_init__(self) -> None:
        """Start with nothing asked."""
        self._questions = SharedQuestions(self.shares)

    async def names(self, link: UpstreamLink, repository: str, subject: str) -> Sequence[str]:
        """Return the tags of a repository, sorted.

        Raises:
            UpstreamFailed: the registry does not return them.
            Overloaded: the turn of ``subject`` does not come soon enough.
        """
        key = (cache_scope(link), repository)

        async def known() -> Names | None:
            return self._find(key)

        async def ask() -> Names:
            names = (await self.source.list_tags(link, repository)).names
            self._keep(key, names)
            return names

        found = self._find(key)
        return found if found is not None else await self._questions.ask(link.id, subject, key, known, ask)

    def _find(self, key: Key) -> Names | None:
        found = self._kept.get(key)
        return found[1] if found is not None and timedelta() <= self.clock() - found[0] < self.interval else None

    def _keep(self, key: Key, names: Names) -> None:
        self._forget(key)
        self._kept[key] = (self.clock(), names)
        self._size += len(names) + EMPTY
        while self._size > MAX_NAMES:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: Key) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._size -= len(found[1]) + EMPTY
