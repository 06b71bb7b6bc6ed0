"""Pages of records, read from ranges of ordered indexes, one after the other (design #18).

A page costs what it examines: at most :data:`MAX_EXAMINED` records within :data:`MAX_SECONDS`, in steps of
:data:`STEP`, so that Redis and this process serve others in between. With selective filters, a page may therefore be
short or empty even if there is a next one.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Generic, TypeVar

from attrs import define, field, frozen

from authsvc.store.indexes import entries_of, id_of
from authsvc.store.records import Records
from authsvc.tenancy.pages import Page, read_cursor, write_cursor

T = TypeVar("T")

STEP = 100
"""Entries, and then records, that are read with one command."""

MAX_EXAMINED = 2_000
"""Most records that are examined for one page."""

MAX_SECONDS, LEAST_EXAMINED = 0.03, 500
"""After this time a page ends if it has examined this many records, so that a slow machine shortens only pages of
sparse lists."""

RANGE_COST = 20
"""An additional range, such as one more app, counts as this many records, since it takes one more command."""

_JOIN = "\n"


@frozen
class KnownEntries:
    """The first entries of a range, which were read together with those of others.

    Attributes:
        entries: in order.
        complete: whether the range has no more.
        records: what is stored for each entry.
    """

    entries: Sequence[str]
    complete: bool
    records: Mapping[str, bytes | None]


@frozen(eq=False, repr=False)
class Range:
    """A part of a list.

    Attributes:
        name: unique among the ranges of a list; without line breaks.
        index: key of the ordered index.
        after: lower bound, an entry or the beginning of one, not included; empty for none.
        before: upper bound, not included; empty for none.
        read: reads entries in place of the ordered index; it takes a lower bound and a limit.
        first: its first entries, if they are known.
    """

    name: str
    index: str
    after: str = ""
    before: bytes = b""
    read: Callable[[str, int], Awaitable[list[str]]] | None = None
    first: KnownEntries | None = None

    async def entries(self, records: Records, after: str, limit: int) -> list[str]:
        """Return the first entries behind ``after``, which is not below the lower bound.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        if self.read is not None:
            return await self.read(after, limit)
        if self.first is not None:
            found = [entry for entry in self.first.entries if entry.encode() > after.encode()][:limit]
            if found or self.first.complete:
                return found
        return await records.indexes.entries(self.index, after=after, before=self.before, limit=limit)


def never(name: str) -> Range:
    """Return a range that is empty."""

    async def read(_after: str, _limit: int) -> list[str]:
        return []

    return Range(name, "", read=read)


Ranges = Callable[[str], AsyncIterator[Range]]
"""Yields the ranges of a list, each once and always in the same order, from the one with the given name on."""

Keep = Callable[[T, str], Awaitable[bool]]
"""Whether a record that was found under an entry is shown."""


async def one_range(part: Range) -> AsyncIterator[Range]:
    """Yield the only range of a list."""
    yield part


async def keep_all(_record: object, _entry: str) -> bool:
    """Show every record."""
    return True


@define
class _Progress(Generic[T]):
    limit: int
    items: list[T] = field(factory=list)
    unreadable: list[str] = field(factory=list)
    examined: int = 0
    place: str = ""
    ends_at: float = field(factory=lambda: asyncio.get_running_loop().time() + MAX_SECONDS)

    def is_full(self) -> bool:
        return len(self.items) + len(self.unreadable) >= self.limit or self.examined >= MAX_EXAMINED

    def is_late(self) -> bool:
        return self.examined >= LEAST_EXAMINED and asyncio.get_running_loop().time() > self.ends_at

    def page(self, following: str | None) -> Page[T]:
        return Page(tuple(self.items), following, tuple(self.unreadable))


