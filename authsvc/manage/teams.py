"""Teams and their apps."""

from collections import Counter
from datetime import datetime

from attrs import evolve, frozen

from authsvc.counts import counted
from authsvc.errors import Conflict
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.confirmation import EndedAccess, mark_of, require
from authsvc.manage.idempotency import repeatable
from authsvc.manage.license_use import MOST_EXAMINED, licenses_not_ended
from authsvc.manage.lookup import find_app, find_team, find_team_to_change
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.tenancy.names import parse_slug, parse_text
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size, read_cursor
from authsvc.tenancy.records import App, Team
from authsvc.tenancy.versioned import Versioned


async def name_of_team(stores: Stores, slug: str) -> str:
    """Return the name of a team, for its members with any role and for its customers."""
    team = await stores.teams.get(slug)
    return slug if team is None else team.record.name


@frozen
class AppUse:
    """The accounts that have access to an app now, or will have.

    Attributes:
        licenses: number of active ones.
        customers: number of their holders.
        pending: number of licenses that have not begun.
        members: number of members of the team.
        service_accounts: number of those with a grant on it.
        all_counted: whether every license was examined; otherwise the real numbers are greater.
    """

    licenses: int
    customers: int
    pending: int
    members: int
    service_accounts: int
    all_counted: bool = True

    def ended_by_archiving(self, app: str) -> EndedAccess | None:
        """Return what archiving the app with this slug would end; None if there is no access to it."""
        said = str(self)
        if not said:
            return None
        return EndedAccess(f"archiving the app {app} ends access to its images for {said}", mark_of(app, said))

    def __str__(self) -> str:
        """Return the numbers as a text, without those that are zero; empty if there is no access."""
        least = "" if self.all_counted else "at least "
        owners = f" of {least}{counted(self.customers, 'customer')}"
        counts = (
            (least, self.licenses, f"license in force{owners}", f"licenses in force{owners}"),
            (least, self.pending, "license that has not begun", "licenses that have not begun"),
            ("", self.members, "member", "members"),
            ("", self.service_accounts, "service account", "service accounts"),
        )
        parts = [f"{prefix}{counted(number, one, many)}" for prefix, number, one, many in counts if number]
        if not self.all_counted:
            parts.append("licenses that were not counted")
        *others, last = parts or [""]
        return f"{', '.join(others)} and {last}" if others else last


