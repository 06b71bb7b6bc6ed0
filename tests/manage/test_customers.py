"""Customers: created with a license or on their own, found, renamed, and never taken for another."""

import asyncio
import json
from typing import Any

import pytest
from attrs import evolve

from authsvc.errors import Conflict, InputRefused, NotFound
from authsvc.manage.actor import Actor
from authsvc.tenancy.license_update import LicenseUpdate
from authsvc.tenancy.records import License, Role
from authsvc.tenancy.terms import LicenseTerms
from tests.support.builders import PASSWORD, make_member
from tests.support.installation import APP, OPERATOR, OTHER_APP, TEAM, Installation
from tests.support.migrated import migrate


async def make(house: Installation, customer: str = "Globex", app: str = APP, **terms: Any) -> License:
    """Make a license."""
    parsed = LicenseTerms.parse(customer=customer, expires="2026-12-01", now=house.now, **terms)
    made, _ = await house.licenses.create(app, parsed, house.operation())
    return made


async def names(house: Installation, **wanted: Any) -> list[str]:
    """Return the names of the customers that a search finds."""
    return [one.name for one in (await house.customers.list(OPERATOR, TEAM, **wanted)).items]


async def test_a_license_creates_an_unknown_customer_and_uses_a_known_one(house: Installation) -> None:
    """The exact text, without blanks around it, is the same customer; in other letters it is another."""
    licenses = [await make(house, text) for text in ("Globex", " Globex ", "globex")]

    assert licenses[0].customer_id == licenses[1].customer_id != licenses[2].customer_id
    assert ["Globex", "globex"] == sorted(await names(house))
    created = [entry.facts for entry in house.told if entry.event == "license.created"]
    assert [True, None, True] == [facts.get("customer_created") for facts in created]
    assert [one.customer_id for one in licenses] == [facts["customer"] for facts in created]


async def test_many_licenses_at_once_create_one_customer(house: Installation) -> None:
    """Whoever comes second uses what the first has created."""
    licenses = await asyncio.gather(*(make(house, "Globex") for _ in range(16)))

    assert 1 == len({one.customer_id for one in licenses})
    assert ["Globex"] == await names(house)


async def test_the_reference_of_a_customer_comes_before_the_name(house: Installation) -> None:
    """A name that is written otherwise is the same customer, and the file says what was written."""
    first = await make(house, "Globex Inc", customer_reference="C-7", customer_email="it@globex.test")
    second = await make(house, "GLOBEX", customer_reference="C-7")

    assert first.customer_id == second.customer_id
    assert "GLOBEX" == second.customer
    found = await house.customers.show(OPERATOR, "C-7", TEAM)
    assert ("Globex Inc", "it@globex.test", first.customer_id) == (found.name, found.email, found.id)


async def test_a_reference_is_given_to_a_customer_that_has_none_and_never_changed(house: Installation) -> None:
    """A file from elsewhere completes what is known; it does not take one customer for another."""
    made = await make(house, "Globex")
    again = await make(house, "Globex", customer_reference="C-7")

    assert made.customer_id == again.customer_id
    with pytest.raises(Conflict, match="has another reference than 'C-8'") as refused:
        await make(house, "Globex", customer_reference="C-8")
    assert "customer_reference" == refused.value.field
    assert "C-7" not in str(refused.value)
    assert {"reference": [None, "C-7"]} == house.told[-1].facts["customer_changed"]


async def test_a_reference_tells_no_name_to_somebody_with_a_limit(house: Installation) -> None:
    """Who is limited to some apps moves a license to a customer that they see, and hears of no other one."""
    mine, other = await make(house, "Mine Ltd", customer_reference="C-1"), "Secret Corp"
    await make(house, "Seen Ltd", customer_reference="C-2")
    await house.customers.create(TEAM, other, house.operation(), "C-3")
    limited = Actor.of_member(make_member(Role.DEVELOPER, apps=(APP,)))
    moved, _ = await house.licenses.set(mine.id, LicenseUpdate(customer_reference="C-2"), house.operation(limited))
    assert "Seen Ltd" == moved.customer

    for reference in ("C-3", "C-4"):
        with pytest.raises(Conflict) as refused:
            await house.licenses.set(mine.id, LicenseUpdate(customer_reference=reference), house.operation(limited))
        assert "customer_not_found" == refused.value.code
        assert other not in str(refused.value)
    assert moved == await house.licenses.show(OPERATOR, mine.id)


