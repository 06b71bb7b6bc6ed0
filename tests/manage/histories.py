"""Random histories of a vendor's credentials, and a plain table that knows which of them may do what.

Everybody who ever got a secret keeps it and tries it after every step. The oracle is dictionaries and the sentences
of docs/credentials.md; it shares nothing with the code but words.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, TypeVar

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.errors import AccountDenied, CredentialsRefused, InputRefused, Throttled
from authsvc.issuance import Issuance
from authsvc.license_file import registry_token
from authsvc.manage.actor import Actor
from authsvc.redaction import Secret
from authsvc.store.connection import Connection
from authsvc.tenancy.records import Member, Role
from authsvc.tenancy.terms import LicenseTerms
from tests.support.builders import NOW
from tests.support.installation import (
    APP,
    DENIED,
    OPERATOR,
    OTHER_APP,
    REFUSED,
    TEAM,
    Installation,
    confirmed,
    installed,
)
from tests.support.waiting import PATIENCE

T = TypeVar("T")
Twin = Callable[[Installation], Issuance]
Row = dict[str, Any]

OWNER: dict[str, Any] = {"role": Role.OWNER, "apps": None, "inactive": None}
RIVALS, THEIRS = "rivals", "theirs"
TEAM_OF = {APP: TEAM, OTHER_APP: TEAM, THEIRS: RIVALS}
SCOPES = " ".join(f"repository:{app}/x:pull,push,delete" for app in TEAM_OF)
MAY = {"owner": {"pull", "push", "delete"}, "developer": {"pull", "push"}, "viewer": {"pull"}}

emails = st.sampled_from(["ann@acme.test", "bob@acme.test"])
teams = st.sampled_from([TEAM, RIVALS])
roles = st.sampled_from(sorted(MAY))
overlaps = st.sampled_from([timedelta(0), timedelta(hours=10), timedelta(hours=30)])
picks = st.integers(0, 1000)


class Histories(RuleBasedStateMachine):
    """One installation, everything that happens to it, and what everybody should then be able to do."""

    url: Secret
    twin: Twin | None = None

    def __init__(self) -> None:
        """Know nobody."""
        super().__init__()
        self.members: list[Row] = []
        self.accounts: list[Row] = []
        self.licenses: list[Row] = []
        self.secrets: list[Row] = []
        self.runner = asyncio.Runner()
        self.open = AsyncExitStack()
        self.serial = 0

    def do(self, work: Awaitable[T]) -> T:
        """Wait for something."""

        async def waited() -> T:
            return await work

        return self.runner.run(waited())

    @initialize()
    def begin(self) -> None:
        """Open an empty installation with a rival's team in it."""

        async def opened() -> Installation:
            connection = Connection(self.url, deadline=PATIENCE)
            self.open.push_async_callback(connection.close)
            await connection.redis.flushall()
            house = await self.open.enter_async_context(installed(connection))
            await house.teams.create(RIVALS, None, house.operation())
            await house.teams.create_app(THEIRS, RIVALS, None, house.operation())
            return house

        self.house = self.do(opened())
        self.issuance = self.twin(self.house) if self.twin else self.house.issuance

    def teardown(self) -> None:
        """Close everything."""
        self.do(self.open.aclose())
        self.runner.close()

    # What happens

    def new_password(self) -> Secret:
        """Return a password that nobody had before."""
        self.serial += 1
        return Secret(f"correct horse battery {self.serial}")

    def of(self, email: str) -> Row | None:
        """Return the member who has this address now."""
        return next((m for m in self.members if m["email"] == email and not m["removed"]), None)

    def record(self, member_id: str) -> Member:
        """Return a member as the store has it."""
        found = self.do(self.house.stores.members.get(member_id))
        assert found is not None
        return found.record

    def keep(self, kind: str, text: Secret | str, **facts: Any) -> None:
        """Somebody keeps a secret, for ever."""
        self.secrets.append({"kind": kind, "text": text, **facts})

    @rule(email=emails, team=teams, role=roles, limited=st.booleans(), invited=st.booleans())
    def join(self, email: str, team: str, role: str, limited: bool, invited: bool) -> None:
        """Somebody becomes a member, or is one already."""
        house, password = self.house, self.new_password()
        apps = [min(app for app, owner in TEAM_OF.items() if owner == team)] if limited else []
        try:
            if invited:
                link = self.do(house.links.invite(email, team, role, apps, house.operation()))
                made = self.do(house.links.redeem(link, password, house.operation()))
            else:
                made = self.do(house.members.add(email, team, role, apps, password, house.operation()))
        except InputRefused:
            assert self.of(email) is not None
            return
        assert self.of(email) is None
        assert made.id not in {member["id"] for member in self.members}
        facts = {"id": made.id, "email": email, "team": team, "role": role, "apps": apps or None}
        self.members.append(facts | {"password": password, "epoch": 0, "disabled": False, "removed": False})
        self.keep("password", password, email=email)

    @rule(email=emails, reset=st.booleans())
    def change_password(self, email: str, reset: bool) -> None:
        """A member gets a new password, by the operator or by a link."""
        house, member, password = self.house, self.of(email), self.new_password()
        if member is None:
            return
        if reset:
            link = self.do(house.links.reset(email, house.operation()))
            self.do(house.links.redeem(link, password, house.operation()))
        else:
            self.do(house.members.set_password(email, password, house.operation()))
        member.update(password=password, epoch=member["epoch"] + 1)
        self.keep("password", password, email=email)

    @rule(email=emails, role=roles, limited=st.sampled_from([None, False, True]))
    def change_role(self, email: str, role: str, limited: bool | None) -> None:
        """A member rises, falls, or is limited."""
        member = self.of(email)
        if member is None:
            return
        if limited is not None:
            member["apps"] = [min(a for a, t in TEAM_OF.items() if t == member["team"])] if limited else None
        apps = None if limited is None else member["apps"] or []
        self.do(self.house.members.set_role(email, role, apps, self.house.operation()))
        member.update(role=role, epoch=member["epoch"] + 1)

    @rule(email=emails, change=st.sampled_from(["disable", "enable", "remove"]))
    def change_member(self, email: str, change: str) -> None:
        """A member is stopped, let in again, or leaves."""
        member = self.of(email)
        if member is None:
            return
        self.do(confirmed(getattr(self.house.members, change), email, self.house.operation()))
        if change == "enable":
            member["disabled"] = False
        elif change == "remove" or not member["disabled"]:
            member.update({"disable": {"disabled": True}, "remove": {"removed": True}}[change])
            member["epoch"] += 1

    @rule(email=emails, ends=st.booleans())
    def make_token(self, email: str, ends: bool) -> None:
        """A member makes a personal token."""
        member, house = self.of(email), self.house
        if member is None:
            return
        end = house.now + timedelta(hours=20) if ends else None
        expires = None if end is None else end.strftime("%Y-%m-%dT%H:%M:%SZ")
        made, text = self.do(house.tokens.create(f"t{len(self.secrets)}", email, expires, None, house.operation()))
        self.keep("personal", text, id=made.id, member=member, ends=end, revoked=False)

    @rule(email=emails)
    def sign_in(self, email: str) -> None:
        """A member signs in with docker, which keeps a refresh token."""
        member = self.of(email)
        if member is None or member["disabled"]:
            return
        now = self.house.now
        text = self.do(self.house.ask(member["password"], email, offline=True)).response.refresh_token
        own = [secret for secret in self.secrets if secret["kind"] == "sign-in" and secret["member"] is member]
        assert (text is None) == (len([one for one in own if one["made_at"] >= now - timedelta(hours=1)]) >= 20)
        made = MachineSecret.parse(text.reveal()) if text else None
        if text is not None and made is not None:
            self.keep("sign-in", text, id=made.id, member=member, epoch=member["epoch"], revoked=False, made_at=now)

    @precondition(lambda self: any("revoked" in secret for secret in self.secrets))
    @rule(pick=picks)
    def revoke_token(self, pick: int) -> None:
        """A personal token or a sign-in is revoked, perhaps again."""
        revocable = [secret for secret in self.secrets if "revoked" in secret]
        secret = revocable[pick % len(revocable)]
        self.do(self.house.tokens.revoke(secret["id"], self.house.operation()))
        secret["revoked"] = True

    @rule(app=st.sampled_from(sorted(TEAM_OF)), by=st.one_of(st.none(), emails), actions=roles)
    def make_account(self, app: str, by: str | None, actions: str) -> None:
        """The operator or a member of the team makes a service account."""
        house, creator = self.house, self.of(by) if by else None
        team = TEAM_OF[app]
        if (by and creator is None) or (creator and creator["team"] != team):
            return
        # Whoever makes one is an owner at that moment, and may be something less by now.
        maker = evolve(Actor.of_member(self.record(creator["id"])), **OWNER) if creator else OPERATOR
        operation = house.operation(maker)
        name, grant = f"a{len(self.accounts)}", f"{app}/**:{','.join(MAY[actions])}"
        _, text = self.do(house.service_accounts.create(name, team, [grant], None, None, operation))
        account = {"name": name, "team": team, "app": app, "actions": MAY[actions], "creator": creator}
        self.accounts.append(account | {"disabled": False, "revoked": False})
        self.keep("account", text, account=self.accounts[-1], ends=None)

    @precondition(lambda self: self.accounts)
    @rule(pick=picks, change=st.sampled_from(["disable", "enable", "revoke"]))
    def change_account(self, pick: int, change: str) -> None:
        """A service account is stopped, let in again, or ends."""
        account = self.accounts[pick % len(self.accounts)]
        work = getattr(self.house.service_accounts, change)(account["name"], account["team"], self.house.operation())
        if change == "enable" and account["revoked"]:
            try:
                self.do(work)
            except InputRefused:
                return
            raise AssertionError("a revoked account was enabled")
        self.do(work)
        account.update(
            {"disable": {"disabled": True}, "enable": {"disabled": False}, "revoke": {"revoked": True}}[change]
        )

    @precondition(lambda self: self.accounts)
    @rule(pick=picks, overlap=overlaps)
    def rotate_account(self, pick: int, overlap: timedelta) -> None:
        """A service account gets another secret."""
        account, house = self.accounts[pick % len(self.accounts)], self.house
        work = confirmed(house.service_accounts.rotate, account["name"], account["team"], overlap, house.operation())
        if account["revoked"]:
            try:
                self.do(work)
            except InputRefused:
                return
            raise AssertionError("a revoked account was rotated")
        _, text = self.do(work)
        self.end_older("account", account, overlap)
        self.keep("account", text, account=account, ends=None)

    @rule(app=st.sampled_from(sorted(TEAM_OF)))
    def make_license(self, app: str) -> None:
        """A customer gets a license."""
        house = self.house
        end = house.now + timedelta(hours=40)
        terms = LicenseTerms.parse(customer="Globex", expires=end.strftime("%Y-%m-%dT%H:%M:%SZ"), now=house.now)
        made, file = self.do(house.licenses.create(app, terms, house.operation()))
        self.licenses.append({"id": made.id, "app": app, "ends": end, "revoked": False})
        self.keep("license", str(registry_token(file)), license=self.licenses[-1], ends=None)

    @precondition(lambda self: self.licenses)
    @rule(pick=picks, change=st.sampled_from(["revoke", "archive", "reinstate", "extend"]), hours=st.integers(1, 60))
    def change_license(self, pick: int, change: str, hours: int) -> None:
        """A license ends, comes back, or gets another end."""
        license_, house = self.licenses[pick % len(self.licenses)], self.house
        if change == "extend":
            license_["ends"] = house.now + timedelta(hours=hours)
            expires = license_["ends"].strftime("%Y-%m-%dT%H:%M:%SZ")
            self.do(house.licenses.extend(license_["id"], expires, house.operation()))
        else:
            self.do(getattr(house.licenses, change)(license_["id"], house.operation()))
            license_["revoked"] = change != "reinstate"

    @precondition(lambda self: self.licenses)
    @rule(pick=picks, overlap=overlaps)
    def rotate_license(self, pick: int, overlap: timedelta) -> None:
        """A license gets another registry token."""
        license_, house = self.licenses[pick % len(self.licenses)], self.house
        _, file = self.do(confirmed(house.licenses.rotate, license_["id"], overlap, house.operation()))
        self.end_older("license", license_, overlap)
        self.keep("license", str(registry_token(file)), license=license_, ends=None)

    def end_older(self, kind: str, owner: Row, overlap: timedelta) -> None:
        """The newest secret so far works for ``overlap`` more; those before it end now."""
        newest, *older = [s for s in reversed(self.secrets) if s["kind"] == kind and s[kind] is owner]
        newest["ends"] = self.house.now + overlap
        for secret in older:
            secret["ends"] = NOW

    @rule(hours=st.integers(1, 12))
    def pass_time(self, hours: int) -> None:
        """Hours go by."""
        self.house.pass_time(hours=hours)

    # What everybody may do now

    @invariant()
    def everybody_gets_what_is_theirs(self) -> None:
        """Every secret that was ever given out opens exactly what the table says."""

        async def observed() -> list[str | set[str]]:
            return list(await asyncio.gather(*(self.observed(secret) for secret in self.secrets)))

        expected = [expected_of(secret, self.members, self.house.now) for secret in self.secrets]
        assert expected == self.do(observed())

    async def observed(self, secret: Row) -> str | set[str]:
        """Return what the token path gives for a secret."""
        try:
            issued = await self.house.ask(
                secret["text"], secret.get("email", "whoever"), SCOPES, issuance=self.issuance
            )
        except (CredentialsRefused, Throttled):
            return REFUSED
        except AccountDenied:
            return DENIED
        return {f"{access.name.partition('/')[0]}:{a}" for access in issued.claims.access for a in access.actions}


