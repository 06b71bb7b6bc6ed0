"""What management reads and writes: teams, apps, members, licenses and their indexes.

An index is written in the same change as its record. Every write takes the audit's entry of the act, whose
id makes it harmless to repeat (see :mod:`authsvc.store.transaction`).
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeVar

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.codec import Codec, Stored
from authsvc.store.connection import Connection
from authsvc.store.transaction import Transaction
from authsvc.tenancy.records import App, License, LicenseReference, Member, Team

T = TypeVar("T")

PAGE = 100
"""Records that are read at once."""

CHANGED_MEANWHILE = "somebody else changed it at the same moment; look at it and try again"


class RedisDirectory:
    """The records of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, connection: Connection, codec: Codec) -> None:
        """Read and write through ``connection``."""
        self._connection = connection
        self._codec = codec

    async def team(self, slug: str) -> Team | None:
        """Return the team."""
        return self._codec.decode_optional(await self._connection.get(keys.team(slug)), Team)

    async def teams(self) -> list[Team]:
        """Return all teams, by slug."""
        return await self._members_of(keys.TEAMS, keys.team, Team)

    async def app(self, slug: str) -> Stored[App] | None:
        """Return the app."""
        return await self._stored(keys.app(slug), App)

    async def apps(self, team: str) -> list[App]:
        """Return the apps of a team, archived ones too, by slug."""
        return await self._members_of(keys.team_apps(team), keys.app, App)

    async def license(self, license_id: str) -> Stored[License] | None:
        """Return the license."""
        return await self._stored(keys.license_(license_id), License)

    async def licenses(self, app: str) -> list[License]:
        """Return the licenses of an app, archived ones too, oldest first."""
        return [license_ async for page in self.license_pages(app) for license_ in page]

    async def license_pages(self, app: str) -> AsyncIterator[list[License]]:
        """Yield the licenses of an app, archived ones too, oldest first, so many at a time that Redis is not held."""
        first = 0
        while ids := await self._license_ids(app, first):
            raws = await self._connection.get_all(*map(keys.license_, ids))
            yield [self._codec.decode(raw, License) for raw in raws if raw is not None]
            first += len(ids)

    async def _license_ids(self, app: str, first: int) -> list[str]:
        index, last = keys.app_licenses(app), first + PAGE - 1
        found = await self._connection.read(lambda: self._connection.redis.zrange(index, first, last))
        return [license_id.decode() for license_id in found]

    async def license_references(
        self, app: str, references: Sequence[str]
    ) -> list[tuple[LicenseReference, License] | None]:
        """Return for each of a vendor's own keys the license that was made for it, or None."""
        raws = await self._connection.get_all(*(keys.license_reference(app, text) for text in references))
        known = [self._codec.decode_optional(raw, LicenseReference) for raw in raws]
        names = [keys.license_(one.license) if one else keys.NONE for one in known]
        licenses = await self._connection.get_all(*names)
        return [
            (one, self._codec.decode(raw or b"", License)) if one else None
            for one, raw in zip(known, licenses, strict=True)
        ]

    async def add_team(self, team: Team, entry: Entry) -> None:
        """Store a new team.

        Raises:
            Conflict: the slug is taken.
        """
        change = Transaction(entry)
        change.expect_absent(keys.team(team.slug), f"the team {team.slug!r} exists already")
        change.put(keys.team(team.slug), self._codec.encode(team))
        change.add_to_set(keys.TEAMS, team.slug)
        await change.apply(self._connection)

    async def add_app(self, app: App, entry: Entry) -> None:
        """Store a new app of an existing team.

        Raises:
            Conflict: the slug is taken, by this team or another one.
        """
        change = Transaction(entry)
        change.expect_absent(
            keys.app(app.slug), f"the app {app.slug!r} exists already; a slug is one namespace for all teams"
        )
        change.put(keys.app(app.slug), self._codec.encode(app))
        change.add_to_set(keys.team_apps(app.team), app.slug)
        await change.apply(self._connection)

    async def replace_app(self, old: Stored[App], new: App, entry: Entry) -> None:
        """Store a changed app.

        Raises:
            Conflict: it is no longer what ``old`` says.
        """
        await self._replace(keys.app(new.slug), old.raw, new, entry)

    async def add_member(self, member: Member, entry: Entry) -> None:
        """Store a new member of an existing team.

        Raises:
            Conflict: the address belongs to a member already, of this team or another one.
        """
        change = Transaction(entry)
        change.expect_absent(keys.member_email(member.email), f"{member.email} is a member already")
        change.put(keys.member(member.id), self._codec.encode(member))
        change.put(keys.member_email(member.email), member.id.encode())
        change.remove(keys.pending_link(member.email))  # an invitation must not outlive a membership given by hand
        change.add_to_set(keys.team_members(member.team), member.id)
        await change.apply(self._connection)

    async def add_license(self, license_: License, app: Stored[App], entry: Entry) -> None:
        """Store a new license of ``app``, and under its reference if it has one.

        Raises:
            Conflict: the app changed meanwhile, or another license has the reference.
        """
        change = Transaction(entry)
        change.expect(keys.app(license_.app), app.raw, CHANGED_MEANWHILE)
        change.expect_absent(keys.license_(license_.id), CHANGED_MEANWHILE)
        change.put(keys.license_(license_.id), self._codec.encode(license_))
        if license_.reference is not None:
            key = keys.license_reference(license_.app, license_.reference)
            change.expect_absent(key, f"there is a license for the reference {license_.reference!r} already")
            change.put(key, self._codec.encode(LicenseReference(license_.id, license_.expires_at)))
        change.add_to_order(keys.app_licenses(license_.app), license_.issued_at.timestamp(), license_.id)
        await change.apply(self._connection)

    async def replace_license(self, old: Stored[License], new: License, entry: Entry) -> None:
        """Store a changed license.

        Raises:
            Conflict: it is no longer what ``old`` says.
        """
        await self._replace(keys.license_(new.id), old.raw, new, entry)

    async def _replace(self, key: str, old: bytes, new: object, entry: Entry) -> None:
        change = Transaction(entry)
        change.expect(key, old, CHANGED_MEANWHILE)
        change.put(key, self._codec.encode(new))
        await change.apply(self._connection)

    async def _stored(self, key: str, kind: type[T]) -> Stored[T] | None:
        raw = await self._connection.get(key)
        return None if raw is None else Stored(self._codec.decode(raw, kind), raw)

    async def _members_of(self, index: str, key: Callable[[str], str], kind: type[T]) -> list[T]:
        found = await self._connection.read(lambda: self._connection.redis.smembers(index))
        names = sorted(name.decode() for name in found)
        raws = await self._connection.get_all(*(key(name) for name in names))
        return [self._codec.decode(raw, kind) for raw in raws if raw is not None]
