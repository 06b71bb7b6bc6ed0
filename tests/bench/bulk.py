"""Writing many records at once, with their entries of the ordered indexes: thousands with each command.

Records go through the store's own codec, and the entries are those of :func:`authsvc.store.indexes.entries_of`. Only
how an ordered index is laid out is repeated here: see :mod:`authsvc.store.ordered_index`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from random import Random

from attrs import define, evolve, field

from authsvc.credentials.machine_secret import ID_ALPHABET, ID_LENGTH
from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.indexes import entries_of
from authsvc.store.ordered_index import LEAF_SIZE
from authsvc.store.records import Records
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.records import LicenseReference
from tests.bench.lists import APP, TEAM, old_license

BATCH = 2_000
MANY_INDEXES = 500
"""Indexes that are looked for with one command."""


@define
class IndexWriter:
    """Writes whole indexes that do not exist yet.

    Attributes:
        connection: to Redis.
    """

    connection: Connection
    _entries: dict[str, list[str]] = field(init=False, factory=lambda: defaultdict(list))

    def add(self, record: object) -> None:
        """Let the entries of a record be written."""
        for index, entry in entries_of(record):
            self._entries[index].append(entry)

    async def write(self) -> None:
        """Write all indexes, and forget their entries."""
        redis, leaf_size = self.connection.redis, LEAF_SIZE * 3 // 4
        while self._entries:
            some = [self._entries.popitem() for _ in range(min(MANY_INDEXES, len(self._entries)))]
            assert not await redis.exists(*(index for index, _ in some)), "one of the indexes is there already"
            leaves = list[tuple[str, str, list[str]]]()
            for index, found in some:
                ordered = sorted(set(found), key=str.encode)
                for start in range(0, len(ordered), leaf_size):
                    leaf = ordered[start : start + leaf_size]
                    leaves.append((index, leaf[0] if start else "", leaf))
            number = int(await redis.incrby(keys.LEAVES, len(leaves))) - len(leaves)
            pipe = redis.pipeline(transaction=False)
            for index, lowest, leaf in leaves:
                number += 1
                _ = pipe.zadd(index, {f"{lowest}\0{number}": 0})
                _ = pipe.zadd(f"{keys.LEAF}{number}", dict.fromkeys(leaf, 0))
                if number % 100 == 0:
                    await pipe.execute()
            await pipe.execute()


async def fill_licenses(records: Records, licenses: int, customers: int) -> None:
    """Write licenses with their customers and index entries, as a worker of today has them."""
    random, writer = Random(1), IndexWriter(records.connection)
    ids = ["".join(random.choices(ID_ALPHABET, k=ID_LENGTH)) for _ in range(customers)]
    known = dict[str, Customer]()
    for start in range(0, licenses, BATCH):
        values = dict[str, bytes]()
        newest = dict[str, float]()
        for number in range(start, min(start + BATCH, licenses)):
            plain = old_license(random, number, customers)
            customer = known.get(plain.customer)
            if customer is None:
                customer = Customer(ids[len(known)], TEAM, plain.customer, plain.issued_at)
                known[plain.customer] = customer
                values[keys.customer(customer.id)] = records.codec.encode(customer)
                writer.add(customer)
            one = evolve(plain, customer_id=customer.id)
            writer.add(one)
            values[keys.license_(one.id)] = records.codec.encode(one)
            reference = LicenseReference(one.id, one.expires_at)
            values[keys.license_reference(APP, str(one.reference))] = records.codec.encode(reference)
            newest[one.id] = one.issued_at.timestamp()
        await _write(records.connection, values, newest)
    await writer.write()
    _ = await records.connection.redis.hset(keys.MIGRATION, "settled", "1")  # lists rely on the indexes


async def _write(connection: Connection, values: Mapping[str, bytes], newest: Mapping[str, float]) -> None:
    pipe = connection.redis.pipeline(transaction=False)
    for some in _portions(values.items()):
        _ = pipe.mset(dict(some))
    _ = pipe.zadd(keys.app_licenses(APP), dict(newest))
    await pipe.execute()


def _portions(items: Iterable[tuple[str, bytes]]) -> Iterable[list[tuple[str, bytes]]]:
    found = list(items)
    return (found[start : start + 500] for start in range(0, len(found), 500))
