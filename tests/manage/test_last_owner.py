"""A team keeps somebody who can manage it, whatever its owners do to each other, and at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from authsvc.errors import Conflict, LastOwner, PermissionDenied
from authsvc.manage.actor import Actor
from authsvc.manage.members import Members
from authsvc.store.members import RedisMembers
from authsvc.tenancy.records import Member
from authsvc.tenancy.versioned import Versioned
from tests.support.builders import PASSWORD
from tests.support.installation import APP, OPERATOR, TEAM, Installation
from tests.support.stores import replaced

ANN, BOB = "ann@acme.test", "bob@acme.test"

Change = Callable[[Members, str, Installation], Awaitable[object]]
CHANGES: dict[str, Change] = {
    "demoted": lambda members, email, house: members.set_role(email, "developer", None, house.operation()),
    "limited": lambda members, email, house: members.set_role(email, "owner", [APP], house.operation()),
    "disabled": lambda members, email, house: members.disable(email, house.operation()),
    "removed": lambda members, email, house: members.remove(email, house.operation()),
}


def members_of(house: Installation) -> Members:
    """Return the use cases as everybody calls them."""
    return Members(house.stores, house.verifier)


async def add(house: Installation, email: str, role: str = "owner", apps: tuple[str, ...] = ()) -> Member:
    """Add a member."""
    return await house.members.add(email, TEAM, role, apps, PASSWORD, house.operation())


async def managers(house: Installation) -> list[str]:
    """Return who can manage the team."""
    return [member.email for member in await house.all_members(OPERATOR, TEAM) if member.manages_team]


@pytest.mark.parametrize("change", CHANGES)
async def test_the_last_owner_stays(house: Installation, change: str) -> None:
    """Nobody else who can manage the whole team is there: it is refused, and nothing has changed."""
    ann = await add(house, ANN)
    await add(house, "dev@acme.test", "developer")
    await add(house, "limited@acme.test", "owner", (APP,))
    await add(house, BOB)
    await house.members.disable(BOB, house.operation())
    told = len(house.told)
    with pytest.raises(LastOwner, match="is the last owner of the team acme-team who can manage all of it"):
        await CHANGES[change](members_of(house), ANN, house)

    assert told == len(house.told)
    assert ann in await house.all_members(OPERATOR, TEAM)


@pytest.mark.parametrize("change", CHANGES)
async def test_one_of_two_owners_may_go(house: Installation, change: str) -> None:
    """As long as another one is there."""
    await add(house, ANN)
    await add(house, BOB)
    await CHANGES[change](members_of(house), ANN, house)

    assert [BOB] == await managers(house)


async def test_what_takes_nothing_away_is_no_matter(house: Installation) -> None:
    """The last owner may get a new password or the same role; a disabled one may be removed."""
    await add(house, ANN)
    members = members_of(house)
    await members.set_password(ANN, PASSWORD, house.operation())
    await members.set_role(ANN, "owner", None, house.operation())
    await members.disable(ANN, house.operation(), force=True)
    await members.remove(ANN, house.operation())

    assert [] == await managers(house)


@pytest.mark.parametrize("first", CHANGES)
@pytest.mark.parametrize("second", CHANGES)
async def test_two_owners_who_oust_each_other_at_once(house: Installation, first: str, second: str) -> None:
    """One of them succeeds, so that one is left; both having looked before either change was made."""
    await add(house, ANN)
    await add(house, BOB)
    both_have_looked = asyncio.Barrier(2)

    class BothLook(RedisMembers):
        async def of_team(self, team: str) -> list[Versioned[Member]]:
            seen = await RedisMembers.of_team(self, team)
            await both_have_looked.wait()
            return seen

    members = Members(replaced(house.stores, members=BothLook(house.records)), house.verifier)
    outcomes = await asyncio.gather(
        CHANGES[first](members, ANN, house), CHANGES[second](members, BOB, house), return_exceptions=True
    )

    assert 1 == sum(isinstance(outcome, Conflict) for outcome in outcomes)
    assert 1 == len(await managers(house))


async def test_only_the_operator_may_insist(house: Installation) -> None:
    """An owner cannot leave the team without one, whatever is asked for; the operator can, and it is recorded."""
    ann = await add(house, ANN)
    with pytest.raises(PermissionDenied, match="only the operator"):
        await members_of(house).remove(ANN, house.operation(Actor.of_member(ann)), force=True)
    assert [ANN] == await managers(house)
    await members_of(house).set_role(ANN, "viewer", None, house.operation(), force=True)

    assert [] == await managers(house)
    assert ("owner", "viewer") == (house.told[-1].facts["role_before"], house.told[-1].facts["role"])
