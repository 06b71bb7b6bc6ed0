"""Teams in Redis."""

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.records import Records
from authsvc.tenancy.records import Team


@frozen
class RedisTeams:
    """The teams of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, slug: str) -> Team | None:
        """Return the team."""
        found = await self.records.get(keys.team(slug), Team)
        return None if found is None else found.record

    async def all(self) -> list[Team]:
        """Return all teams, by slug."""
        return [found.record for found in await self.records.of_set(keys.TEAMS, keys.team, Team)]

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
        await change.apply(self.records.connection)
