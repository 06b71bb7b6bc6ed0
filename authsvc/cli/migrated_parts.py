"""The steps of a migration: finds what exists already, and makes what is missing with the ordinary use cases."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from attrs import define, evolve, field, frozen

from authsvc.counts import counted
from authsvc.errors import NotFound
from authsvc.migration.plan import MigratedAccount, MigrationPlan
from authsvc.tenancy.machine_records import MAX_TEAM_LINKS
from authsvc.tenancy.names import parse_slug

if TYPE_CHECKING:
    from authsvc.manage.links import OpenLink
    from authsvc.redaction import Secret
    from authsvc.wiring.management import Management

StepState = Literal["new", "created", "existing", "differs"]
"""Whether a part has to be created, was created, or existed already: with the same rights, or with others, which
stay."""


@frozen
class MigratedPart:
    """One part that a migration creates.

    Attributes:
        kind: ``team``, ``app`` or ``account``.
        name: slug of a team or an app, name of a service account, address of a member.
        state: whether it exists.
        account: the account of the other server that it replaces.
        invited: whether there is an unused invitation for it.
        secret: the new secret, to be shown once.
    """

    kind: Literal["team", "app", "account"]
    name: str
    state: StepState
    account: MigratedAccount | None = None
    invited: bool = False
    secret: "Secret | None" = None


@define(eq=False, repr=False)
class MigratedParts:
    """All steps of a migration into one team.

    Attributes:
        team: slug.
        steps: in the order in which they are carried out.
        obstacles: why nothing can be created.
    """

    team: str
    steps: list[MigratedPart] = field(factory=list)
    obstacles: list[str] = field(factory=list)

    async def look(self, manage: "Management", plan: MigrationPlan) -> None:
        """Find out what exists, without a change.

        Raises:
            InputRefused: the slug cannot name a team.
            StoreUnavailable: the store does not answer.
        """
        parse_slug(self.team, "team")
        there = await self._team_exists(manage)
        self.steps.append(MigratedPart("team", self.team, "existing" if there else "new"))
        for app in plan.apps:
            await self._look_at_app(manage, app)
        links: dict[str, OpenLink] = {}
        if there:
            from authsvc.wiring import clock

            links = {one.link.email: one for one in await manage.links.list(manage.actor, self.team, clock())}
        for account in plan.accounts:
            if account.email is None:
                await self._look_at_machine(manage, account, team_exists=there)
            else:
                await self._look_at_person(manage, account, account.email, links.get(account.email))
        invitations = sum(one.state == "new" and _is_person(one) for one in self.steps)
        if len(links) + invitations > MAX_TEAM_LINKS:
            self.obstacles.append(
                f"{counted(invitations, 'invitation')} would be made, the team {self.team} has "
                f"{counted(len(links), 'open link')}, and {MAX_TEAM_LINKS} is the limit; migrate some accounts first, "
                "or make machines of some with --machine"
            )

    async def carry_out(self, manage: "Management", on_step: Callable[[MigratedPart], None]) -> None:
        """Create what is missing, step by step; a repeated migration continues where the last one ended.

        Args:
            manage: the installation.
            on_step: is called after each step, with its secret.

        Raises:
            InputRefused: something has changed since the check.
            StoreUnavailable: the store does not answer.
        """
        for place, step in enumerate(self.steps):
            if step.state == "new":
                self.steps[place] = await self._done(manage, step)
            on_step(self.steps[place])

    async def _done(self, manage: "Management", step: MigratedPart) -> MigratedPart:
        operation, secret = manage.operation(), None
        account = step.account
        if step.kind == "team":
            await manage.teams.create(step.name, None, operation)
        elif account is None:
            await manage.teams.create_app(step.name, self.team, None, operation)
        elif account.email is not None:
            role = str(account.role)
            secret = await manage.links.invite(account.email, self.team, role, account.apps, operation)
        else:
            grants = rendered(account)
            _, secret = await manage.service_accounts.create(step.name, self.team, grants, None, None, operation)
        return evolve(step, state="created", secret=secret)

    async def _team_exists(self, manage: "Management") -> bool:
        try:
            await manage.teams.team(manage.actor, self.team)
        except NotFound:
            return False
        return True

    async def _look_at_app(self, manage: "Management", app: str) -> None:
        try:
            found = await manage.teams.app(manage.actor, app)
        except NotFound:
            self.steps.append(MigratedPart("app", app, "new"))
            return
        if found.team != self.team:
            self.obstacles.append(f"the app {app} belongs to the team {found.team}, not to {self.team}")
        elif found.archived_at is not None:
            self.obstacles.append(f"the app {app} is archived; reinstate it with: authsvc app reinstate {app}")
        self.steps.append(MigratedPart("app", app, "existing"))

    async def _look_at_machine(self, manage: "Management", account: MigratedAccount, *, team_exists: bool) -> None:
        name = account.name or ""
        state: StepState = "new"
        if team_exists:
            try:
                found, _ = await manage.service_accounts.show(manage.actor, name, self.team)
            except NotFound:
                pass
            else:
                same = sorted(found.grants, key=str) == sorted(account.grants, key=str)
                state = "existing" if same and found.revoked_at is None else "differs"
        self._add(account, name, state)

    async def _look_at_person(
        self, manage: "Management", account: MigratedAccount, email: str, link: "OpenLink | None"
    ) -> None:
        terms = (account.role, tuple(sorted(account.apps)))
        try:
            member = await manage.members.show(manage.actor, email)
        except NotFound:
            if link is None or not link.works:
                self._add(account, email, "new")
            else:
                same = (link.link.role, link.link.apps) == terms
                self._add(account, email, "existing" if same else "differs", invited=True)
            return
        if member.team != self.team:
            self.obstacles.append(f"{email} is a member of the team {member.team}, not of {self.team}")
        self._add(account, email, "existing" if (member.role, member.apps) == terms else "differs")

    def _add(self, account: MigratedAccount, name: str, state: StepState, *, invited: bool = False) -> None:
        self.steps.append(MigratedPart("account", name, state, account, invited))


def rendered(account: MigratedAccount) -> Sequence[str]:
    """Return the grants of an account in the form in which they are typed."""
    return [grant.render() for grant in account.grants]


def _is_person(step: MigratedPart) -> bool:
    return step.account is not None and step.account.email is not None
