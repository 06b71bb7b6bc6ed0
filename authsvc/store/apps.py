"""Apps in Redis."""

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.indexes import entries_of
from authsvc.store.lists import SingleRangeList
from authsvc.store.records import Records
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App
from authsvc.tenancy.versioned import Versioned


@frozen
class RedisApps:
    """The apps of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, slug: str) -> Versioned[App] | None:
        """Return the app."""
        return await self.records.get(keys.app(slug), App)

    async def of_team(self, team: str) -> list[App]:
        """Return the apps of a team, archived ones too, by slug."""
        return [found.record for found in await self.records.of_set(keys.team_apps(team), keys.app, App)]

    async def page(
        self, team: str, after: str | None, limit: int, *, archived: bool, only: frozenset[str] | None = None
    ) -> Page[App]:
        """Return one page of the apps of a team, by slug.

        Args:
            team: slug.
            after: cursor of the page before, or None.
            limit: most items.
            archived: whether archived ones are shown.
            only: slugs of the only apps that are shown; None for all.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        listed = SingleRangeList(self.records, App, keys.app, keys.index("apps", team), keys.team_apps(team), str)
        query = f"apps {archived} {None if only is None else sorted(only)}"

        def shown(app: App) -> bool:
            return (archived or app.archived_at is None) and (only is None or app.slug in only)

        return await listed.page(query, after, limit, shown)

    async def add(self, app: App, entry: Entry) -> None:
        """Store a new app of an existing team.

        Raises:
            Conflict: the slug is taken, by this team or another one.
        """
        change = self.records.change(entry, app.slug)
        change.expect_absent(
            keys.app(app.slug),
            f"the app {app.slug!r} exists already; a slug is one namespace for all teams",
            code="slug_taken",
            field="slug",
        )
        change.put(keys.app(app.slug), self.records.codec.encode(app))
        change.add_to_set(keys.team_apps(app.team), app.slug)
        change.index(entries_of(app))
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[App], new: App, entry: Entry) -> None:
        """Store a changed app.

        Raises:
            Conflict: it is no longer what ``old`` says.
        """
        await self.records.replace(keys.app, new.slug, old, new, entry)
