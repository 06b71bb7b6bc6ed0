"""Reads totals of accounts, days of an app, and the tags of a repository."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import evolve, frozen

from authsvc.activity.activity_filter import Resolution
from authsvc.activity.history import AccountActivity, AppDay, ImageHistory
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import DAYS_KEPT, ActivityKind
from authsvc.store import keys
from authsvc.store.activity_images import RedisActivityImages, read_hashes
from authsvc.store.activity_layout import (
    ACCOUNTS_PER_PART,
    BLOCK_DAYS,
    BYTES,
    DAY,
    ERA_DAYS,
    MORE,
    NO_IMAGE,
    TAG_HASH,
    Count,
    eras,
    image_hash,
    instant,
    joined_uses,
    long_digest,
    read_use,
    seconds,
)
from authsvc.store.activity_rows import RedisActivityRows
from authsvc.store.records import Records
from authsvc.tenancy.pages import Page, read_cursor, write_cursor

MAX_ACCOUNTS = 100
"""Most accounts that are read together."""

MAX_COUNTS_READ = 8_000
"""Counts after which a page of days ends: approximately the most that one block of an app has."""


@frozen(eq=False, repr=False)
class RedisActivityAccounts:
    """Reads summaries. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        records: of the installation.
        images: reads names of images and accounts.
        rows: reads counts.
    """

    records: Records
    images: RedisActivityImages
    rows: RedisActivityRows

    async def accounts(self, wanted: Sequence[tuple[str, str]], now: datetime) -> list[AccountActivity | None]:
        """Return the activity of each account, by app and subject, in order; None for one without activity."""
        found: list[AccountActivity | None] = []
        for app, subject in wanted[:MAX_ACCOUNTS]:
            number = await self.images.account(app, subject)
            found.append(None if number is None else await self._account(app, subject, number, now))
        return found

    async def _account(self, app: str, subject: str, number: int, now: datetime) -> AccountActivity:
        part, rest = divmod(number, ACCOUNTS_PER_PART)
        read = eras(now - DAYS_KEPT, now)
        names = [keys.activity_account_part(app, part)]
        names += [keys.activity_used(app, number, era) for era in read]
        names += [keys.activity_networks(app, number, era) for era in read]
        record, *others = await read_hashes(self.records.connection, names)
        used, networks = others[: len(read)], others[len(read) :]
        _, *ends = record.get(b"%d" % rest, b"").split(b" ")
        first, last = (
            (instant(int(ends[0])), instant(int(ends[1]))) if len(ends) == len(("first", "last")) else (None,) * 2
        )
        joined: dict[bytes, bytes] = {}
        for era in used:
            for image, value in era.items():
                if len(image) == len(NO_IMAGE):
                    joined[image] = joined_uses(joined.get(image), value)
        named = await self.rows.named(joined)
        uses = (
            read_use(named[image].name or _UNKNOWN, value, is_part=named[image].is_part)
            for image, value in joined.items()
        )
        more = MORE.encode()
        return AccountActivity(
            app,
            subject,
            first,
            last,
            since=instant(read.start * ERA_DAYS * DAY),
            uses=tuple(use for use in uses if use.image is not _UNKNOWN),
            networks=frozenset(network.decode() for era in networks for network in era if network != more),
            size=sum(int(era.get(BYTES.encode(), 0)) for era in used),
            more_images=any(more in era for era in used) or any(named[image].name is None for image in joined),
            more_networks=any(more in era for era in networks),
        )

    async def days(
        self, app: str, since: datetime, until: datetime, *, after: str | None = None, limit: int = 100
    ) -> Page[AppDay]:
        """Return one page of the days of an app, newest first; days without activity are left out.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        query = f"app days {app}"
        place = read_cursor(query, after)
        last = seconds(until) // DAY if place is None else min(seconds(until) // DAY, int(place) - 1)
        first, found, read = seconds(since) // DAY, list[AppDay](), 0
        for block in range(last // BLOCK_DAYS, first // BLOCK_DAYS - 1, -1):
            days, counted = await self._block(app, block, first, last)
            read += counted
            found += days
            if len(found) > limit or read >= MAX_COUNTS_READ:
                shown = found[:limit]
                at = seconds(shown[-1].start) // DAY if len(found) > limit else block * BLOCK_DAYS
                return Page(tuple(shown), write_cursor(query, str(at)) if at > first else None)
        return Page(tuple(found))

    async def _block(self, app: str, block: int, first: int, last: int) -> tuple[list[AppDay], int]:
        """Return the days of a block from the first to the last one, newest first, and how many counts were read."""
        (record,) = await read_hashes(self.records.connection, [keys.activity_counts("day", app, 0, block)])
        start = block * BLOCK_DAYS
        counts = [
            Count.read(Resolution.DAY, block, name, value)
            for name, value in record.items()
            if first <= start + name[0] <= last
        ]
        parts = await self.images.parts({count.image for count in counts if count.kind is ActivityKind.PULL})
        days: dict[datetime, AppDay] = {}
        for count in counts:
            day = days.get(count.start) or AppDay(count.start, app)
            days[count.start] = _added(day, count, is_part=count.image in parts)
        return sorted(days.values(), key=lambda day: day.start, reverse=True), len(record)

    async def tags(self, repository: str, *, after: str | None = None, limit: int = 100) -> Page[ImageHistory]:
        """Return one page of the tags of a repository, according to events and crawls, the newest first.

        Each has its digest, if that is known.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        query = f"activity tags {repository}"
        index = keys.index("activity-tags", image_hash(ImageName(repository)))
        place = read_cursor(query, after) or ""
        entries = await self.records.indexes.entries(index, after=place, limit=limit + 1)
        shown = entries[:limit]
        names = [keys.activity_image(entry[-TAG_HASH:]) for entry in shown]
        tags = [_tag(record) for record in await read_hashes(self.records.connection, names)]
        items = await self.images.histories([tag for tag in tags if tag is not None])
        return Page(tuple(items), write_cursor(query, shown[-1]) if len(entries) > limit else None)


_UNKNOWN = ImageName("")
"""Stands for an image whose name is no longer known."""


def _tag(record: Mapping[bytes, bytes]) -> ImageName | None:
    """Return a tag with its digest."""
    if b"t" not in record or b"r" not in record:
        return None
    pushed, found = int(record.get(b"ps", 0)), int(record.get(b"cs", 0))
    digest = record.get(b"cd" if found > pushed else b"pd", b"").decode()
    return ImageName(record[b"r"].decode(), record[b"t"].decode(), long_digest(digest))


def _added(day: AppDay, count: Count, *, is_part: bool) -> AppDay:
    """Return a day with one more count."""
    match count.kind:
        case ActivityKind.PULL:
            return day if is_part else evolve(day, pulls=day.pulls + count.times)
        case ActivityKind.HEAD:
            return evolve(day, heads=day.heads + count.times)
        case ActivityKind.PUSH:
            return evolve(day, pushes=day.pushes + count.times)
        case ActivityKind.DELETE:
            return evolve(day, deletes=day.deletes + count.times)
        case ActivityKind.DOWNLOAD:
            return evolve(day, size=day.size + count.size)
