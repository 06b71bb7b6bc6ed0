"""Reads, lists and replaces records: code shared by the modules of all aggregates."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from attrs import Factory, field, frozen

from authsvc.audit.entry import ChangeLog, Entry
from authsvc.errors import InputRefused, StoreUnavailable
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.indexes import entries_of
from authsvc.store.ordered_index import OrderedIndexes
from authsvc.store.transaction import Transaction, unlogged
from authsvc.tenancy.pages import read_cursor
from authsvc.tenancy.versioned import Version, Versioned

T = TypeVar("T")

ENDINGS = ("revoked_at", "archived_at", "disabled_at", "removed_at")
"""Fields of records with the time when access ended."""

CHANGED_MEANWHILE = "it was changed at the same moment by another request; look at it and try again"


@frozen(eq=False, repr=False)
class Records:
    """The records of one installation. Every method raises StoreUnavailable when Redis does not answer.

    An index is written in the same change as its record. Every change carries the audit's entry, whose id makes it
    harmless to repeat (see :mod:`authsvc.store.transaction`).

    Attributes:
        connection: to Redis.
        codec: turns records into JSON and back.
        log: where changes are written once they are durable.
        indexes: the ordered indexes.
    """

    connection: Connection
    codec: Codec
    log: ChangeLog = unlogged
    indexes: OrderedIndexes = field(
        init=False, repr=False, default=Factory(lambda self: OrderedIndexes(self.connection), takes_self=True)
    )

    async def get(self, key: str, kind: type[T]) -> Versioned[T] | None:
        """Return the record at ``key``."""
        raw = await self.connection.get(key)
        return None if raw is None else self.versioned(raw, kind)

    async def get_all(self, keys: Iterable[str], kind: type[T]) -> list[Versioned[T]]:
        """Return those of the records at ``keys`` that exist, as of one instant, in this order."""
        raws = await self.connection.get_all(*keys)
        return [self.versioned(raw, kind) for raw in raws if raw is not None]

    async def of_set(self, index: str, key: Callable[[str], str], kind: type[T]) -> list[Versioned[T]]:
        """Return the records whose names are in the set ``index``, by name; ``key`` makes a key of a name."""
        names = await self.connection.read(lambda: self.connection.redis.smembers(index))
        return await self.get_all((key(name) for name in sorted(map(bytes.decode, names))), kind)

    def versioned(self, raw: bytes, kind: type[T]) -> Versioned[T]:
        """Return the record in ``raw``, which is its version."""
        return Versioned(self.codec.decode(raw, kind), Version(raw))

    def readable(self, raw: bytes, kind: type[T]) -> T | None:
        """Return the record in ``raw``; None when a newer authsvc wrote it.

        Raises:
            StoreUnavailable: it is damaged.
        """
        try:
            return self.codec.decode(raw, kind)
        except StoreUnavailable as error:
            if error.code != "record_too_new":
                raise
            return None

    async def list_mode(self, query: str, after: str | None) -> bool:
        """Return whether a list relies on the indexes: as the page before did, else as soon as they are settled.

        Raises:
            InputRefused: ``after`` is not a cursor of this query.
        """
        if after is not None:
            with suppress(InputRefused):
                read_cursor(mode_query(query, settled=False), after)
                return False
            read_cursor(mode_query(query, settled=True), after)
            return True
        return await self.are_settled()

    async def are_settled(self) -> bool:
        """Return whether lists can rely on the indexes now."""
        connection = self.connection
        found = await connection.read(lambda: connection.redis.hget(keys.MIGRATION, "settled"))
        return bool(found == b"1")

    def change(self, entry: Entry, result: str) -> Transaction:
        """Begin a change with its audit ``entry``; ``result`` is the id of the created or changed record."""
        return Transaction(entry, self.log, result)

    async def replace(self, key: Callable[[str], str], record_id: str, old: Versioned[T], new: T, entry: Entry) -> None:
        """Store a changed record with the fields that a newer authsvc gave it; it is forgotten when ``old`` would be.

        ``key`` makes the key of its id.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        await self.replacing(key, record_id, old, new, entry).apply(self.connection)

    def replacing(
        self, key: Callable[[str], str], record_id: str, old: Versioned[T], new: T, entry: Entry
    ) -> Transaction:
        """Return the change of :meth:`replace`."""
        change = self.change(entry, record_id)
        change.expect(key(record_id), old.version, CHANGED_MEANWHILE)
        change.put(key(record_id), self.codec.encode_change(old.version, new), keep_life=True)
        change.index(entries_of(new), entries_of(old.record))
        change.ends_access = ends_access(old.record, new)
        return change


def ends_access(old: object, new: object) -> bool:
    """Whether a change of a record revokes, archives, disables or removes what it represents."""
    return any(getattr(old, name, None) is None and getattr(new, name, None) is not None for name in ENDINGS)


def mode_query(query: str, *, settled: bool) -> str:
    """Return what a cursor of ``query`` belongs to: the same list may be read in two ways."""
    return query if settled else f"{query}, without indexes"
