"""Links to external registries in Redis: by app and name, by id, and by team; and their health.

A pull through a link reads it by app and name, with one GET. Health is written by the process that queries the
upstream, without an audit entry: a link that is used a thousand times a second writes it once a minute.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from attrs import define, field, frozen

from authsvc.audit.entry import Entry
from authsvc.counts import counted
from authsvc.errors import StoreUnavailable
from authsvc.store import keys
from authsvc.store.codec import decode_instant
from authsvc.store.connection import Connection
from authsvc.store.indexes import entries_of
from authsvc.store.lists import STEP, List, Range
from authsvc.store.ordered_index import end_of
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.store.teams import team_list
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App
from authsvc.tenancy.versioned import Versioned
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import MAX_LINKS_OF_APP, MAX_LINKS_OF_TEAM, UpstreamLink, cache_scope
from authsvc.upstreams.probe import ProbeStep

HEALTH_EVERY = timedelta(minutes=1)
"""Least interval between two writes of the same kind of health of a link, by one process."""

HEALTH_LIFE = 400 * 24 * 3600
"""Seconds after which the health of an unused link expires."""

FORGOTTEN_AT_ONCE = 500
"""Keys that are removed with one command."""

MAX_ERROR = 500
"""Most characters of the sentence about an error."""

MAX_NOTED = 4_096
"""Links whose last written health a process remembers, in order not to write it again."""


@frozen(eq=False, repr=False)
class RedisUpstreams:
    """The links of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def find(self, app: str, name: str) -> UpstreamLink | None:
        """Return the link of an app under this name."""
        found = await self.by_name(app, name)
        return None if found is None else found.record

    async def by_name(self, app: str, name: str) -> Versioned[UpstreamLink] | None:
        """Return the same with its version."""
        return await self.records.get(keys.upstream(app, name), UpstreamLink)

    async def get(self, link_id: str) -> Versioned[UpstreamLink] | None:
        """Return the link with this id."""
        place = await self.records.connection.get(keys.upstream_id(link_id))
        # An unknown id takes the same reads as the id of another team's link.
        key = keys.NONE if place is None else keys.upstream(*_place(place.decode()))
        found = await self.records.get(key, UpstreamLink)
        return found if found is not None and found.record.id == link_id else None

    async def page(
        self, team: str | None, after: str | None, limit: int, *, app: str | None = None
    ) -> Page[UpstreamLink]:
        """Return one page of the links of a team, by app and name, or of all teams, team by team.

        Args:
            team: slug, or None for all.
            after: cursor of the previous page, or None.
            limit: most items.
            app: slug of the only app whose links are listed, or None.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """

        async def ranges(first: str) -> AsyncIterator[Range]:
            if team is not None:
                yield _range(team, app)
                return
            teams, slugs = await team_list(self.records).range_of(""), [first] if first else []
            while True:
                for slug in slugs:
                    yield _range(slug, app)
                slugs = await teams.entries(self.records, slugs[-1] if slugs else "", STEP)
                if not slugs:
                    return

        listed = List(self.records, UpstreamLink, lambda entry: keys.upstream(*_place(entry)), str)
        return await listed.page(f"upstreams {team} {app}", ranges, after, limit)

    async def add(self, link: UpstreamLink, app: Versioned[App], entry: Entry) -> None:
        """Store a new link.

        Raises:
            Conflict: the app has a link of this name, was changed meanwhile, or app or team have as many as they may.
        """
        change = self.records.change(entry, link.id)
        change.expect(keys.app(link.app), app.version, CHANGED_MEANWHILE)
        change.expect_absent(
            keys.upstream(link.app, link.name),
            f"the app {link.app!r} has an upstream {link.name!r} already; choose another name, or change that one",
            code="name_taken",
            field="name",
        )
        for key, most, owner in (
            (keys.app_upstreams(link.app), MAX_LINKS_OF_APP, f"the app {link.app!r}"),
            (keys.team_upstreams(link.team), MAX_LINKS_OF_TEAM, f"the team {link.team!r}"),
        ):
            limit = f"{owner} has {counted(most, 'upstream')}, which is the limit"
            change.expect_fewer(key, most, 0, limit, "upstreams_too_many")
            change.add_to_order(key, link.created_at.timestamp(), link.id)
        change.put(keys.upstream(link.app, link.name), self.records.codec.encode(link))
        change.put(keys.upstream_id(link.id), f"{link.app}/{link.name}".encode())
        change.index(entries_of(link))
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[UpstreamLink], new: UpstreamLink, entry: Entry) -> None:
        """Store a changed link. What is known of a credential that was replaced is forgotten.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        key = keys.upstream(new.app, new.name)
        change = self.records.change(entry, new.id)
        change.expect(key, old.version, CHANGED_MEANWHILE)
        change.put(key, self.records.codec.encode_change(old.version, new))
        if new.credential_version != old.record.credential_version:
            change.remove(_health_key(old.record))
            change.remove_from_order(keys.UPSTREAMS_FAILING, new.id)
        await change.apply(self.records.connection)
        if cache_scope(new) != cache_scope(old.record):
            await self._forget(old.record)

    async def remove(self, old: Versioned[UpstreamLink], entry: Entry) -> None:
        """Remove a link, its credential with it; its name may be given again.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        link = old.record
        key = keys.upstream(link.app, link.name)
        change = self.records.change(entry, link.id)
        change.expect(key, old.version, CHANGED_MEANWHILE)
        change.remove(key)
        change.remove(keys.upstream_id(link.id))
        change.remove(_health_key(link))
        change.remove_from_order(keys.UPSTREAMS_FAILING, link.id)
        change.remove_from_order(keys.app_upstreams(link.app), link.id)
        change.remove_from_order(keys.team_upstreams(link.team), link.id)
        change.index(frozenset(), entries_of(link))
        await change.apply(self.records.connection)
        await self._forget(link)

    async def _forget(self, link: UpstreamLink) -> None:
        """Remove the cached data of the link's registry, which is not needed again and would stay for a year."""
        connection, scope = self.records.connection, cache_scope(link)
        with suppress(StoreUnavailable):  # the change is done
            for index in (keys.upstream_tags(scope), keys.upstream_contents(scope)):
                while oldest := await connection.run(connection.redis.zpopmin(index, FORGOTTEN_AT_ONCE)):
                    await connection.run(connection.redis.unlink(*(name for name, _ in oldest)))

    async def health(self, links: Sequence[UpstreamLink]) -> list[UpstreamHealth]:
        """Return the health of each link, in order."""
        if not links:
            return []
        redis = self.records.connection.redis

        async def read() -> list[Mapping[bytes, bytes]]:
            async with redis.pipeline(transaction=False) as pipeline:
                for link in links:
                    _ = pipeline.hgetall(_health_key(link))
                found: list[Mapping[bytes, bytes]] = await pipeline.execute()
                return found

        return [_health(found) for found in await self.records.connection.read(read)]

    async def note(self, link: UpstreamLink, now: datetime, failed: ProbeStep | None) -> None:
        """Record the result of a test: the step that failed, or None if all succeeded."""
        health = RedisUpstreamHealth(self.records.connection)
        if failed is None:
            await health.note_good(link, now)
        else:
            await health.note_error(link, now, failed.step, failed.words)


