"""The migration to indexes and customers: killed anywhere, done twice, next to changes, and beside an older version."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict
from authsvc.redaction import Secret
from authsvc.store import keys, migration
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.indexes import entries_of
from authsvc.store.migration import Migration, read_progress
from authsvc.store.records import Records
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.records import App, License, Member, Role, Team, TokenDigest
from authsvc.wiring.stores import make_stores
from tests.support.builders import NOW, make_license
from tests.support.migrated import migrate, yes
from tests.support.old_records import forget_indexes, write_old_licenses
from tests.support.redis_server import RedisServer, patient, server_in_background

NAMES = ("Acme Corp", "Initech", "M\u00fcller GmbH")
_serial = itertools.count()


class Killed(Exception):
    """The process is gone."""


class Mortal(Connection):
    """A connection of a process that is killed after so many commands."""

    def __init__(self, url: Secret, lives: int) -> None:
        """Live for ``lives`` commands."""
        super().__init__(url)
        self.lives = lives

    async def _guarded(self, attempts: Any) -> Any:
        if self.lives == 0:
            raise Killed
        self.lives -= 1
        return await super()._guarded(attempts)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Return a server that the tests of this module share."""
    with server_in_background("--appendfsync", "no") as running:
        yield running


@pytest.fixture
async def records(server: RedisServer) -> AsyncIterator[Records]:
    """Yield the records of a store as an older version left it."""
    connection = patient(server)
    await connection.redis.flushall()
    records = Records(connection, Codec())
    await fill(records)
    try:
        yield records
    finally:
        await connection.close()


def entry() -> Entry:
    """Return what the audit records of a change."""
    return Entry(f"op-{next(_serial)}", NOW, "test.done", "system:authsvc")


async def fill(records: Records) -> None:
    """Write two teams with everything that lists show, as an older version would have."""
    stores = make_stores(records)
    for team in ("acme", "globex"):
        await stores.teams.add(Team(team, team, NOW), entry())
        member = Member(team[0] * 16, f"me@{team}.test", team, Role.OWNER, None, Secret("$x"), 1, NOW)
        await stores.members.add(member, entry())
        owner = await stores.members.get(member.id)
        assert owner is not None
        token = PersonalToken(f"{team[0]}t".ljust(16, "0"), "laptop", member.id, "ab" * 32, NOW)
        await stores.personal_tokens.add(token, owner, None, entry())
        account = ServiceAccount(f"{team[0]}s".ljust(16, "0"), "ci", team, (), (TokenDigest(1, "ab" * 32),), NOW)
        await stores.service_accounts.add(account, entry())
        for app in (f"{team}-a", f"{team}-b"):
            await stores.apps.add(App(app, team, app, NOW), entry())
            await write_old_licenses(
                records,
                [
                    make_license(
                        f"{app.replace('-', '').translate(str.maketrans('lou', '111'))}{number}".ljust(16, "0"),
                        app=app,
                        team=team,
                        customer=NAMES[number % 3],
                        reference=f"R-{number}",
                        issued_at=NOW - timedelta(days=number),
                    )
                    for number in range(7)
                ],
            )
    await forget_indexes(records)


async def found_wrong(records: Records) -> list[str]:
    """Return what is wrong with the indexes and the customers; nothing if all is well."""
    redis, wrong, expected = records.connection.redis, list[str](), dict[str, set[str]]()
    kinds: dict[str, type[object]] = {
        "team": Team,
        "app": App,
        "member": Member,
        "license": License,
        "customer": Customer,
    }
    kinds |= {"personal-token": PersonalToken, "service-account": ServiceAccount}
    customers: dict[str, Customer] = {}
    licenses: list[License] = []
    for name, kind in kinds.items():
        async for key in redis.scan_iter(f"{keys.PREFIX}{name}:*"):
            raw = await records.connection.get(key.decode())
            assert raw is not None
            record: object = records.codec.decode(raw, kind)
            for index, one in entries_of(record):
                expected.setdefault(index, set()).add(one)
            if isinstance(record, Customer):
                customers[record.id] = record
            if isinstance(record, License):
                licenses.append(record)
    async for key in redis.scan_iter(f"{keys.PREFIX}index:*"):
        present = set(await records.indexes.entries(key.decode(), limit=10_000))
        if present != expected.pop(key.decode(), set()):
            wrong.append(f"{key!r} is not what the records say")
    wrong += [f"{index} is missing" for index in expected]
    named = [(one.team, one.name) for one in customers.values()]
    wrong += ["two customers have one name"] if len(named) != len(set(named)) else []
    wrong += [f"{one.id} has no customer" for one in licenses if customers.get(one.customer_id or "") is None]
    wrong += [
        f"{one.id} has another"
        for one in licenses
        if one.customer_id in customers and customers[one.customer_id].name != one.customer
    ]
    return wrong


async def everything(records: Records) -> dict[bytes, bytes | None]:
    """Return all licenses and customers as they are stored."""
    redis, found = records.connection.redis, dict[bytes, bytes | None]()
    for pattern in (keys.license_("*"), keys.customer("*")):
        found |= {key: await records.connection.get(key.decode()) async for key in redis.scan_iter(pattern)}
    return found


async def test_everything_gets_its_entries_and_its_customer(records: Records) -> None:
    """One customer for each distinct text of a team; a second pass changes nothing at all."""
    assert await found_wrong(records)
    await migrate(records)
    customers = [key async for key in records.connection.redis.scan_iter(keys.customer("*"))]
    before = await everything(records)
    progress = await read_progress(records)

    assert [] == await found_wrong(records)
    assert 2 * len(NAMES) == len(customers)
    assert (True, 28, 28, 100) == (progress.settled, progress.done, progress.total, progress.percent)
    await migrate(records)
    assert before == await everything(records)
    assert [] == await found_wrong(records)