@frozen(eq=False, repr=False)
class List(Generic[T]):
    """A list of records.

    Attributes:
        records: of the installation.
        kind: of the records.
        key: makes a record's key of its name.
        name: makes a record's name, which is shown when it cannot be read, of an entry.
    """

    records: Records
    kind: type[T]
    key: Callable[[str], str]
    name: Callable[[str], str] = id_of

    async def page(
        self, query: str, ranges: Ranges, after: str | None, limit: int, keep: Keep[T] = keep_all
    ) -> Page[T]:
        """Return one page.

        Args:
            query: identifies the list and its filters in the cursor.
            ranges: of the list.
            after: cursor of the previous page, or None.
            limit: most items.
            keep: decides which records are shown.

        Raises:
            InputRefused: ``after`` is not a cursor of this query.
            StoreUnavailable: Redis does not answer.
        """
        name, _, entry = (read_cursor(query, after) or "").partition(_JOIN)
        found: _Progress[T] = _Progress(limit)
        first = True
        async for part in ranges(name):
            found.examined += 0 if first else RANGE_COST
            if found.is_full() or found.is_late():
                return found.page(write_cursor(query, f"{part.name}{_JOIN}"))
            if not await self._read(part, entry if first and part.name == name else "", keep, found):
                return found.page(write_cursor(query, found.place))
            first = False
        return found.page(None)

    async def _read(self, part: Range, after: str, keep: Keep[T], found: _Progress[T]) -> bool:
        """Examine a range behind ``after``; return whether it was examined to its end."""
        after = max(after, part.after, key=str.encode)
        while True:
            # When the page is full, one more entry is searched for, since the last page has no cursor.
            late = found.is_full() or found.is_late()
            wanted = 1 if late else STEP
            entries = await part.entries(self.records, after, wanted)
            if not entries or late:
                return not entries
            known = {} if part.first is None else part.first.records
            if not known.keys() >= set(entries):
                raws = await self.records.connection.get_all(*(self.key(self.name(entry)) for entry in entries))
                known = dict(zip(entries, raws, strict=True))
            for entry in entries:
                raw = known[entry]
                if found.is_full():
                    return False
                found.examined += 1
                found.place, after = f"{part.name}{_JOIN}{entry}", entry
                if raw is not None:
                    await self._examine(raw, part, entry, keep, found)

    async def _examine(self, raw: bytes, part: Range, entry: str, keep: Keep[T], found: _Progress[T]) -> None:
        record = self.records.readable(raw, self.kind)
        if record is None:
            found.unreadable.append(self.name(entry))
        # An entry that does not belong to its record was left over by an older authsvc.
        elif await keep(record, entry) and (part.read is not None or (part.index, entry) in entries_of(record)):
            found.items.append(record)


@frozen(eq=False, repr=False)
class SetList(Generic[T]):
    """Lists that an ordered index holds, each for one owner, and that an older authsvc keeps as a set of names.

    Until the indexes are settled, the content of the index is computed from all records of the set.

    Attributes:
        records: of the installation.
        kind: of the records.
        key: makes a record's key of its name.
        index: makes the key of the ordered index of its owner.
        names: makes the key of the set of the records' names of their owner.
        name: makes a record's name of an entry.
    """

    records: Records
    kind: type[T]
    key: Callable[[str], str]
    index: Callable[[str], str]
    names: Callable[[str], str]
    name: Callable[[str], str] = id_of

    async def page(
        self,
        owners: Ranges | str,
        query: str,
        after: str | None,
        limit: int,
        keep: Callable[[T], bool] = lambda _: True,
    ) -> Page[T]:
        """Return one page.

        Args:
            owners: slug or id of the owner; or yields the ranges of several, as :meth:`range_of` makes them.
            query: identifies the list and its filters in the cursor.
            after: cursor of the previous page, or None.
            limit: most items.
            keep: whether a record is shown.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            StoreUnavailable: Redis does not answer.
        """

        async def shown(record: T, _entry: str) -> bool:
            return keep(record)

        listed: List[T] = List(self.records, self.kind, self.key, self.name)
        if isinstance(owners, str):
            part = await self.range_of(owners)
            return await listed.page(f"{query} {owners}", lambda _: one_range(part), after, limit, shown)
        return await listed.page(query, owners, after, limit, shown)

    async def range_of(self, owner: str) -> Range:
        """Return the range of one owner."""
        settled = await self.records.are_settled()
        read = None if settled else partial(self.computed, owner)
        return Range(owner, self.index(owner), read=read)

    async def computed(self, owner: str, after: str, limit: int) -> list[str]:
        """Return entries of an owner as its index will have them, behind ``after``."""
        connection, index = self.records.connection, self.index(owner)
        found = await connection.read(lambda: connection.redis.smembers(self.names(owner)))
        names, entries = sorted(map(bytes.decode, found)), list[str]()
        for start in range(0, len(names), STEP):
            raws = await connection.get_all(*map(self.key, names[start : start + STEP]))
            records = (self.records.readable(raw, self.kind) for raw in raws if raw is not None)
            entries += (entry for one in records if one for where, entry in entries_of(one) if where == index)
        behind = (entry for entry in sorted(entries, key=str.encode) if entry.encode() > after.encode())
        return list(islice(behind, limit))
