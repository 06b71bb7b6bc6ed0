"""Fills Redis with a large installation: licenses, members and apps of one team, through the store's own codec.

Each record follows from its number, so that any of them can be compared with what is read later.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen

from authsvc.credentials.machine_secret import ID_BYTES, MachineSecret, derive_license_token, new_id
from authsvc.redaction import Secret
from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.records import App, License, LicenseReference, LicenseType, Member, Role, TokenDigest
from tests.bench.bulk import IndexWriter
from tests.bench.installation import APP, TEAM

BATCH = 2_000
BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LICENSES_OF_A_CUSTOMER = 4
CONTACT = "sales@vendor.com"


@frozen
class World:
    """What an installation has.

    Attributes:
        licenses: of which half are of one app, and the others of all.
        members: of the team.
        apps: of the team; the first one is that one.
        asking: licenses that ask for tokens; they are the first ones, and of that app.
        registry: written into the licenses.
        token_key: derives the registry tokens of the licenses that ask.
        password_hash: of every member.
        now: decides which licenses have ended.
    """

    licenses: int
    members: int
    apps: int
    asking: int
    registry: str
    token_key: bytes
    password_hash: Secret
    now: datetime

    @property
    def customers(self) -> int:
        """Number of the customers."""
        return -(-self.licenses // LICENSES_OF_A_CUSTOMER)

    def app(self, number: int) -> App:
        """Return an app."""
        return App(APP if number == 0 else f"app-{number:06}", TEAM, f"Application {number}", BEGAN)

    def member(self, number: int) -> Member:
        """Return a member."""
        email = f"member-{number:07}@vendor.test"
        return Member(_id("member", number), email, TEAM, Role.DEVELOPER, None, self.password_hash, 1, BEGAN)

    def customer(self, number: int) -> Customer:
        """Return a customer."""
        return Customer(_id("customer", number), TEAM, f"Customer {number:07} Ltd", BEGAN, f"C-{number:07}")

    def token(self, number: int) -> MachineSecret:
        """Return the registry token of a license that asks."""
        return derive_license_token(self.token_key, _id("license", number), 1)

    def license(self, number: int) -> License:
        """Return a license."""
        license_id, asks = _id("license", number), number < self.asking
        issued = BEGAN + timedelta(seconds=60 * number)
        customer = self.customer(number % self.customers)
        common = asks or number % 2 == 0
        return License(
            id=license_id,
            app=APP if common else self.app(number // 2 % self.apps).slug,
            team=TEAM,
            customer=customer.name,
            type=LicenseType.PAID,
            issued_at=issued,
            expires_at=self.now.replace(microsecond=0) + (400 if asks else number % 1100 - 400) * DAY,
            registry=self.registry,
            tokens=(
                TokenDigest(
                    1, self.token(number).sha256() if asks else hashlib.sha256(license_id.encode()).hexdigest()
                ),
            ),
            repositories=("worker", "api/*"),
            fields={"seats": 25},
            contact=CONTACT,
            reference=f"CRM-{number:07}",
            revoked_at=issued if number % 50 == 0 and not asks else None,
            archived_at=issued if number % 100 == 1 and not asks else None,
            customer_id=customer.id,
        )


def _id(kind: str, number: int) -> str:
    return new_id(hashlib.sha256(f"{kind} {number}".encode()).digest()[:ID_BYTES])


@frozen
class Filled:
    """Bytes of Redis that the records take, with every index.

    Attributes:
        license: for each.
        customer: for each.
        member: for each.
        app: for each.
    """

    license: float
    customer: float
    member: float
    app: float


async def fill(records: Records, world: World) -> Filled:
    """Write everything, and return what it takes."""
    apps = await _measured(records, world.apps, world.app, _app)
    members = await _measured(records, world.members, world.member, _member)
    customers = await _measured(records, world.customers, world.customer, _customer)
    licenses = await _measured(records, world.licenses, world.license, _license)
    _ = await records.connection.redis.hset(keys.MIGRATION, "settled", "1")  # lists rely on the indexes
    return Filled(licenses, customers, members, apps)


@frozen
class _Batch:
    """What a number of records writes, besides their entries of indexes."""

    values: dict[str, bytes]
    sets: defaultdict[str, list[str]]
    ordered: defaultdict[str, dict[str, float]]
    encode: Callable[[object], bytes]


def _app(app: App, batch: _Batch) -> None:
    batch.values[keys.app(app.slug)] = batch.encode(app)
    batch.sets[keys.team_apps(app.team)].append(app.slug)


def _member(member: Member, batch: _Batch) -> None:
    batch.values[keys.member(member.id)] = batch.encode(member)
    batch.values[keys.member_email(member.email)] = member.id.encode()
    batch.sets[keys.team_members(member.team)].append(member.id)


def _customer(customer: Customer, batch: _Batch) -> None:
    batch.values[keys.customer(customer.id)] = batch.encode(customer)


def _license(one: License, batch: _Batch) -> None:
    batch.values[keys.license_(one.id)] = batch.encode(one)
    reference = LicenseReference(one.id, one.expires_at)
    batch.values[keys.license_reference(one.app, str(one.reference))] = batch.encode(reference)
    batch.ordered[keys.app_licenses(one.app)][one.id] = one.issued_at.timestamp()


async def _measured(
    records: Records, count: int, make: Callable[[int], object], write: Callable[[Any, _Batch], None]
) -> float:
    """Write records of one kind; return the bytes for each."""
    connection = records.connection
    writer, before = IndexWriter(connection), await _used(connection)
    for start in range(0, count, BATCH):
        batch = _Batch({}, defaultdict(list), defaultdict(dict), records.codec.encode)
        for number in range(start, min(start + BATCH, count)):
            record = make(number)
            write(record, batch)
            writer.add(record)
        await _write(connection, batch)
    await writer.write()
    return (await _used(connection) - before) / max(1, count)


async def _write(connection: Connection, batch: _Batch) -> None:
    pipe = connection.redis.pipeline(transaction=False)
    for some in _portions(batch.values.items()):
        _ = pipe.mset(dict(some))
    for name, members in batch.sets.items():
        _ = pipe.sadd(name, *members)
    for name, scores in batch.ordered.items():
        _ = pipe.zadd(name, dict(scores))
    await pipe.execute()


def _portions(items: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    found = list(items)
    return (found[start : start + 500] for start in range(0, len(found), 500))


async def _used(connection: Connection) -> int:
    return int((await connection.redis.info("memory"))["used_memory"])
