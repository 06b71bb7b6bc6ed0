"""Whoever sets a password, and in whatever way, the same rules hold."""

from collections.abc import Awaitable, Callable

import pytest

from authsvc.errors import InputRefused
from authsvc.redaction import Secret
from tests.support.builders import PASSWORD
from tests.support.installation import REFUSED, TEAM, Installation

EMAIL = "zephyr.lantern@globex.test"
Way = Callable[[Installation, Secret], Awaitable[object]]


async def added(house: Installation, password: Secret) -> object:
    """Add the member."""
    return await house.members.add(EMAIL, TEAM, "viewer", (), password, house.operation())


async def changed(house: Installation, password: Secret) -> object:
    """Give the member another password."""
    await added(house, PASSWORD)
    return await house.members.set_password(EMAIL, password, house.operation())


async def invited(house: Installation, password: Secret) -> object:
    """Let the member join by a link."""
    link = await house.links.invite(EMAIL, TEAM, "viewer", (), house.operation())
    return await house.links.redeem(link, password, house.operation())


async def reset(house: Installation, password: Secret) -> object:
    """Let the member set another password by a link."""
    await added(house, PASSWORD)
    link = await house.links.reset(EMAIL, house.operation())
    return await house.links.redeem(link, password, house.operation())


@pytest.mark.parametrize("way", [added, changed, invited, reset])
@pytest.mark.parametrize(
    "text", ["passwordpassword", "zephyrlanternglobextest", "Parrot Wagon Tools", "moonshinewagonapp"]
)
async def test_an_easy_password_is_refused(house: Installation, way: Way, text: str) -> None:
    """Common ones, and those made of the e-mail address, the team's name, or an app's; the link stays usable."""
    await house.teams.create_app("moonshine", TEAM, "Moonshine Wagon App", house.operation())
    await house.teams.create_app("tools", TEAM, "Parrot Wagon Tools", house.operation())
    with pytest.raises(InputRefused, match="too easy to guess"):
        await way(house, Secret(text))

    assert REFUSED == await house.gets(text, EMAIL)


@pytest.mark.parametrize("way", [added, changed, invited, reset])
async def test_a_good_password_is_taken(house: Installation, way: Way) -> None:
    """Three plain words open what the member may do."""
    await way(house, Secret("window banana river"))

    assert "pull" == await house.gets("window banana river", EMAIL)
