"""The table's world on a running stack: every subject in every state, made through the use cases of management."""

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import Factory, define, evolve, frozen

from authsvc.audit.entry import Entry
from authsvc.cli.console import find
from authsvc.credentials.machine_secret import MachineSecret
from authsvc.license_file import registry_token
from authsvc.manage.actor import Actor
from authsvc.redaction import Secret
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.terms import LicenseTerms
from authsvc.wiring.management import Management, management
from tests.policy_matrix.oracle import Oracle
from tests.support.http_client import post_token
from tests.support.installation import confirmed
from tests.support.oci import Image
from tests.support.registry_client import Client
from tests.support.stack import PASSWORD, Stack
from tests.support.tenants import Account

SOON = timedelta(seconds=3)
"""What is to be expired ends so long after it was made: nobody may make something that has ended."""

TAG = "1"
APP_ARCHIVED = "app archived"
"""The state that everything in the app is in afterwards, so it comes last."""


@frozen
class Held:
    """What a subject signs in with.

    Attributes:
        username: beside the password.
        passwords: each of them says the same: a license's token or its file.
        refresh: whether it is for the refresh grant alone.
    """

    username: str
    passwords: tuple[str, ...]
    refresh: bool = False


@define
class World:
    """A stack with the table's teams, apps, images and subjects.

    Attributes:
        stack: that serves them.
        oracle: the table.
        image: in every repository in which there can be one.
        held: by subject and state.
        stored: the repositories that hold the image.
        archived_last: apps that :meth:`archive_apps` puts away.
    """

    stack: Stack
    oracle: Oracle
    image: Image = Factory(lambda: Image(b"policy matrix"))
    held: dict[tuple[str, str], Held] = Factory(dict)
    stored: set[str] = Factory(set)
    _ends: float = 0.0

    def build(self) -> None:
        """Make everything that the replay needs."""
        asyncio.run(self._with(self._build))
        time.sleep(max(0.0, self._ends - time.time()))

    def archive_apps(self) -> None:
        """Put away every app that a license is for."""

        async def archive(manage: Management) -> None:
            for app in {facts["app"] for facts in self.oracle.subjects.values() if "app" in facts}:
                await confirmed(manage.teams.archive_app, app, manage.operation())

        asyncio.run(self._with(archive))

    async def _with(self, use: Any) -> None:
        settings, _ = find(self.stack.data_dir, {})
        async with management(settings, _untold) as manage:
            await use(manage)

    async def _build(self, manage: Management) -> None:
        world = self.oracle.world
        for team, apps in ((world["team"], world["apps"]), (world["other_team"], world["other_apps"])):
            await manage.teams.create(team, None, manage.operation())
            for app in apps:
                await manage.teams.create_app(app, team, None, manage.operation())
            owner = await self._member(manage, f"pusher@{team}.test", {"role": "owner"}, team)
            for relation in self.oracle.relations:
                if relation.partition("/")[0] in apps and "/" in relation and relation not in self.oracle.unreal:
                    Client(self.stack.port, Account(owner, PASSWORD)).push(relation, TAG, self.image)
                    self.stored.add(relation)
        await self._hold_all(manage)
        for app in world["archived"]:
            await confirmed(manage.teams.archive_app, app, manage.operation())

    async def _hold_all(self, manage: Management) -> None:
        several = {subject: facts["licenses"] for subject, facts in self.oracle.subjects.items() if "licenses" in facts}
        for subject, facts in self.oracle.subjects.items():
            for state in self.oracle.states[facts["kind"]]:
                if state not in self.oracle.momentary and subject not in several:
                    self.held[subject, state] = await self._hold(manage, subject, state, facts)
        for subject, names in several.items():
            for state, each in self.oracle.together.items():
                self.held[subject, state] = self._joined(names, each)

    def _joined(self, names: Sequence[str], states: Sequence[str]) -> Held:
        """Return what holds several licenses, each in a state of its own: their tokens in either order."""
        _, tokens = zip(*(self.held[one].passwords for one in zip(names, states, strict=True)), strict=True)
        return Held("license", (".".join(tokens), ".".join(reversed(tokens))))

    async def _hold(self, manage: Management, subject: str, state: str, facts: Mapping[str, Any]) -> Held:
        name = f"{subject}-{re.sub('[^a-z]', '-', state)}"
        email = f"{name}@acme.test"
        match facts["kind"]:
            case "member":
                await self._member(manage, email, facts)
                if state != "active":
                    await manage.members.disable(email, manage.operation())
                if state == "disabled and enabled":
                    await manage.members.enable(email, manage.operation())
                return Held(email, (PASSWORD,))
            case "personal token":
                return await self._personal_token(manage, email, state, facts)
            case "refresh token":
                return await self._refresh_token(manage, email, state, facts)
            case "license":
                return await self._license(manage, name, state, facts)
            case _:
                return await self._service_account(manage, name, state, facts)

    async def _member(self, manage: Management, email: str, facts: Mapping[str, Any], team: str | None = None) -> str:
        limit, home = facts.get("limit", ()), team or self.oracle.world["team"]
        await manage.members.add(email, home, facts["role"], limit, Secret(PASSWORD), manage.operation())
        return email

    async def _personal_token(self, manage: Management, email: str, state: str, facts: Mapping[str, Any]) -> Held:
        await self._member(manage, email, facts)
        operation = manage.operation()
        ends = self._soon(operation.now) if state == "expired" else None
        token, secret = await manage.tokens.create("ci", email, ends, None, operation)
        if state == "revoked":
            await manage.tokens.revoke(token.id, manage.operation())
        if state == "member disabled":
            await manage.members.disable(email, manage.operation())
        return Held(email, (secret.reveal(),))

    async def _refresh_token(self, manage: Management, email: str, state: str, facts: Mapping[str, Any]) -> Held:
        account = Account(await self._member(manage, email, facts), PASSWORD)
        reply = post_token(self.stack.port, account, access_type="offline")
        assert reply.status == 200, reply
        secret: str = reply.json()["refresh_token"]
        parsed = MachineSecret.parse(secret)
        assert parsed is not None
        if state == "revoked":
            await manage.tokens.revoke(parsed.id, manage.operation())
        if state == "member disabled":
            await manage.members.disable(email, manage.operation())
        return Held(email, (secret,), refresh=True)

    async def _service_account(self, manage: Management, name: str, state: str, facts: Mapping[str, Any]) -> Held:
        team, accounts, actor, email = (
            self.oracle.world["team"],
            manage.service_accounts,
            manage.actor,
            f"{name}@acme.test",
        )
        if "role" in facts:
            # An owner makes it and is something less only afterwards: then the account must be less, too.
            member = await manage.members.add(email, team, "owner", (), Secret(PASSWORD), manage.operation())
            actor = Actor.of_member(member)
        operation = evolve(manage.operation(), actor=actor)
        ends = self._soon(operation.now) if state == "expired" else None
        _, secret = await accounts.create(name, team, facts["grants"], None, ends, operation)
        if "role" in facts:
            await manage.members.set_role(email, facts["role"], facts.get("limit", ()), manage.operation())
        match state:
            case "disabled" | "disabled and enabled":
                await accounts.disable(name, team, manage.operation())
            case "revoked":
                await accounts.revoke(name, team, manage.operation())
            case "creator disabled":
                await confirmed(manage.members.disable, email, manage.operation())
            case "creator removed":
                await confirmed(manage.members.remove, email, manage.operation())
            case _:
                pass
        if state == "disabled and enabled":
            await accounts.enable(name, team, manage.operation())
        return Held("robot", (secret.reveal(),))

    async def _license(self, manage: Management, name: str, state: str, facts: Mapping[str, Any]) -> Held:
        operation = manage.operation()
        terms = LicenseTerms.parse(
            customer=name,
            expires=self._soon(operation.now) if state == "expired" else "2099-01-31",
            not_before="2099-01-01" if state == "not yet begun" else None,
            repositories=facts.get("patterns"),
            contact="sales@acme.test",
            now=operation.now,
        )
        license_, file = await manage.licenses.create(facts["app"], terms, operation)
        if state in {"revoked", "revoked and reinstated"}:
            await manage.licenses.revoke(license_.id, manage.operation())
        if state == "revoked and reinstated":
            await manage.licenses.reinstate(license_.id, manage.operation())
        if state == "archived":
            await manage.licenses.archive(license_.id, manage.operation())
        token = registry_token(file)
        assert token is not None
        return Held("license", (file, token))

    def _soon(self, now: datetime) -> str:
        end = (now + SOON).replace(microsecond=0)
        self._ends = max(self._ends, end.timestamp() + 0.1)
        return render_instant(end)


def _untold(_entry: Entry) -> None:
    """Tell nobody: the audit in Redis has it."""
