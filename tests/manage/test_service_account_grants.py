"""Grants of service accounts: what they say, who may give them, and when others count."""

import pytest

from authsvc.errors import Conflict, InputRefused
from authsvc.tenancy.patterns import MAX_PATTERNS
from tests.manage.test_service_accounts import MAKER, make, maker
from tests.support.installation import (
    APP,
    OPERATOR,
    OTHER_APP,
    TEAM,
    Installation,
)


@pytest.mark.parametrize(
    ("grants", "repository", "actions"),
    [
        ((f"{APP}/**:pull",), f"{APP}/x", "pull"),
        ((f"{APP}/**:pull,push,delete",), f"{APP}/a/b/c", "delete,pull,push"),
        ((f"{APP}/x:push",), f"{APP}/x", "pull,push"),
        ((f"{APP}/x:push",), f"{APP}/y", ""),
        ((f"{APP}/api/*:pull", f"{APP}/api/x:push"), f"{APP}/api/x", "pull,push"),
        ((f"{APP}/**:pull",), f"{OTHER_APP}/x", ""),
        ((f"{APP}/**:pull",), f"proxy/{APP}/hub/x", ""),
        ((f"{APP}/proxy/hub/**:pull,push",), f"proxy/{APP}/hub/x", "pull"),
        ((f"{APP}/proxy/hub/**:pull,push",), f"{APP}/x", ""),
    ],
)
async def test_grants_say_what_it_may_do(
    house: Installation, grants: tuple[str, ...], repository: str, actions: str
) -> None:
    """An account gets what its grants cover, and nothing beside."""
    _, secret = await make(house, *grants)

    assert actions == await house.gets(secret, scope=f"repository:{repository}:pull,push,delete")


@pytest.mark.parametrize(
    "grant",
    [
        "",
        APP,
        f"{APP}:pull",
        f"{APP}/:pull",
        f"{APP}/**",
        f"{APP}/**:",
        f"{APP}/**:fly",
        f"{APP}/**:*",
        f"{APP}/**:pull push",
        "**:pull",
        "*/x:pull",
        f"{APP}/../x:pull",
        f"{APP}/UP:pull",
        f"{APP}/proxy/**:pull",
        "absent/x:pull",
        "theirs/x:pull",
        "proxy/x:pull",
    ],
)
async def test_a_bad_grant_is_refused(house: Installation, grant: str) -> None:
    """A grant names one app of the own team, a pattern and actions, or nothing is made."""
    await house.teams.create("rivals", None, house.operation())
    await house.teams.create_app("theirs", "rivals", None, house.operation())

    with pytest.raises(InputRefused):
        await make(house, f"{APP}/**:pull", grant)
    assert [] == await house.all_service_accounts(OPERATOR, TEAM)


@pytest.mark.parametrize("api", [None, "read"])
async def test_the_number_of_grants_is_bounded(house: Installation, api: str | None) -> None:
    """A hundred grants are accepted and one more is not, with API access or without, before any app is looked up."""
    rows = [f"{APP}/x{number}:pull" for number in range(MAX_PATTERNS + 1)]
    await make(house, *rows[:-1], name="most", api=api)

    with pytest.raises(InputRefused, match="1 to 100 grants"):
        await make(house, *rows, name="too-many", api=api)
    with pytest.raises(InputRefused, match="1 to 100 grants"):
        await make(house, *["unknown/x:pull"] * len(rows), name="too-many", api=api)


async def test_no_grant_is_for_the_api_alone(house: Installation) -> None:
    """An account without any grant needs API access, and gets nothing at the registry."""
    with pytest.raises(InputRefused, match="1 to 100 grants"):
        await house.service_accounts.create("ci", TEAM, [], None, None, house.operation())
    with pytest.raises(InputRefused, match="is no API access"):
        await house.service_accounts.create("ci", TEAM, [], "write", None, house.operation())
    account, secret = await house.service_accounts.create("ci", TEAM, [], "read", None, house.operation())

    assert "read" == account.api
    assert "" == await house.gets(secret)


async def test_other_grants_count_at_the_next_token(house: Installation) -> None:
    """They take the place of all that were there; the secret stays, and the audit has the old and the new ones."""
    account, secret = await make(house, f"{APP}/**:pull,push", f"{OTHER_APP}/**:pull")
    changed = await house.service_accounts.set_grants("ci", TEAM, [f"{APP}/x:pull"], house.operation())

    assert [f"{APP}/x:pull"] == [grant.render() for grant in changed.grants]
    assert ["pull", ""] == [
        await house.gets(secret, scope=f"repository:{name}:pull,push") for name in (f"{APP}/x", f"{OTHER_APP}/x")
    ]
    entry = house.told[-1]
    assert ("service-account.grants_set", account.id) == (entry.event, entry.facts["service_account"])
    assert {"grants": [[f"{APP}/**:pull,push", f"{OTHER_APP}/**:pull"], [f"{APP}/x:pull"]]} == entry.facts["changed"]


@pytest.mark.parametrize("grant", ["", f"{APP}/**:fly", "absent/x:pull", "theirs/x:pull"])
async def test_other_grants_are_checked_as_the_first_ones(house: Installation, grant: str) -> None:
    """One that is not acceptable leaves the account as it was; so do none at all without API access."""
    await house.teams.create("rivals", None, house.operation())
    await house.teams.create_app("theirs", "rivals", None, house.operation())
    account, _ = await make(house)
    for grants in ([f"{APP}/**:pull", grant], [], [f"{APP}/x:pull"] * (MAX_PATTERNS + 1)):
        with pytest.raises(InputRefused):
            await house.service_accounts.set_grants("ci", TEAM, grants, house.operation())

    assert (account, None) == await house.service_accounts.show(OPERATOR, "ci", TEAM)


async def test_other_grants_never_exceed_the_creator(house: Installation) -> None:
    """What the member who made the account may not do now is refused by name, whoever asks for it."""
    actor = await maker(house)
    await make(house, actor=actor)
    await house.members.set_role(MAKER, "developer", [APP], house.operation())

    with pytest.raises(InputRefused, match=f"more than {MAKER}, who created the account, may do now .delete."):
        await house.service_accounts.set_grants("ci", TEAM, [f"{APP}/**:pull,delete"], house.operation())
    with pytest.raises(InputRefused, match="pull"):
        await house.service_accounts.set_grants("ci", TEAM, [f"{OTHER_APP}/**:pull"], house.operation())
    await house.service_accounts.set_grants("ci", TEAM, [f"{APP}/**:pull,push"], house.operation())


async def test_a_revoked_account_gets_no_grants(house: Installation) -> None:
    """Nothing makes it work again."""
    await make(house)
    await house.service_accounts.revoke("ci", TEAM, house.operation())

    with pytest.raises(Conflict, match="is revoked; make a new one"):
        await house.service_accounts.set_grants("ci", TEAM, [f"{APP}/x:pull"], house.operation())
