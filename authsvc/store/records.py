"""Reading, listing and replacing records: what the modules of every aggregate share."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from attrs import frozen

from authsvc.audit.entry import ChangeLog, Entry
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.transaction import Transaction, unlogged
from authsvc.tenancy.versioned import Version, Versioned

T = TypeVar("T")

CHANGED_MEANWHILE = "it was changed at the same moment by another request; look at it and try again"


@frozen
class Records:
    """The records of one installation. Every method raises StoreUnavailable when Redis does not answer.

    An index is written in the same change as its record. Every change carries the audit's entry, whose id makes it
    harmless to repeat (see :mod:`authsvc.store.transaction`).

    Attributes:
        connection: to Redis.
        codec: turns records into JSON and back.
        log: where changes are written once they are durable.
    """

    connection: Connection
    codec: Codec
    log: ChangeLog = unlogged

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

    def change(self, entry: Entry, result: str) -> Transaction:
        """Begin a change, which ``entry`` tells of; ``result`` is the id of what is created or changed."""
        return Transaction(entry, self.log, result)

    async def replace(self, key: Callable[[str], str], record_id: str, old: Versioned[T], new: T, entry: Entry) -> None:
        """Store a changed record with the fields that a newer authsvc gave it; it is forgotten when ``old`` would be.

        ``key`` makes the key of its id.

        Raises:
            Conflict: it is no longer what ``old`` says.
        """
        change = self.change(entry, record_id)
        change.expect(key(record_id), old.version, CHANGED_MEANWHILE)
        change.put(key(record_id), self.codec.encode_change(old.version, new), keep_life=True)
        await change.apply(self.connection)