def expected_of(secret: Row, members: list[Row], now: datetime) -> str | set[str]:
    """Return what a secret opens: ``app:action`` each, or how it is turned away."""
    match secret["kind"]:
        case "password":
            owners = [m for m in members if m["email"] == secret["email"] and m["password"] is secret["text"]]
            return expected_of_member(owners[0]) if owners else REFUSED
        case "sign-in":
            dead = secret["revoked"] or secret["epoch"] != secret["member"]["epoch"]
            return REFUSED if dead else expected_of_member(secret["member"])
        case "personal":
            ended = secret["revoked"] or (secret["ends"] is not None and now >= secret["ends"])
            whole = expected_of_member(secret["member"])
            return DENIED if ended and whole != REFUSED else whole
        case "account":
            return expected_of_account(secret, now)
        case _:
            license_ = secret["license"]
            if secret["ends"] is not None and now >= secret["ends"]:
                return REFUSED
            return DENIED if license_["revoked"] or now >= license_["ends"] else {f"{license_['app']}:pull"}


def expected_of_member(member: Row) -> str | set[str]:
    """Return what a member may do."""
    if member["removed"]:
        return REFUSED
    if member["disabled"]:
        return DENIED
    apps = [app for app, team in TEAM_OF.items() if team == member["team"]]
    mine = apps if member["apps"] is None else member["apps"]
    return {f"{app}:{action}" for app in mine for action in MAY[member["role"]]}


def expected_of_account(secret: Row, now: datetime) -> str | set[str]:
    """Return what a service account may do."""
    account = secret["account"]
    if secret["ends"] is not None and now >= secret["ends"]:
        return REFUSED
    held = {f"{account['app']}:{action}" for action in account["actions"]}
    if account["creator"] is not None:
        made_by = expected_of_member(account["creator"])
        if isinstance(made_by, str):
            return DENIED
        held &= made_by
    return DENIED if account["revoked"] or account["disabled"] else held
