"""Teams in Redis."""

from functools import partial

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.indexes import entries_of
from authsvc.store.lists import SetList
from authsvc.store.records import Records
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import Team
from authsvc.tenancy.versioned import Versioned


@frozen(eq=False, repr=False)
class RedisTeams:
    """The teams of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, slug: str) -> Versioned[Team] | None:
        """Return the team."""
        return await self.records.get(keys.team(slug), Team)

    async def all(self) -> list[Team]:
        """Return all teams, by slug."""
        return [found.record for found in await self.records.of_set(keys.TEAMS, keys.team, Team)]

    async def page(self, after: str | None, limit: int) -> Page[Team]:
        """Return one page of all teams, by slug.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        return await team_list(self.records).page("", "teams", after, limit)

    async def add(self, team: Team, entry: Entry) -> None:
        """Store a new team.

        Raises:
            Conflict: the slug is taken.
        """
        change = self.records.change(entry, team.slug)
        change.expect_absent(
            keys.team(team.slug), f"the team {team.slug!r} exists already", code="slug_taken", field="slug"
        )
        change.put(keys.team(team.slug), self.records.codec.encode(team))
        change.add_to_set(keys.TEAMS, team.slug)
        change.index(entries_of(team))
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[Team], new: Team, entry: Entry) -> None:
        """Store a changed team.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        await self.records.replace(keys.team, new.slug, old, new, entry)


def team_list(records: Records) -> SetList[Team]:
    """Return the only list of all teams, which has no owner."""
    return SetList(records, Team, keys.team, partial(keys.index, "teams"), lambda _: keys.TEAMS, str)
