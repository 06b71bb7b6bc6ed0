"""The state of the watchers between two checks: positions, and what was reported."""

from collections.abc import Collection, Mapping
from datetime import datetime

from attrs import frozen

from authsvc.store import keys
from authsvc.store.indexes import entries_of, id_of, instant
from authsvc.store.ordered_index import end_of
from authsvc.store.records import Records
from authsvc.tenancy.records import License

REMEMBERED_FOR = 40 * 24 * 3600
"""Seconds after which the reports about a team's links expire if no more checks run."""

_ALL = "~"
"""Sorts after every id."""


@frozen(eq=False, repr=False)
class RedisWebhookWatches:
    """The state of the watchers. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def position(self, app: str, days: int) -> str | None:
        """Return the entry up to which licenses of an app that end in ``days`` were checked; None for none."""
        connection = self.records.connection
        found = await connection.read(lambda: connection.redis.hget(keys.WEBHOOK_ENDINGS, f"{app}:{days}"))
        return None if found is None else found.decode()

    async def save_position(self, app: str, days: int, entry: str) -> None:
        """Store this position."""
        redis = self.records.connection.redis
        await self.records.connection.run(redis.hset(keys.WEBHOOK_ENDINGS, f"{app}:{days}", entry))

    async def ending(self, app: str, after: str, until: datetime, limit: int) -> tuple[list[License], str | None]:
        """Return licenses of an app by their end, which is not later than ``until``, to the second.

        Args:
            app: slug.
            after: the position, which is left out.
            until: the last end.
            limit: most entries that are read; ended and changed licenses are among them.

        Returns:
            The licenses, and the position behind them; None for that when there were no more.
        """
        index = keys.index("license-ends", app)
        found = await self.records.indexes.entries(index, after=after, before=end_of(instant(until)), limit=limit)
        if not found:
            return [], None
        raws = await self.records.connection.get_all(*(keys.license_(id_of(entry)) for entry in found))
        licenses = []
        for entry, raw in zip(found, raws, strict=True):
            license_ = None if raw is None else self.records.readable(raw, License)
            if license_ is not None and (index, entry) in entries_of(license_):
                licenses.append(license_)
        return licenses, found[-1]

    async def reported(self, team: str) -> Mapping[str, str]:
        """Return the links of a team whose failing credential was reported, with the event of each."""
        connection = self.records.connection
        found = await connection.read(lambda: connection.redis.hgetall(keys.webhook_failing(team)))
        return {link.decode(): event.decode() for link, event in found.items()}

    async def save_reported(self, team: str, reported: Mapping[str, str], ended: Collection[str]) -> None:
        """Store the reports about some links, and remove those about others."""
        redis = self.records.connection.redis
        async with redis.pipeline(transaction=True) as change:
            for link, event in reported.items():
                _ = change.hset(keys.webhook_failing(team), link, event)
            if ended:
                _ = change.hdel(keys.webhook_failing(team), *ended)
            _ = change.expire(keys.webhook_failing(team), REMEMBERED_FOR)
            await self.records.connection.run(change.execute())


def position_at(end: datetime) -> str:
    """Return the position after every license that ends at ``end``, to the second, or before."""
    return instant(end) + _ALL