@frozen(eq=False, repr=False)
class Teams:
    """Creates, lists and renames teams, and creates, lists and archives apps.

    Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stores: the records.
        most_examined: most licenses that are examined to determine who has access to an app.
    """

    stores: Stores
    most_examined: int = MOST_EXAMINED

    async def _first_team(self, slug: str, operation: Operation) -> Team:
        return await find_team(self.stores, operation.actor, slug)

    async def _first_app(self, slug: str, operation: Operation) -> App:
        return (await find_app(self.stores, operation.actor, slug)).record

    @permitted(Permission.TEAM_CREATE)
    @repeatable(_first_team)
    async def create(self, slug: str, name: str | None, operation: Operation) -> Team:
        """Return a new team.

        Raises:
            InputRefused: the slug or the name is not acceptable.
            Conflict: the slug is taken.
        """
        team = Team(parse_slug(slug, "team", "slug"), parse_text(slug if name is None else name, "name"), operation.now)
        entry = operation.entry("team.created", team=team.slug)
        await self.stores.teams.add(team, entry)
        return team

    @permitted(Permission.TEAM_SET)
    @repeatable(_first_team)
    async def set(self, slug: str, name: str, operation: Operation) -> Team:
        """Rename a team and return it; its slug never changes.

        Raises:
            InputRefused: the name is not acceptable.
            NotFound: there is no such team for the actor.
            Conflict: it was changed concurrently.
        """
        stored = await find_team_to_change(self.stores, operation.actor, slug)
        operation.require_match(stored.record)
        team = evolve(stored.record, name=parse_text(name, "name"))
        if team != stored.record:
            entry = operation.entry_of_change("team.changed", stored.record, team, team=team.slug)
            await self.stores.teams.replace(stored, team, entry)
        return team

    @permitted(Permission.TEAM_LIST)
    async def teams(self, actor: Actor, *, after: str | None = None, limit: int = MAX_PAGE) -> Page[Team]:
        """Return one page of the teams that the actor sees, by slug.

        Raises:
            InputRefused: ``limit`` is out of range, or ``after`` is not a cursor of this list.
        """
        size = page_size(limit)
        if actor.is_operator:
            return await self.stores.teams.page(after, size)
        read_cursor(f"team of {actor.team}", after)  # the list of one team has no second page, so no cursor
        return Page(((await find_team(self.stores, actor, actor.team or "")),))

    @permitted(Permission.TEAM_SHOW)
    async def team(self, actor: Actor, slug: str) -> Team:
        """Return a team.

        Raises:
            InputRefused: the slug is not valid.
            NotFound: there is no such team for the actor.
        """
        return await find_team(self.stores, actor, slug)

    @permitted(Permission.APP_CREATE)
    @repeatable(_first_app)
    async def create_app(self, slug: str, team: str, name: str | None, operation: Operation) -> App:
        """Return a new app, which is a new registry namespace.

        Raises:
            InputRefused: the slug or the name is not acceptable.
            NotFound: there is no such team.
            Conflict: the slug is taken, by this team or another.
        """
        owner = await find_team(self.stores, operation.actor, team)
        taken = await self.stores.apps.get(parse_slug(slug, "app", "slug"))
        if taken is not None and taken.record.archived_at is not None and taken.record.team == owner.slug:
            raise Conflict(
                f"the app {slug!r} is archived, and a slug is never given again; reinstate it instead",
                code="app_archived",
                field="slug",
            )
        app = App(
            parse_slug(slug, "app", "slug"),
            owner.slug,
            parse_text(slug if name is None else name, "name"),
            operation.now,
        )
        entry = operation.entry("app.created", app=app.slug, team=app.team)
        await self.stores.apps.add(app, entry)
        return app

    @permitted(Permission.APP_LIST)
    async def apps(
        self,
        actor: Actor,
        team: str | None,
        *,
        archived: bool = False,
        after: str | None = None,
        limit: int = MAX_PAGE,
    ) -> Page[App]:
        """Return one page of the apps of one team, or of all that the actor sees; archived ones only on request.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such team for the actor.
        """
        owner = actor.team if team is None else (await find_team(self.stores, actor, team)).slug
        return await self.stores.apps.page(owner, after, page_size(limit), archived=archived, only=actor.apps)

    @permitted(Permission.APP_SHOW)
    async def app(self, actor: Actor, slug: str) -> App:
        """Return one app, archived or not.

        Raises:
            NotFound: there is no such app.
        """
        return (await find_app(self.stores, actor, slug)).record

    @permitted(Permission.APP_USE)
    async def use_of(self, actor: Actor, slug: str, now: datetime) -> AppUse:
        """Return who has access to an app, or would have if it were not archived.

        Raises:
            NotFound: there is no such app.
        """
        return await self._use_of((await find_app(self.stores, actor, slug)).record, now)

    async def _use_of(self, app: App, now: datetime) -> AppUse:
        found = await licenses_not_ended(self.stores, app.slug, now, self.most_examined)
        states = Counter(license_.state(now) for license_ in found.examined)
        customers = {one.customer_id or one.customer for one in found.examined if one.state(now) == "active"}
        team = [one.record for one in await self.stores.members.of_team(app.team)]
        members = {m.id for m in team if m.disabled_at is None and (m.apps is None or app.slug in m.apps)}
        accounts = [a for a in await self.stores.service_accounts.of_team(app.team) if a.in_force(now)]
        # A service account made by a member has at most the rights of that member.
        bound = [a for a in accounts if a.creator is None or a.creator in members]
        return AppUse(
            licenses=states["active"],
            customers=len(customers),
            pending=states["pending"],
            members=len(members),
            service_accounts=sum(any(grant.app == app.slug for grant in account.grants) for account in bound),
            all_counted=found.all_examined,
        )

    @permitted(Permission.APP_ARCHIVE)
    @repeatable(_first_app)
    async def archive_app(self, slug: str, operation: Operation, confirmed: str | None = None) -> App:
        """Archive an app: nobody can push to it or pull from it any more. Archiving twice changes nothing.

        Raises:
            NotFound: there is no such app.
            ConfirmationNeeded: there are accounts whose access would end.
            Conflict: it was changed concurrently.
        """
        stored = await find_app(self.stores, operation.actor, slug)
        operation.require_match(stored.record)
        if stored.record.archived_at is not None:
            return stored.record
        use = await self._use_of(stored.record, operation.now)
        require(use.ended_by_archiving(stored.record.slug), confirmed)
        app = evolve(stored.record, archived_at=operation.now)
        return await self._set_app(stored, app, "app.archived", operation, licenses=use.licenses)

    @permitted(Permission.APP_REINSTATE)
    @repeatable(_first_app)
    async def reinstate_app(self, slug: str, operation: Operation) -> App:
        """Undo :meth:`archive_app`: all accounts get the access that they would have without the archiving.

        Raises:
            NotFound: there is no such app.
            Conflict: it was changed concurrently.
        """
        stored = await find_app(self.stores, operation.actor, slug)
        operation.require_match(stored.record)
        if stored.record.archived_at is None:
            return stored.record
        return await self._set_app(stored, evolve(stored.record, archived_at=None), "app.reinstated", operation)

    async def _set_app(self, old: Versioned[App], new: App, event: str, operation: Operation, **facts: object) -> App:
        entry = operation.entry_of_change(event, old.record, new, app=new.slug, team=new.team, **facts)
        await self.stores.apps.replace(old, new, entry)
        return new
