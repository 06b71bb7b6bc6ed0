"""Pages of licenses against a plain filter over all of them, with indexes and without, whatever the size of a page."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from random import Random

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.errors import InputRefused
from authsvc.store import keys, lists
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.license_lists import FEW
from authsvc.store.records import Records
from authsvc.tenancy.customers import Customer, SelectedCustomer
from authsvc.tenancy.license_filter import STATES, LicenseFilter
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App, License, Team
from authsvc.tenancy.search import has_words
from authsvc.wiring.stores import make_stores
from tests.support.builders import NOW, make_license
from tests.support.migrated import migrate
from tests.support.old_records import write_old_licenses
from tests.support.redis_server import RedisServer, patient, server_in_background
from tests.support.waiting import PATIENCE

TEAMS = {"acme": ("alpha", "beta", "old"), "globex": ("gamma",)}
NAMES = ("Acme Corp", "Acme Holding & Co.", "M\u00fcller GmbH", "Initech", "Acme Acme")
DAY = timedelta(days=1)
_serial = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """Return a server that the tests of this module share."""
    with server_in_background("--appendfsync", "no") as running:
        yield running


@pytest.fixture
async def records(server: RedisServer) -> AsyncIterator[Records]:
    """Yield the records of an empty store with two teams, four apps, and one of them archived."""
    connection: Connection = patient(server)
    await connection.redis.flushall()
    records = Records(connection, Codec())
    stores = make_stores(records)
    for team, apps in TEAMS.items():
        await stores.teams.add(Team(team, team, NOW), entry())
        for app in apps:
            await stores.apps.add(App(app, team, app, NOW, NOW if app == "old" else None), entry())
    try:
        yield records
    finally:
        await connection.close()


def entry() -> Entry:
    """Return what the audit records of a change."""
    return Entry(f"op-{next(_serial)}", NOW, "test.done", "system:authsvc")


def made_up(random: Random, number: int) -> License:
    """Return a license of any app and state."""
    team = random.choice(list(TEAMS))
    issued = NOW - random.randrange(1, 50) * DAY
    return make_license(
        "".join(random.choices("0123456789abcdefghjkmnpqrstvwxyz", k=16)),
        app=random.choice(TEAMS[team]),
        team=team,
        customer=random.choice(NAMES),
        issued_at=issued,
        expires_at=NOW + random.randrange(-40, 60) * DAY,
        not_before=random.choice([None, None, NOW + random.randrange(-5, 5) * DAY]),
        reference=random.choice([None, f"CRM-{number:03}", f"crm-x{number}"]),
        revoked_at=random.choice([None, None, None, NOW]),
        archived_at=random.choice([None, None, None, NOW]),
    )


FILTERS = [
    *(LicenseFilter.parse(state=state) for state in (None, *STATES)),
    *(LicenseFilter.parse(team="acme", app="alpha", state=state) for state in (None, *STATES)),
    *(LicenseFilter.parse(team="acme", app="old", state=state) for state in STATES),
    LicenseFilter.parse(team="acme"),
    LicenseFilter.parse(team="acme", apps=frozenset({"beta", "gamma"})),
    LicenseFilter.parse(team="acme", apps=frozenset({"alpha", "old"}), state="expired"),
    LicenseFilter.parse(customer="acme"),
    LicenseFilter.parse(customer="a", team="acme"),
    LicenseFilter.parse(customer="co ACME", team="acme", app="beta"),
    LicenseFilter.parse(customer="muller", state="active"),
    LicenseFilter.parse(customer="nobody"),
    LicenseFilter.parse(reference="crm-"),
    LicenseFilter.parse(reference="CRM-01", team="acme"),
    LicenseFilter.parse(reference="crm-x", team="acme", app="alpha", state="active"),
    LicenseFilter.parse(ends_within="30d"),
    LicenseFilter.parse(ends_within="30d", team="acme", app="alpha", state="revoked"),
]


async def all_pages(records: Records, wanted: LicenseFilter, limit: int) -> list[License]:
    """Return everything that a list shows, page by page."""
    found, after = list[License](), None
    for _ in range(1000):
        page: Page[License] = await make_stores(records).licenses.page(wanted, after, limit, NOW)
        assert len(page.items) <= limit
        found += page.items
        if page.next is None:
            return found
        after = page.next
    raise AssertionError("a list without an end")


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_a_list_is_what_a_filter_over_everything_is(
    records: Records, monkeypatch: pytest.MonkeyPatch, limit: int, indexed: bool
) -> None:
    """Every license that a filter admits is listed, once, before the indexes are settled and after."""
    random = Random(limit)
    licenses = [made_up(random, number) for number in range(150)]
    await write_old_licenses(records, licenses)
    if indexed:
        await migrate(records)
    monkeypatch.setattr(lists, "MAX_EXAMINED", 30)
    monkeypatch.setattr(lists, "STEP", 8)
    apps = {app: App(app, team, app, NOW, NOW if app == "old" else None) for team in TEAMS for app in TEAMS[team]}
    for wanted in FILTERS:
        expected = {
            one.id
            for one in licenses
            if wanted.admits(one, apps[one.app], NOW) and has_words(one.customer, wanted.customer)
        }
        found = [one.id for one in await all_pages(records, wanted, limit)]
        assert expected == set(found), wanted
        assert len(expected) == len(found), wanted


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        (LicenseFilter.parse(team="acme"), lambda one: one.issued_at),
        (LicenseFilter.parse(team="acme", app="alpha"), lambda one: one.issued_at),
        (LicenseFilter.parse(team="acme", app="beta", state="active"), lambda one: one.expires_at),
        (LicenseFilter.parse(team="acme", app="beta", state="pending"), lambda one: one.not_before),
        (LicenseFilter.parse(team="acme", ends_within="40d"), lambda one: (one.app, one.expires_at)),
        (LicenseFilter.parse(team="acme", app="beta", reference="crm"), lambda one: one.reference.lower()),
        (LicenseFilter.parse(team="acme", customer="acme"), lambda one: (one.customer_id, one.issued_at)),
    ],
)
async def test_the_order_of_each_list(
    records: Records, wanted: LicenseFilter, order: Callable[[License], object]
) -> None:
    """By creation, or by what was asked for."""
    random = Random(1)
    await write_old_licenses(records, [made_up(random, number) for number in range(300)])
    await migrate(records)
    values = [order(one) for one in await all_pages(records, wanted, 50)]

    assert len(values) > 3
    assert sorted(values) == values  # type: ignore[type-var]


async def test_changes_while_a_list_is_read(records: Records) -> None:
    """What is there all the while is listed exactly once, whatever is added, changed and ended in between."""
    random, stores = Random(5), make_stores(records)
    await migrate(records)
    app = await stores.apps.get("alpha")
    assert app is not None
    stable = [evolve(made_up(random, number), app="alpha", team="acme", archived_at=None) for number in range(60)]
    for one in stable:
        await stores.licenses.add(evolve(one, reference=None), app, entry())
    found, after = list[str](), None
    wanted = LicenseFilter.parse(team="acme", app="alpha")
    while True:
        page: Page[License] = await stores.licenses.page(wanted, after, 7, NOW)
        found += [one.id for one in page.items]
        other = evolve(made_up(random, 1), app="alpha", team="acme", reference=None)
        await stores.licenses.add(other, app, entry())
        changed = await stores.licenses.get(random.choice(stable).id)
        assert changed is not None
        longer = evolve(changed.record, expires_at=changed.record.expires_at + DAY)
        await stores.licenses.replace(changed, longer, entry())
        if page.next is None:
            break
        after = page.next
    assert {one.id for one in stable} <= set(found)
    assert len(found) == len(set(found))


async def test_licenses_of_many_customers_are_read_together(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of licenses of sixty customers takes some ten commands, and not three for each customer."""
    monkeypatch.setattr(lists, "MAX_SECONDS", PATIENCE)
    stores, commands = make_stores(records), list[bool]()
    await migrate(records)
    app = await stores.apps.get("alpha")
    assert app is not None
    made = dict[str, list[str]]()
    for number in range(60):
        customer = Customer(f"{number:016d}", "acme", f"Company {number:02}", NOW)
        for _ in range(FEW + 3 if number == 4 else 0 if number == 59 else number % 4):
            one = make_license(f"{next(_serial):016d}", app="alpha", team="acme", customer=customer.name)
            choice = SelectedCustomer(customer, await stores.customers.get(customer.id))
            await stores.licenses.add(evolve(one, customer_id=customer.id), app, entry(), choice)
            made.setdefault(customer.name, []).append(one.id)
    records.connection._observe = lambda _seconds, answered: commands.append(answered)
    wanted = LicenseFilter.parse(team="acme", customer="company")
    page = await stores.licenses.page(wanted, None, 100, NOW)
    assert len(commands) < 20
    records.connection._observe = lambda _seconds, _answered: None

    expected = [license_id for name in sorted(made) for license_id in made[name]]
    assert len(expected) == 100
    assert expected == [one.id for one in page.items]
    for limit in (FEW - 1, FEW, FEW + 1):
        assert expected == [one.id for one in await all_pages(records, wanted, limit)]


