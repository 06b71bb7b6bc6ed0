"""How many commands to Redis a token costs, for those who ask for many."""

import pytest

from authsvc.manage.actor import Actor
from authsvc.store.connection import Connection
from tests.manage.test_licenses import make
from tests.support.builders import PASSWORD
from tests.support.installation import OPERATOR, TEAM, Installation

EMAIL = "kim@acme.test"


@pytest.fixture
def commands(connection: Connection) -> list[bool]:
    """Return a list that grows with every command."""
    seen: list[bool] = []
    connection._observe = lambda _seconds, answered: seen.append(answered)
    return seen


async def test_a_warm_password_takes_two_reads(house: Installation, commands: list[bool]) -> None:
    """The throttle's buckets are read together with the account; nothing is written."""
    await house.members.add(EMAIL, TEAM, "viewer", (), PASSWORD, house.operation())
    assert "pull" == await house.gets(PASSWORD, EMAIL)
    commands.clear()
    before = await house.everything_stored()

    assert ["pull"] * 3 == [await house.gets(PASSWORD, EMAIL) for _ in range(3)]
    assert len(commands) == 3 * 2
    assert before == await house.everything_stored()


async def test_a_wrong_password_again_takes_two_commands(house: Installation, commands: list[bool]) -> None:
    """The account, and the script that recognises it."""
    await house.members.add(EMAIL, TEAM, "viewer", (), PASSWORD, house.operation())
    await house.gets("my old password, no longer right", EMAIL)
    commands.clear()
    before = await house.everything_stored()
    await house.gets("my old password, no longer right", EMAIL)

    assert len(commands) == 2
    assert before == await house.everything_stored()


async def test_a_license_takes_one_read(house: Installation, commands: list[bool]) -> None:
    """The throttle is not asked while a secret opens something."""
    _, token = await make(house)
    commands.clear()

    assert "pull" == await house.gets(token, scope="repository:acme/x:pull")
    assert len(commands) == 1


async def test_a_list_of_open_links_takes_five_reads(house: Installation, commands: list[bool]) -> None:
    """However many links there are, and whoever made them: the team, its links, and whom they rest on at once."""
    for number in range(12):
        boss = await house.members.add(f"boss-{number}@acme.test", TEAM, "owner", (), PASSWORD, house.operation())
        token, _ = await house.tokens.create("tool", boss.email, None, "manage", house.operation())
        makers = (OPERATOR, Actor.of_member(boss), Actor.of_personal_token(token, boss, house.now))
        for name, actor in zip(("a", "b", "c"), makers, strict=True):
            await house.links.invite(f"{name}-{number}@acme.test", TEAM, "viewer", (), house.operation(actor))
        await house.links.reset(boss.email, house.operation())
    commands.clear()

    links = await house.links.list(OPERATOR, TEAM, house.now)
    assert (len(links), {link.works for link in links}) == (48, {True})
    assert len(commands) == 5
