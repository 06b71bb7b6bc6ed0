"""Apps in Redis."""

from collections.abc import AsyncIterator
from functools import partial

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.indexes import entries_of
from authsvc.store.lists import STEP, Range, SetList
from authsvc.store.records import Records
from authsvc.store.teams import team_list
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App
from authsvc.tenancy.versioned import Versioned


@frozen(eq=False, repr=False)
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
        self, team: str | None, after: str | None, limit: int, *, archived: bool, only: frozenset[str] | None = None
    ) -> Page[App]:
        """Return one page of the apps of a team, by slug, or of all teams, team by team.

        Args:
            team: slug, or None for all.
            after: cursor of the previous page, or None.
            limit: most items.
            archived: whether archived ones are shown.
            only: slugs of the only apps that are shown; None for all.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        listed = SetList(self.records, App, keys.app, partial(keys.index, "apps"), keys.team_apps, str)

        def shown(app: App) -> bool:
            return (archived or app.archived_at is None) and (only is None or app.slug in only)

        async def of_all(first: str) -> AsyncIterator[Range]:
            teams, after_team = await team_list(self.records).range_of(""), ""
            slugs = [first] if first else []
            while True:
                for slug in slugs:
                    yield await listed.range_of(slug)
                    after_team = slug
                slugs = await teams.entries(self.records, after_team, STEP)
                if not slugs:
                    return

        query = f"apps {archived} {None if only is None else sorted(only)}"
        return await listed.page(of_all if team is None else team, query, after, limit, shown)

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
            Conflict: it is no longer equal to ``old``.
        """
        await self.records.replace(keys.app, new.slug, old, new, entry)
