"""Teams and their apps."""

from typing import Protocol

from attrs import evolve, frozen

from authsvc.audit.entry import Entry
from authsvc.manage.act import Act, Journal
from authsvc.manage.finding import FindsApps, FindsTeams, find_app, find_team
from authsvc.store.codec import Stored
from authsvc.tenancy.names import parse_slug, parse_text
from authsvc.tenancy.records import App, Team


class TeamDirectory(FindsTeams, FindsApps, Protocol):
    """What these use cases need of the store."""

    async def teams(self) -> list[Team]: ...
    async def apps(self, team: str) -> list[App]: ...
    async def add_team(self, team: Team, entry: Entry) -> None: ...
    async def add_app(self, app: App, entry: Entry) -> None: ...
    async def replace_app(self, old: Stored[App], new: App, entry: Entry) -> None: ...


@frozen
class Teams:
    """Creates, lists and archives teams and apps.

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
        owner = await find_team(self.directory, team)
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
        owners = [await find_team(self.directory, team)] if team is not None else await self.directory.teams()
        return [app for owner in owners for app in await self.directory.apps(owner.slug) if app.archived_at is None]

    async def app(self, slug: str) -> App:
        """Return one app, archived or not.

        Raises:
            NotFound: there is no such app.
        """
        return (await find_app(self.directory, slug)).record

    async def archive_app(self, slug: str, act: Act) -> App:
        """Put an app away: nothing pushes to it or pulls from it. Archiving twice changes nothing.

        Raises:
            NotFound: there is no such app.
            Conflict: it was changed at the same moment.
        """
        stored = await find_app(self.directory, slug)
        if stored.record.archived_at is not None:
            return stored.record
        app = evolve(stored.record, archived_at=act.now)
        entry = act.entry("app.archived", app=app.slug, team=app.team)
        await self.directory.replace_app(stored, app, entry)
        self.journal(entry)
        return app