async def test_apps_that_a_list_is_not_about_are_not_read(records: Records) -> None:
    """Licenses that a customer has of thirty other apps take no command for each app."""
    stores, commands = make_stores(records), list[bool]()
    await migrate(records)
    customer, before = Customer("0" * 16, "acme", "Company", NOW), None
    for number in range(30):
        slug = f"other-{number}" if number else "alpha"
        if number:
            await stores.apps.add(App(slug, "acme", slug, NOW), entry())
        app = await stores.apps.get(slug)
        assert app is not None
        one = make_license(f"{number:016d}", app=slug, team="acme", customer=customer.name)
        choice = SelectedCustomer(customer, before)
        await stores.licenses.add(evolve(one, customer_id=customer.id), app, entry(), choice)
        before = await stores.customers.get(customer.id)
    records.connection._observe = lambda _seconds, answered: commands.append(answered)
    wanted = LicenseFilter.parse(team="acme", app="alpha", customer="company")
    page = await stores.licenses.page(wanted, None, 100, NOW)

    assert ["0" * 16] == [one.id for one in page.items]
    assert len(commands) < 12


async def test_a_record_of_a_newer_version_breaks_no_list(records: Records) -> None:
    """It is named, so that somebody can look; everything else is listed."""
    licenses = [make_license(f"{number:016}", app="alpha", team="acme") for number in range(3)]
    await write_old_licenses(records, licenses)
    await migrate(records)
    newer = records.codec.encode(licenses[1]).replace(b'"v":1', b'"v":2')
    await records.connection.redis.set(keys.license_(licenses[1].id), newer)
    page: Page[License] = await make_stores(records).licenses.page(LicenseFilter.parse(team="acme"), None, 100, NOW)

    assert [licenses[0].id, licenses[2].id] == [one.id for one in page.items]
    assert (licenses[1].id,) == page.unreadable


