"""Archiving an app asks with numbers, ends access at once, is told the truth about, and can be undone."""

import pytest

from authsvc.cli import present
from authsvc.errors import ConfirmationNeeded, Conflict, InputRefused
from authsvc.manage.actor import Actor
from authsvc.tenancy.terms import LicenseTerms
from tests.support.builders import PASSWORD
from tests.support.installation import APP, DENIED, OPERATOR, OTHER_APP, TEAM, Installation, confirmed


async def sell(house: Installation, count: int = 1, **more: str) -> list[str]:
    """Make licenses and return the registry tokens in their files."""
    tokens = []
    for _ in range(count):
        terms = LicenseTerms.parse(customer="Globex", expires="2027-01-31", now=house.now, **more)
        made, _ = await house.licenses.create(APP, terms, house.operation())
        tokens.append(house.registry_token(made))
    return tokens


async def asked(house: Installation) -> ConfirmationNeeded:
    """Return the question that archiving the app asks."""
    with pytest.raises(ConfirmationNeeded) as needed:
        await house.teams.archive_app(APP, house.operation())
    return needed.value


async def test_it_counts_who_loses_access(house: Installation) -> None:
    """Only what is in force, or will be: neither ended nor revoked licenses, nor people and machines without access."""
    await sell(house, 205)
    await sell(house, not_before="2026-12-01")
    for license_ in (await house.listed(APP))[:3]:
        await house.licenses.revoke(license_.id, house.operation())
    for email, apps in (("all@acme.test", ()), ("one@acme.test", (APP,)), ("other@acme.test", (OTHER_APP,))):
        await house.members.add(email, TEAM, "developer", apps, PASSWORD, house.operation())
    for name, app in (("ci", APP), ("elsewhere", OTHER_APP), ("gone", APP)):
        await house.service_accounts.create(name, TEAM, [f"{app}/**:pull"], None, None, house.operation())
    await house.service_accounts.revoke("gone", TEAM, house.operation())

    assert (
        "archiving the app acme ends access to its images for 202 licenses in force of 1 customer, "
        "1 license that has not begun, 2 members and 1 service account" == str(await asked(house))
    )


@pytest.mark.parametrize("change", ["disable", "remove"])
async def test_an_account_whose_maker_is_gone_has_no_access_to_lose(house: Installation, change: str) -> None:
    """It is refused already, so it is not counted."""
    maker = await house.members.add("ann@acme.test", TEAM, "owner", (), PASSWORD, house.operation())
    await house.service_accounts.create(
        "ci", TEAM, [f"{APP}/**:pull"], None, None, house.operation(Actor.of_member(maker))
    )
    before = str(await house.teams.use_of(OPERATOR, APP, house.now))
    await confirmed(getattr(house.members, change), maker.email, house.operation())

    assert "1 member and 1 service account" == before
    assert "" == str(await house.teams.use_of(OPERATOR, APP, house.now))


async def test_nothing_is_ended_before_it_is_confirmed_and_reinstating_undoes_it(house: Installation) -> None:
    """A license pulls until the very numbers that were named are confirmed, and again after it is undone."""
    (token,) = await sell(house)
    question = await asked(house)
    assert "pull" == await house.gets(token)
    (late,) = await sell(house)
    with pytest.raises(ConfirmationNeeded, match="2 licenses in force"):
        await house.teams.archive_app(APP, house.operation(), question.mark)
    archived = await house.teams.archive_app(APP, house.operation(), (await asked(house)).mark)
    assert [DENIED, DENIED] == [await house.gets(one) for one in (token, late)]
    assert ("app.archived", 2) == (house.told[-1].event, house.told[-1].facts["licenses"])
    assert archived == await house.teams.archive_app(APP, house.operation())
    back = await house.teams.reinstate_app(APP, house.operation())
    told = len(house.told)

    assert back == await house.teams.reinstate_app(APP, house.operation())
    assert ("app.reinstated", told) == (house.told[-1].event, len(house.told))
    assert ["pull", "pull"] == [await house.gets(one) for one in (token, late)]


async def test_an_app_that_nobody_has_access_to_asks_nothing(house: Installation) -> None:
    """There is nobody to ask about."""
    assert (await house.teams.archive_app(APP, house.operation())).archived_at == house.now


async def test_lists_and_refusals_tell_the_truth(house: Installation) -> None:
    """No license of an archived app is called active, and whoever makes the app again learns that it is archived."""
    await sell(house)
    revoked = (await house.listed(APP))[0]
    await house.licenses.revoke(revoked.id, house.operation())
    await sell(house)
    await confirmed(house.teams.archive_app, APP, house.operation())
    app = await house.teams.app(OPERATOR, APP)
    facts = [present.license_(license_, app, house.now) for license_ in await house.listed(APP)]

    assert {"archived", "revoked"} == {one["state"] for one in facts}
    assert {app.archived_at.isoformat().replace("+00:00", "Z")} == {one["app_archived_at"] for one in facts}  # type: ignore[union-attr]
    assert [OTHER_APP] == [one.slug for one in await house.all_apps(OPERATOR, TEAM)]
    assert [APP, OTHER_APP] == [one.slug for one in await house.all_apps(OPERATOR, TEAM, archived=True)]
    with pytest.raises(Conflict, match="the app 'acme' is archived, and a slug is never given again; reinstate it"):
        await house.teams.create_app(APP, TEAM, None, house.operation())
    with pytest.raises(Conflict, match="the app 'acme' is archived; a license for it could pull nothing"):
        await sell(house)


async def test_another_team_does_not_learn_that_an_app_is_archived(house: Installation) -> None:
    """The slug is taken, and that is all."""
    await house.teams.archive_app(APP, house.operation())
    await house.teams.create("rivals", None, house.operation())

    with pytest.raises(Conflict, match="exists already; a slug is one namespace for all teams"):
        await house.teams.create_app(APP, "rivals", None, house.operation())


async def test_a_name_is_the_slug_only_if_none_is_given(house: Installation) -> None:
    """An empty one is a mistake, as the document of the API says, and makes nothing."""
    with pytest.raises(InputRefused, match="name"):
        await house.teams.create_app("unnamed", TEAM, "", house.operation())
    assert "unnamed" == (await house.teams.create_app("unnamed", TEAM, None, house.operation())).name
    with pytest.raises(InputRefused, match="name"):
        await house.teams.create("unnamed", "", house.operation())
