"""Teams, their apps and their members."""

from collections.abc import Sequence
from typing import Protocol

from attrs import evolve, frozen

from authsvc.audit.entry import Entry
from authsvc.credentials.machine_secret import new_id
from authsvc.credentials.password import SALT_BYTES, check_rules, hash_password
from authsvc.errors import InputRefused, NotFound
from authsvc.manage.act import Act, Journal
from authsvc.redaction import Secret
from authsvc.store.codec import Stored
from authsvc.tenancy.names import parse_email, parse_slug, parse_text
from authsvc.tenancy.records import App, Member, Role, Team

ID_BYTES = 10


class TeamDirectory(Protocol):
    """What these use cases need of the store."""

    async def team(self, slug: str) -> Team | None: ...
    async def teams(self) -> list[Team]: ...
    async def app(self, slug: str) -> Stored[App] | None: ...
    async def apps(self, team: str) -> list[App]: ...
    async def add_team(self, team: Team, entry: Entry) -> None: ...
    async def add_app(self, app: App, entry: Entry) -> None: ...
    async def replace_app(self, old: Stored[App], new: App, entry: Entry) -> None: ...
    async def add_member(self, member: Member, entry: Entry) -> None: ...


@frozen
class Teams:
    """Creates and lists teams, apps and members.

    Every method raises StoreUnavailable when the store does not answer.
    """

    directory: TeamDirectory
    journal: Journal

    async def create(self, slug: str, name: str | None, act: Act) -> Team:
        """Return a new team.

        Raises:
            InputRefused: the slug or the name is not acceptable.
            Conflict: the slug is taken.
        """
        team = Team(parse_slug(slug, "team"), parse_text(name or slug, "name"), act.now)
        entry = act.entry("team.created", team=team.slug)
        await self.directory.add_team(team, entry)
        self.journal(entry)
        return team

    async def teams(self) -> list[Team]:
        """Return every team."""
        return await self.directory.teams()

    async def create_app(self, slug: str, team: str, name: str | None, act: Act) -> App:
        """Return a new app, which is a new registry namespace.

        Raises:
            InputRefused: the slug or the name is not acceptable.
            NotFound: there is no such team.
            Conflict: the slug is taken, by this team or another.
        """
        owner = await self._team(team)
        app = App(parse_slug(slug, "app"), owner.slug, parse_text(name or slug, "name"), act.now)
        entry = act.entry("app.created", app=app.slug, team=app.team)
        await self.directory.add_app(app, entry)
        self.journal(entry)
        return app

    async def apps(self, team: str | None) -> list[App]:
        """Return the apps in use, of one team or of all.

        Raises:
            NotFound: there is no such team.
        """
        owners = [await self._team(team)] if team is not None else await self.directory.teams()
        return [app for owner in owners for app in await self.directory.apps(owner.slug) if app.archived_at is None]

    async def app(self, slug: str) -> App:
        """Return one app, archived or not.

        Raises:
            NotFound: there is no such app.
        """
        return (await self._app(slug)).record

    async def archive_app(self, slug: str, act: Act) -> App:
        """Put an app away: nothing pushes to it or pulls from it. Archiving twice changes nothing.

        Raises:
            NotFound: there is no such app.
            Conflict: it was changed at the same moment.
        """
        stored = await self._app(slug)
        if stored.record.archived_at is not None:
            return stored.record
        app = evolve(stored.record, archived_at=act.now)
        entry = act.entry("app.archived", app=app.slug, team=app.team)
        await self.directory.replace_app(stored, app, entry)
        self.journal(entry)
        return app

    async def add_member(
        self, email: str, team: str, role: str, apps: Sequence[str], password: Secret, act: Act
    ) -> Member:
        """Return a new member.

        Args:
            email: as typed.
            team: slug.
            role: one of :class:`Role`.
            apps: slugs to limit the member to; empty for no limit.
            password: as typed.
            act: the circumstances.

        Raises:
            InputRefused: something is not acceptable, the password for instance.
            NotFound: there is no such team or app.
            Conflict: the address belongs to a member already.
        """
        canonical = parse_email(email)
        if role not in list(Role):
            raise InputRefused(f"{role!r} is no role; use {', '.join(Role)}")
        check_rules(password)
        owner = await self._team(team)
        for slug in apps:
            if (await self._app(slug)).record.team != owner.slug:
                raise NotFound(f"the team {owner.slug!r} has no app {slug!r}")
        member = Member(
            id=new_id(act.entropy(ID_BYTES)),
            email=canonical,
            team=owner.slug,
            role=Role(role),
            apps=tuple(sorted(set(apps))) or None,
            password_hash=hash_password(password, salt=act.entropy(SALT_BYTES)),
            epoch=1,
            created_at=act.now,
        )
        entry = act.entry("member.added", member=member.id, team=member.team, role=str(member.role))
        await self.directory.add_member(member, entry)
        self.journal(entry)
        return member

    async def _team(self, slug: str) -> Team:
        team = await self.directory.team(parse_slug(slug, "team"))
        if team is None:
            raise NotFound(f"there is no team {slug!r}; make it with: authsvc team create {slug}")
        return team

    async def _app(self, slug: str) -> Stored[App]:
        app = await self.directory.app(parse_slug(slug, "app"))
        if app is None:
            raise NotFound(f"there is no app {slug!r}; make it with: authsvc app create {slug} --team TEAM")
        return app