@define(eq=False, repr=False)
class RedisUpstreamHealth:
    """Writes the health of links; the same kind at most once a minute.

    Nothing is raised when Redis does not answer: the next request writes the same.

    Attributes:
        connection: to Redis.
    """

    connection: Connection
    _noted: dict[str, tuple[str, datetime]] = field(factory=dict, init=False)

    async def note_good(self, link: UpstreamLink, now: datetime) -> None:
        """Record a successful request."""
        await self._note(link, "", now, {"good_at": now.isoformat()})

    async def note_error(self, link: UpstreamLink, now: datetime, code: str, sentence: str) -> None:
        """Record a failed request.

        Args:
            link: the link.
            now: the current time.
            code: machine-readable kind of the failure.
            sentence: what a vendor can act on; without secrets.
        """
        facts = {"error_at": now.isoformat(), "error_code": code, "error": sentence[:MAX_ERROR]}
        await self._note(link, code, now, facts)

    async def note_credential_end(self, link: UpstreamLink, ends_at: datetime) -> None:
        """Record when the credential ends, as the upstream states it."""
        await self._write(link, {"credential_ends_at": ends_at.isoformat()})

    async def _note(self, link: UpstreamLink, news: str, now: datetime, facts: Mapping[str, str]) -> None:
        key = _health_key(link)
        noted = self._noted.get(key)
        if noted is not None and noted[0] == news and now - noted[1] < HEALTH_EVERY:
            return
        while len(self._noted) >= MAX_NOTED:
            del self._noted[next(iter(self._noted))]
        self._noted[key] = (news, now)
        await self._write(link, facts, failed_at=now if news else None, worked=not news)

    async def _write(
        self, link: UpstreamLink, facts: Mapping[str, str], *, failed_at: datetime | None = None, worked: bool = False
    ) -> None:
        key = _health_key(link)
        try:
            async with self.connection.redis.pipeline(transaction=True) as change:
                for name, value in facts.items():
                    _ = change.hset(key, name, value)
                _ = change.expire(key, HEALTH_LIFE)
                if failed_at is not None:
                    _ = change.zadd(keys.UPSTREAMS_FAILING, {link.id: failed_at.timestamp()})
                elif worked:
                    _ = change.zrem(keys.UPSTREAMS_FAILING, link.id)
                await self.connection.run(change.execute())
        except StoreUnavailable:
            self._noted.pop(key, None)


def _health_key(link: UpstreamLink) -> str:
    return keys.upstream_health(link.id, link.credential_version)


def _health(found: Mapping[bytes, bytes]) -> UpstreamHealth:
    def text(name: bytes) -> str | None:
        return found[name].decode() if name in found else None

    def instant(name: bytes) -> datetime | None:
        return decode_instant(found[name]) if name in found else None

    return UpstreamHealth(
        last_good_at=instant(b"good_at"),
        last_error_at=instant(b"error_at"),
        last_error_code=text(b"error_code"),
        last_error=text(b"error"),
        credential_ends_at=instant(b"credential_ends_at"),
    )


def _place(text: str) -> tuple[str, str]:
    app, _, name = text.partition("/")
    return app, name


def _range(team: str, app: str | None) -> Range:
    index = keys.index("upstreams", team)
    if app is None:
        return Range(team, index)
    return Range(team, index, after=f"{app}/", before=end_of(f"{app}/"))