async def test_killed_between_any_two_commands(
    records: Records, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever goes on finds the place; in the end everything is there, once."""
    monkeypatch.setattr(migration, "STEP", 5)
    for lives in itertools.count(1, 4):
        await forget_indexes(records)
        mortal = Mortal(server.url, lives)
        try:
            await migrate(Records(mortal, Codec()), Random(lives))
        except Killed:
            assert not (await read_progress(records)).settled
            await migrate(records, Random(lives + 1000))
        else:
            assert lives > 50
            return
        finally:
            await mortal.close()
        assert [] == await found_wrong(records), lives


async def test_a_pass_goes_on_where_it_was_killed(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest takes only the steps that are left."""
    monkeypatch.setattr(migration, "STEP", 3)
    whole = await migrate(records)
    await forget_indexes(records)
    steps = Migration(records, Random(1).randbytes).run(settles=yes, clock=lambda: NOW)
    for _ in range(whole - 4):
        await anext(steps)
    await steps.aclose()

    assert 4 == await migrate(records)
    assert [] == await found_wrong(records)


async def test_a_step_creates_its_customers_with_one_command(records: Records) -> None:
    """Each command waits for the disk: one for each of 100,000 customers would take hours of a pass that rests."""
    named = [
        make_license(f"{number:016}", app="acme-a", team="acme", customer=f"Customer {number}") for number in range(200)
    ]
    await write_old_licenses(records, named)
    calls = (await records.connection.redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
    steps = await migrate(records)
    calls = (await records.connection.redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - calls

    assert 200 / migration.STEP < steps < calls <= 2 * steps
    assert [] == await found_wrong(records)


async def test_replicas_at_once_and_changes_meanwhile(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two passes without any regard for each other, while licenses are created, extended and revoked."""
    monkeypatch.setattr(migration, "STEP", 2)
    stores, random = make_stores(records), Random(3)
    app = await stores.apps.get("acme-a")
    assert app is not None

    async def changing() -> None:
        ids = [key.decode().rpartition(":")[2] async for key in records.connection.redis.scan_iter(keys.license_("*"))]
        for number in range(60):
            stored = await stores.licenses.get(random.choice(ids))
            assert stored is not None
            later = stored.record.expires_at + timedelta(days=1)
            changed = evolve(stored.record, expires_at=later, revoked_at=random.choice([None, NOW]))
            with suppress(Conflict):  # a pass may have changed it in between
                await stores.licenses.replace(stored, changed, entry())
            new = make_license(f"new{number:02}".ljust(16, "0"), app="acme-a", team="acme", customer=NAMES[number % 3])
            await stores.licenses.add(new, app, entry())

    await asyncio.gather(migrate(records, Random(1)), migrate(records, Random(2)), changing())
    await migrate(records, Random(4))
    assert [] == await found_wrong(records)


async def test_a_customer_created_at_the_same_moment_is_the_only_one(records: Records) -> None:
    """A pass and a command want the same name: one of them creates it, and both use it."""
    stores = make_stores(records)
    created = [Customer(f"c{number}".ljust(16, "0"), "acme", name, NOW) for number, name in enumerate(NAMES)]

    async def create(customer: Customer) -> object:
        try:
            await stores.customers.add(customer, entry())
        except Conflict as error:
            return error
        return None

    await asyncio.gather(migrate(records), *map(create, created))
    assert [] == await found_wrong(records)
    again = [await create(evolve(customer, id=customer.id[::-1])) for customer in created]
    assert ["the team 'acme' has a customer" in str(error) for error in again] == [True] * 3


async def test_lists_are_not_settled_while_an_older_version_writes(records: Records) -> None:
    """A pass that an older worker has seen the start of settles nothing; the next one finds what that has written."""

    async def no() -> bool:
        return False

    passing = Migration(records, Random(1).randbytes).run(settles=no, clock=lambda: NOW)
    _ = [seconds async for seconds in passing]
    late = make_license("1ate".ljust(16, "0"), app="acme-a", team="acme", customer="Late Ltd")
    await write_old_licenses(records, [late])

    assert not (await read_progress(records)).settled
    assert await found_wrong(records)
    await migrate(records)
    assert (await read_progress(records)).settled
    assert [] == await found_wrong(records)


async def test_a_field_of_a_newer_version_survives(records: Records) -> None:
    """The customer's id is added to a license as any other change is made."""
    license_ = make_license("newer".ljust(16, "0"), app="acme-a", team="acme")
    await write_old_licenses(records, [license_])
    raw = records.codec.encode(license_)[:-1] + b',"later":{"x":1}}'
    await records.connection.redis.set(keys.license_(license_.id), raw)
    await migrate(records)

    changed = await records.connection.redis.get(keys.license_(license_.id))
    assert changed is not None
    assert b'"later":{"x":1}' in changed
    assert b'"customer_id":' in changed


async def test_one_replica_has_the_lease(records: Records) -> None:
    """It may extend it; another one waits until it ends."""
    passes = Migration(records, Random(1).randbytes)

    assert [True, True, False] == [await passes.lease(holder) for holder in ("one", "one", "two")]
    await records.connection.redis.delete(keys.MIGRATION_LEASE)
    assert await passes.lease("two")