async def test_what_an_older_version_changed_is_not_listed_where_it_was(records: Records) -> None:
    """An entry that its record no longer has is passed over; the next pass gives the record its new one."""
    license_ = make_license("7" * 16, app="alpha", team="acme", expires_at=NOW + DAY)
    await write_old_licenses(records, [license_])
    await migrate(records)
    await write_old_licenses(records, [evolve(license_, expires_at=NOW + 100 * DAY)])
    soon, later = LicenseFilter.parse(ends_within="2d"), LicenseFilter.parse(ends_within="101d")

    assert [] == await all_pages(records, soon, 10)
    await migrate(records)
    assert [] == await all_pages(records, soon, 10)
    assert [license_.id] == [one.id for one in await all_pages(records, later, 10)]


async def test_a_cursor_is_of_its_filter(records: Records) -> None:
    """A place in one list is not one in another."""
    await write_old_licenses(records, [make_license(f"{number:016}", app="alpha", team="acme") for number in range(3)])
    await migrate(records)
    stores = make_stores(records)
    page: Page[License] = await stores.licenses.page(LicenseFilter.parse(team="acme"), None, 1, NOW)
    assert page.next is not None

    with pytest.raises(InputRefused, match="not a cursor"):
        await stores.licenses.page(LicenseFilter.parse(team="globex"), page.next, 1, NOW)


async def test_a_list_that_began_without_indexes_ends_without(records: Records) -> None:
    """The indexes settle while somebody reads page after page: nothing is missing, and no cursor is refused."""
    licenses = [make_license(f"{number:016}", app="alpha", team="acme") for number in range(9)]
    await write_old_licenses(records, licenses)
    wanted, stores = LicenseFilter.parse(team="acme", state="active"), make_stores(records)
    page: Page[License] = await stores.licenses.page(wanted, None, 4, NOW)
    await migrate(records)
    rest: Page[License] = await stores.licenses.page(wanted, page.next, 9, NOW)

    assert {one.id for one in licenses} == {one.id for one in (*page.items, *rest.items)}
