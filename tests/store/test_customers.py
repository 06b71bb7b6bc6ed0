"""Customers in Redis: unique names and references, search by words, and pages."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.customers import RedisCustomers
from authsvc.store.records import Records
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.pages import Page
from authsvc.tenancy.search import fold, words
from tests.support.builders import NOW, make_license
from tests.support.migrated import migrate
from tests.support.old_records import write_old_licenses
from tests.support.redis_server import connected

_serial = itertools.count()
ACME = Customer("a" * 16, "acme", "Acme Corp", NOW, "C-1", "it@acme.test")


def entry() -> Entry:
    """Return what the audit records of a change."""
    return Entry(f"op-{next(_serial)}", NOW, "test.done", "system:authsvc")


@pytest.fixture
async def customers() -> AsyncIterator[RedisCustomers]:
    """Yield the customers of a store with one."""
    async with connected("--appendfsync", "no") as connection:
        made = RedisCustomers(Records(connection, Codec()))
        await made.add(ACME, entry())
        yield made


@pytest.mark.parametrize(
    ("changes", "field"), [({"reference": None}, "name"), ({"name": "Other"}, "reference"), ({}, "name")]
)
async def test_a_name_and_a_reference_are_unique_in_a_team(
    customers: RedisCustomers, changes: dict[str, Any], field: str
) -> None:
    """Another team may have both; the same name in other letters is another name."""
    other = evolve(ACME, id="b" * 16, **changes)
    with pytest.raises(Conflict, match="has a customer") as refused:
        await customers.add(other, entry())
    assert field == refused.value.field
    assert await customers.get(other.id) is None

    await customers.add(evolve(other, team="globex"), entry())
    await customers.add(evolve(ACME, id="c" * 16, name="ACME Corp", reference="c-1"), entry())


async def test_a_renamed_customer_is_found_under_the_new_name_alone(customers: RedisCustomers) -> None:
    """The old name and reference are free again."""
    stored = await customers.by_name("acme", "Acme Corp")
    assert stored is not None
    await customers.replace(stored, evolve(ACME, name="Globex", reference=None), entry())

    assert await customers.by_name("acme", "Acme Corp") is None
    assert await customers.by_reference("acme", "C-1") is None
    assert await names_of(customers, "acme") == []
    assert await names_of(customers, "glo") == ["Globex"]
    await customers.add(evolve(ACME, id="b" * 16), entry())
    with pytest.raises(Conflict, match="at the same moment"):
        await customers.replace(stored, ACME, entry())


async def names_of(
    customers: RedisCustomers, text: str = "", reference: str | None = None, limit: int = 100
) -> list[str]:
    """Return the names of all customers that a search finds, page by page."""
    found, after = list[str](), None
    while True:
        page: Page[Customer] = await customers.page(
            "acme", words(text), None if reference is None else fold(reference), after, limit
        )
        assert len(page.items) <= limit
        found += [customer.name for customer in page.items]
        after = page.next
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 100])
async def test_search_by_words_and_by_reference(customers: RedisCustomers, limit: int) -> None:
    """Words in any order and case, or their beginnings; each customer once, however many words begin so."""
    for number, name in enumerate(("Acme Acme-Holding AG", "M\u00fcller & S\u00f6hne", "Initech")):
        await customers.add(evolve(ACME, id=f"{number}" * 16, name=name, reference=f"x-{number}"), entry())
    await customers.add(evolve(ACME, id="9" * 16, name="Acme Gone", reference=None, archived_at=NOW), entry())

    assert ["Acme Corp", "Acme Acme-Holding AG"] == sorted(await names_of(customers, "acme", limit=limit), key=len)
    assert ["Acme Acme-Holding AG"] == await names_of(customers, "ag HOLD acm", limit=limit)
    assert ["M\u00fcller & S\u00f6hne"] == await names_of(customers, "sohne", limit=limit)
    assert [] == await names_of(customers, "acme initech", limit=limit)
    assert ["Acme Acme-Holding AG", "Acme Corp", "Initech", "M\u00fcller & S\u00f6hne"] == await names_of(
        customers, limit=limit
    )
    assert ["Acme Corp"] == await names_of(customers, reference="c", limit=limit)
    assert 3 == len(await names_of(customers, reference="X-", limit=limit))


async def test_texts_of_which_folding_leaves_nothing_spoil_no_index(customers: RedisCustomers) -> None:
    """A name or a reference that is only accents is listed with the others, and hides none of them."""
    accents = [f"\u0301{chr(0x0300 + number)}" for number in range(20)]
    others = [f"Customer {number:03}" for number in range(150)]
    for number, name in enumerate([*accents, *others]):
        await customers.add(Customer(f"{number:016}", "acme", name, NOW, f"\u0302{name}"), entry())

    assert [*accents, ACME.name, *others] == await names_of(customers)
    assert [ACME.name] == await names_of(customers, reference="c-1")
    assert others[:100] == (await names_of(customers, reference="Customer 0"))
    for name in [*accents, *others]:
        found = await customers.by_reference("acme", f"\u0302{name}")
        assert found is not None
        await customers.replace(found, evolve(found.record, name=f"New {name}", reference=None), entry())
    assert sorted([*(f"New {name}" for name in [*accents, *others]), ACME.name]) == sorted(await names_of(customers))


async def test_whether_a_customer_has_licenses_of_an_app_takes_few_reads(customers: RedisCustomers) -> None:
    """However many licenses of other apps it has: an actor that is limited to some apps asks for every customer."""
    records = customers.records
    other = [make_license(f"{n:016}", app="other", team="acme", customer=ACME.name) for n in range(300)]
    own = make_license("9" * 16, app="shop", team="acme", customer=ACME.name)
    await write_old_licenses(records, [*other, own])
    await records.connection.redis.sadd(keys.TEAMS, "acme")
    await records.connection.redis.sadd(keys.team_apps("acme"), "other", "shop")
    await migrate(records)
    stats = await records.connection.redis.info("stats")
    answers = [await customers.has_license("acme", ACME.id, frozenset({app})) for app in ("shop", "third")]
    answers.append(await customers.has_license("globex", ACME.id, frozenset({"shop"})))
    after = await records.connection.redis.info("stats")

    assert [True, False, False] == answers
    assert after["keyspace_hits"] - stats["keyspace_hits"] < 60
    assert [ACME.name] == [one.name for one in (await limited(customers, "shop")).items]
    assert () == (await limited(customers, "third")).items


async def limited(customers: RedisCustomers, app: str) -> Page[Customer]:
    """Return the customers with a license of an app."""
    return await customers.page("acme", (), None, None, 100, frozenset({app}))
