"""Adds a Bloom filter to the audit for each block of entries, in the background (:mod:`authsvc.audit.block_filter`)."""

from collections.abc import Sequence
from typing import Protocol

from authsvc.audit.block_filter import BlockFilter
from authsvc.audit.stored_entry import StoredEntry

READ = 50
"""Entries that are read at once: the event loop is busy with them for one to two milliseconds."""

MAX_READ = 2_500
"""Most entries that are read in one go."""


class BlockFilterStore(Protocol):
    """The entries, and the filters of their blocks."""

    async def after(self, cursor: str, count: int) -> list[StoredEntry]: ...
    async def last_block(self) -> str: ...
    async def add_block(self, previous: str, cursors: Sequence[str], bits: bytes) -> bool: ...


class BlockFilterWriter:
    """Makes the filters, each as soon as its block is full. Every entry is read once."""

    def __init__(self, store: BlockFilterStore) -> None:
        """Read the entries of ``store``."""
        self._store = store
        self._previous = self._cursor = ""
        self._cursors = list[str]()
        self._open = BlockFilter()

    async def is_behind(self) -> bool:
        """Whether there are entries that were not read here.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        return bool(await self._store.after(self._cursor, 1))

    async def extend(self) -> bool:
        """Read further entries and add the filters of full blocks; return whether there are more.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        last = await self._store.last_block()
        if last != self._previous:  # another process added some, or they are no longer there
            self._begin(last)
        for _ in range(MAX_READ // READ):
            entries = await self._store.after(self._cursor, READ)
            if not entries:
                return False
            await self._add(entries)
        return True

    async def _add(self, entries: Sequence[StoredEntry]) -> None:
        for entry in entries:
            self._cursor = entry.cursor
            self._cursors.append(entry.cursor)
            self._open.add(entry.text, entry.ids, whole=entry.length == len(entry.text))
            if self._open.is_full:
                if not await self._store.add_block(self._previous, self._cursors, self._open.bits()):
                    self._begin(self._previous)
                    return
                self._begin(self._cursor)

    def _begin(self, previous: str) -> None:
        self._previous = self._cursor = previous
        self._cursors = []
        self._open = BlockFilter()
