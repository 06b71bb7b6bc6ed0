"""The management API of an installation with one team, two apps and somebody of every role."""

from collections.abc import AsyncIterator

import pytest
from attrs import define, field

from authsvc.manage.actor import Actor
from authsvc.redaction import Secret
from tests.manage.conftest import cheap_hashes, connection, house, server
from tests.support.api_server import ApiServer, api_server
from tests.support.builders import PASSWORD
from tests.support.installation import APP, TEAM, Installation

__all__ = ["cheap_hashes", "connection", "house", "server"]

OTHER_TEAM, THEIR_APP = "globex-team", "globex"


@define
class People:
    """Tokens by name: ``owner``, ``developer``, ``viewer``, ``limited`` (a developer of one app), ``machine``.

    Each may manage; the one with ``-read`` behind its name may read. ``stranger`` owns another team.
    """

    house: Installation
    tokens: dict[str, Secret] = field(factory=dict)

    def __getitem__(self, name: str) -> Secret:
        """Return the token of this name."""
        return self.tokens[name]

    async def add(self, name: str, team: str, role: str, *apps: str) -> None:
        """Add a member with a token for each access."""
        email = f"{name}@acme.test"
        await self.house.members.add(email, team, role, apps, PASSWORD, self.house.operation())
        member = await self.house.stores.members.by_email(email)
        assert member is not None
        actor = Actor.of_member(member.record)
        for suffix, api in (("", "manage"), ("-read", "read"), ("-registry", None)):
            operation = self.house.operation(actor)
            _, secret = await self.house.tokens.create(f"tool{suffix}", email, None, api, operation)
            self.tokens[name + suffix] = secret

    async def add_machine(self, name: str, team: str, grant: str) -> None:
        """Add a service account of the operator for each access."""
        for suffix, api in (("", "manage"), ("-read", "read"), ("-registry", None)):
            _, secret = await self.house.service_accounts.create(
                f"{name}{suffix}", team, [grant], api, None, self.house.operation()
            )
            self.tokens[name + suffix] = secret


@pytest.fixture
async def people(house: Installation) -> People:
    """Return tokens of everybody."""
    made = People(house)
    await house.teams.create(OTHER_TEAM, None, house.operation())
    await house.teams.create_app(THEIR_APP, OTHER_TEAM, None, house.operation())
    for role in ("owner", "developer", "viewer"):
        await made.add(role, TEAM, role)
    await made.add("limited", TEAM, "developer", APP)
    await made.add("stranger", OTHER_TEAM, "owner")
    await made.add_machine("machine", TEAM, f"{APP}/**:pull")
    return made


@pytest.fixture
async def api(house: Installation, people: People) -> AsyncIterator[ApiServer]:
    """Yield a running API."""
    async with api_server(house) as running:
        yield running