async def test_a_renamed_customer_changes_no_file(house: Installation) -> None:
    """The license keeps the name in its file; lists and new licenses go by the new one."""
    made = await make(house, "Globex")
    before = await house.licenses.download(OPERATOR, made.id)
    customer = await house.customers.set("Globex", house.operation(), TEAM, name="Initech")
    await migrate(house.records)

    assert json.loads(before)["license"] == json.loads(await house.licenses.download(OPERATOR, made.id))["license"]
    assert [made] == await house.listed(APP, customer="init")
    assert [] == await house.listed(APP, customer="globex")
    assert customer.id == (await make(house, "Initech")).customer_id
    assert ["Globex", "Initech"] == house.told[-2].facts["changed"]["name"]
    assert made.customer_id != (await make(house, "Globex")).customer_id


async def test_a_customer_is_created_and_changed_on_its_own(house: Installation) -> None:
    """Reference and address can be set, changed and removed; what is not acceptable is refused by its name."""
    made = await house.customers.create(TEAM, "Globex", house.operation(), "C-7", "IT@Globex.test")
    assert "it@globex.test" == made.email
    changed = await house.customers.set(made.id, house.operation(), reference="C-8", email="")
    assert ("Globex", "C-8", None) == (changed.name, changed.reference, changed.email)
    assert changed == await house.customers.set(made.id, house.operation(), name="Globex")
    other = await house.customers.create(TEAM, "Other", house.operation())

    for field, wrong in (("name", {"name": " "}), ("reference", {"reference": "a\nb"}), ("email", {"email": "x"})):
        with pytest.raises(InputRefused) as refused:
            await house.customers.set(made.id, house.operation(), **wrong)
        assert field == refused.value.field
    for taken in ({"name": "Globex"}, {"reference": "C-8"}):
        with pytest.raises(Conflict, match="has a customer"):
            await house.customers.set(other.id, house.operation(), **taken)


async def test_customers_are_searched_by_words_and_reference(house: Installation) -> None:
    """Beginnings of words in any order; or the beginning of the reference."""
    for number, name in enumerate(("Acme Corp", "Acme Holding", "M\u00fcller")):
        await make(house, name, customer_reference=f"C-{number}")

    assert ["Acme Corp"] == await names(house, text="co ac")
    assert ["M\u00fcller"] == await names(house, text="MULLER")
    assert ["Acme Holding"] == await names(house, reference="c-1")
    page = await house.customers.list(OPERATOR, TEAM, limit=2)
    rest = await house.customers.list(OPERATOR, TEAM, limit=2, after=page.next)
    assert (["Acme Corp", "Acme Holding"], ["M\u00fcller"], None) == (
        [one.name for one in page.items],
        [one.name for one in rest.items],
        rest.next,
    )


async def test_the_licenses_of_a_customer(house: Installation) -> None:
    """Of every app, page by page, without archived ones."""
    await migrate(house.records)
    licenses = [await make(house, "Globex", app) for app in (APP, OTHER_APP, APP)]
    await make(house, "Other")
    await house.licenses.archive(licenses[2].id, house.operation())
    page = await house.customers.licenses(OPERATOR, "Globex", house.now, TEAM, limit=1)
    rest = await house.customers.licenses(OPERATOR, "Globex", house.now, TEAM, after=page.next)

    assert {one.id for one in licenses[:2]} == {one.id for one in (*page.items, *rest.items)}
    assert rest.next is None


async def test_a_license_is_made_out_to_another_customer(house: Installation) -> None:
    """The file says the new name; the token stays; the audit has both."""
    made = await make(house, "Globex")
    changes = LicenseUpdate.parse(customer="Initech")
    changed, file = await house.licenses.set(made.id, changes, house.operation())
    await migrate(house.records)

    assert "Initech" == changed.customer == json.loads(file)["license"]["customer"]
    assert made.tokens == changed.tokens
    assert changed.customer_id == (await house.customers.show(OPERATOR, "Initech", TEAM)).id
    assert ["Globex", "Initech"] == house.told[-1].facts["changed"]["customer"]
    assert [changed] == await house.listed(APP, customer="initech")
    assert [] == await house.listed(APP, customer="globex")
    with pytest.raises(Conflict, match="no customer with the reference"):
        await house.licenses.set(made.id, LicenseUpdate.parse(customer_reference="C-9"), house.operation())


async def test_a_member_with_a_limit_sees_the_customers_of_their_apps(house: Installation) -> None:
    """Another one does not exist for them: not in a list, not by id, name or reference."""
    member = await house.members.add("dev@acme.test", TEAM, "developer", [APP], PASSWORD, house.operation())
    seen, unseen = await make(house, "Seen", APP), await make(house, "Unseen", OTHER_APP, customer_reference="U-1")
    actor = Actor.of_member(evolve(member))

    assert ["Seen"] == [one.name for one in (await house.customers.list(actor, TEAM)).items]
    assert "Seen" == (await house.customers.show(actor, str(seen.customer_id))).name
    for name in (str(unseen.customer_id), "Unseen", "U-1", "Nobody"):
        with pytest.raises(NotFound, match="there is no customer"):
            await house.customers.show(actor, name)
