"""Lists of licenses as use cases have them, and licenses that are named by their reference."""

from datetime import timedelta
from typing import Any

import pytest

from authsvc.errors import Conflict, InputRefused, NotFound
from authsvc.manage.actor import Actor
from authsvc.tenancy.license_update import LicenseUpdate
from authsvc.tenancy.records import License
from authsvc.tenancy.terms import LicenseTerms
from tests.support.builders import PASSWORD
from tests.support.installation import APP, OPERATOR, OTHER_APP, TEAM, Installation
from tests.support.migrated import migrate


async def make(house: Installation, reference: str | None = None, app: str = APP, **terms: Any) -> License:
    """Make a license."""
    facts = {"customer": "Globex", "expires": "2026-12-01"} | terms
    parsed = LicenseTerms.parse(**facts, now=house.now)
    opened = await house.licenses.open_app(OPERATOR, app)
    return (await house.licenses.create_in(opened, parsed, house.operation(), reference))[0]


@pytest.mark.parametrize("settled", [True, False])
async def test_filters_work_together(house: Installation, settled: bool) -> None:
    """By state, end, customer and reference, before the indexes are settled and after."""
    if settled:
        await migrate(house.records)
    soon = await make(house, "R-1", expires="10d")
    later = await make(house, "R-2", customer="Acme Corp")
    revoked = await make(house, "X-3", customer="Acme Holding")
    await house.licenses.revoke(revoked.id, house.operation())
    pending = await make(house, not_before="2026-09-01")

    for wanted, expected in (
        ({"state": "active"}, {soon.id, later.id}),
        ({"state": "revoked"}, {revoked.id}),
        ({"state": "pending"}, {pending.id}),
        ({"ends_within": "30d"}, {soon.id}),
        ({"customer": "acme"}, {later.id, revoked.id}),
        ({"customer": "acme", "state": "active"}, {later.id}),
        ({"reference": "r-"}, {soon.id, later.id}),
        ({"reference": "R-2"}, {later.id}),
        ({}, {soon.id, later.id, revoked.id, pending.id}),
    ):
        assert expected == {one.id for one in await house.listed(APP, **wanted)}, wanted


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"state": "asleep"}, "state"),
        ({"ends_within": "soon"}, "ends_within"),
        ({"customer": "&"}, "customer"),
        ({"reference": ""}, "reference"),
        ({"after": "x"}, "after"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
    ],
)
async def test_a_filter_that_is_none_is_named(house: Installation, wanted: dict[str, Any], field: str) -> None:
    """An API says which argument it was."""
    with pytest.raises(InputRefused) as refused:
        await house.licenses.list(OPERATOR, house.now, app=APP, **wanted)
    assert [field] == [problem.field for problem in refused.value.errors]


async def test_a_list_has_what_the_actor_sees(house: Installation) -> None:
    """All for the operator; the team's for a member, and of those only the apps that they are limited to."""
    await house.teams.create("globex-team", None, house.operation())
    await house.teams.create_app("globex", "globex-team", None, house.operation())
    made = {app: await make(house, "R-1", app) for app in (APP, OTHER_APP, "globex")}
    limited = await house.members.add("dev@acme.test", TEAM, "developer", [APP], PASSWORD, house.operation())
    whole = await house.members.add("own@acme.test", TEAM, "owner", (), PASSWORD, house.operation())
    await migrate(house.records)

    for actor, apps in (
        (OPERATOR, {APP, OTHER_APP, "globex"}),
        (Actor.of_member(whole), {APP, OTHER_APP}),
        (Actor.of_member(limited), {APP}),
    ):
        for wanted in ({}, {"state": "active"}, {"reference": "r"}, {"customer": "globex"}):
            page = await house.licenses.list(actor, house.now, **wanted)  # type: ignore[arg-type]
            assert {made[app].id for app in apps} == {one.id for one in page.items}, wanted
    with pytest.raises(NotFound):
        await house.licenses.list(Actor.of_member(limited), house.now, app=OTHER_APP)


async def test_a_license_is_named_by_its_reference(house: Installation) -> None:
    """Everywhere; when several apps have one, the app must be named, and only those that the actor sees count."""
    made, other = await make(house, "R-1"), await make(house, "R-1", OTHER_APP)
    limited = await house.members.add("dev@acme.test", TEAM, "developer", [APP], PASSWORD, house.operation())

    assert made == await house.licenses.show(OPERATOR, "R-1", APP)
    assert other == await house.licenses.show(OPERATOR, "R-1", OTHER_APP)
    assert made == await house.licenses.show(Actor.of_member(limited), "R-1")
    with pytest.raises(Conflict, match="several apps have the reference 'R-1': acme, annex") as refused:
        await house.licenses.show(OPERATOR, "R-1")
    assert "license_ambiguous" == refused.value.code
    assert (await house.licenses.revoke("R-1", house.operation(), OTHER_APP)).revoked_at == house.now
    extended, _ = await house.licenses.extend("R-1", "2027-12-01", house.operation(), APP)
    rotated, _ = await house.licenses.rotate("R-1", timedelta(0), house.operation(), app=APP)
    assert made.id == extended.id == rotated.id
    assert await house.licenses.download(OPERATOR, "R-1", APP)
    with pytest.raises(NotFound, match="there is no license 'R-2'"):
        await house.licenses.show(OPERATOR, "R-2")
    with pytest.raises(NotFound):
        await house.licenses.show(OPERATOR, made.id, OTHER_APP)


async def test_a_reference_that_looks_like_an_id_is_found(house: Installation) -> None:
    """An id comes first; a license of that id that the actor does not see does not hide the reference."""
    made = await make(house, "0123456789abcdef")

    assert made == await house.licenses.show(OPERATOR, "0123456789abcdef")


async def test_terms_are_changed_one_by_one(house: Installation) -> None:
    """What is not named stays; the token and the end stay too; old and new values are in the audit."""
    made = await make(house, "R-1", repositories=["worker"], fields=["seats=25", "tier=gold"], contact="x@acme.test")
    changes = LicenseUpdate.parse(contact="y@acme.test", fields=["seats=30", "tier="])
    changed, file = await house.licenses.set("R-1", changes, house.operation())

    assert ({"seats": 30}, "y@acme.test", ("worker",)) == (changed.fields, changed.contact, changed.repositories)
    assert (made.tokens, made.expires_at, made.customer_id) == (changed.tokens, changed.expires_at, changed.customer_id)
    assert '"seats":30' in file.replace(" ", "")
    assert {
        "contact": ["x@acme.test", "y@acme.test"],
        "fields.seats": [25, 30],
        "fields.tier": ["gold", None],
    } == house.told[-1].facts["changed"]
    again, _ = await house.licenses.set(
        "R-1", LicenseUpdate.parse(contact="", repositories=["api/*"]), house.operation()
    )
    assert (None, ("api/*",)) == (again.contact, again.repositories)
    whole, _ = await house.licenses.set("R-1", LicenseUpdate.parse(whole_app=True), house.operation())
    assert whole.repositories is None
    entries = len(house.told)
    await house.licenses.set("R-1", LicenseUpdate.parse(whole_app=True), house.operation())
    assert entries == len(house.told)


@pytest.mark.parametrize("fields", [["seats"], ["a=1", "a=2"], ["a=", "a=1"], ["=1"]])
async def test_a_change_that_is_none_is_refused(fields: list[str]) -> None:
    """As at the creation."""
    with pytest.raises(InputRefused):
        LicenseUpdate.parse(fields=fields)
