"""The management API of an installation with one team, two apps and somebody of every role."""

import itertools
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest
from attrs import define, field

from authsvc.credentials.verifier import PasswordVerifier
from authsvc.manage.actor import Actor
from authsvc.redaction import Secret
from authsvc.store.connection import Connection
from tests.manage.conftest import cheap_hashes, connection, server
from tests.support.api_server import ApiServer, api_server
from tests.support.builders import PASSWORD
from tests.support.installation import APP, OTHER_APP, TEAM, Installation

__all__ = ["cheap_hashes", "connection", "server"]

OTHER_TEAM, THEIR_APP = "globex-team", "globex"


@define
class People:
    """Tokens by name: ``owner``, ``developer``, ``viewer``, ``limited`` (a developer of one app), ``machine``.

    Each may manage; the one with ``-read`` behind its name may read, that with ``-registry`` has no access to the API.
    ``stranger`` owns another team.

    Attributes:
        tokens: by name.
        records: everything that Redis had when all of them were there.
    """

    tokens: dict[str, Secret] = field(factory=dict)
    records: dict[bytes, bytes] = field(factory=dict)

    def __getitem__(self, name: str) -> Secret:
        """Return the token of this name."""
        return self.tokens[name]

    async def fill(self, house: Installation) -> None:
        """Make everybody."""
        for team, apps in ((TEAM, (APP, OTHER_APP)), (OTHER_TEAM, (THEIR_APP,))):
            await house.teams.create(team, None, house.operation())
            for app in apps:
                await house.teams.create_app(app, team, None, house.operation())
        for role in ("owner", "developer", "viewer"):
            await self._add(house, role, TEAM, role)
        await self._add(house, "limited", TEAM, "developer", APP)
        await self._add(house, "stranger", OTHER_TEAM, "owner")
        for suffix, api in (("", "manage"), ("-read", "read"), ("-registry", None)):
            _, self.tokens[f"machine{suffix}"] = await house.service_accounts.create(
                f"machine{suffix}", TEAM, [f"{APP}/**:pull"], api, None, house.operation()
            )

    async def _add(self, house: Installation, name: str, team: str, role: str, *apps: str) -> None:
        email = f"{name}@acme.test"
        await house.members.add(email, team, role, apps, PASSWORD, house.operation())
        member = await house.stores.members.by_email(email)
        assert member is not None
        actor = Actor.of_member(member.record)
        for suffix, api in (("", "manage"), ("-read", "read"), ("-registry", None)):
            _, self.tokens[name + suffix] = await house.tokens.create(
                f"tool{suffix}", email, None, api, house.operation(actor)
            )

    async def save(self, connection: Connection) -> None:
        """Keep what Redis has."""
        keys: list[Any] = await connection.redis.keys("*")
        for key in keys:
            dumped = await connection.redis.dump(key)
            assert dumped is not None
            self.records[key] = dumped

    async def restore(self, connection: Connection) -> None:
        """Put back into an empty Redis what was kept."""
        async with connection.redis.pipeline(transaction=True) as pipe:
            commands: Any = pipe  # what a pipeline's methods return is not awaited
            for key, dumped in self.records.items():
                commands.restore(key, 0, dumped)
            await pipe.execute()


@pytest.fixture(scope="session")
def saved() -> People:
    """Return the people of all tests of a process, who are made for the first one."""
    return People()


@pytest.fixture
async def house(connection: Connection, saved: People) -> AsyncIterator[Installation]:
    """Yield the installation of these people."""
    with ThreadPoolExecutor(1) as executor:
        if not saved.records:
            await saved.fill(Installation(connection, PasswordVerifier(executor, 1)))
            await saved.save(connection)
        else:
            await saved.restore(connection)
        # Other ids and operations than those by which they were made.
        yield Installation(connection, PasswordVerifier(executor, 1), random=Random(8), serial=itertools.count(10_000))


@pytest.fixture
def people(house: Installation, saved: People) -> People:
    """Return the tokens of everybody."""
    return saved


@pytest.fixture
async def api(house: Installation) -> AsyncIterator[ApiServer]:
    """Yield a running API."""
    async with api_server(house) as running:
        yield running
