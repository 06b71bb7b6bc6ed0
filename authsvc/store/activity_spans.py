"""Finds the counts for a list of activity: spans, each of one account in one block of days.

Of apps the spans come app by app, in each the newest block first, and in it account by account; of one license by
block; of a customer license by license, and of an image account by account, each with the newest block first.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice

from attrs import frozen

from authsvc.activity.activity_filter import ActivityFilter, Resolution
from authsvc.policy import locate
from authsvc.store import keys
from authsvc.store.activity_images import RedisActivityImages
from authsvc.store.activity_layout import BLOCK_DAYS, DAY, block_of, seconds
from authsvc.store.indexes import id_of
from authsvc.store.ordered_index import end_of
from authsvc.store.records import Records
from authsvc.tenancy.records import License

SPANS = 100
"""Most spans of one group."""

LICENSES = 20
"""Licenses of a customer that are looked up at once."""

NEVER = 0
"""A block before all others: a list that continues there has no more spans of the account."""


@frozen
class Span:
    """One account in one block.

    Attributes:
        app: slug.
        account: its number.
        block: of days, or of one day by the hour.
        place: position in the list; unique, and without line breaks.
    """

    app: str
    account: int
    block: int
    place: str


@frozen
class SpanGroup:
    """Some neighbouring spans of a list.

    Attributes:
        place: of the last one, or where there was none.
        spans: may be empty.
    """

    place: str
    spans: tuple[Span, ...] = ()


@frozen(eq=False, repr=False)
class ActivitySpans:
    """The spans of one filter. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        records: of the installation.
        images: reads names of accounts.
        wanted: the filter.
    """

    records: Records
    images: RedisActivityImages
    wanted: ActivityFilter

    def groups(self, place: str) -> AsyncIterator[SpanGroup]:
        """Yield all spans in their order, from the one at ``place`` on, with that one; empty is the beginning."""
        if self.wanted.license_id is not None:
            return self._of_license(self.wanted.app or "", self.wanted.license_id, place)
        if self.wanted.customer_id is not None:
            return self._of_customer(self.wanted.customer_id, place)
        if self.wanted.image is not None:
            return self._of_image(place)
        return self._of_apps(place)

    def _blocks(self, newest: str = "") -> range:
        """Return the blocks with requested data, newest first, from ``newest`` on."""
        last = block_of(self.wanted.resolution, self.wanted.until)
        first = block_of(self.wanted.resolution, self.wanted.since)
        return range(min(int(newest), last) if newest else last, first - 1, -1)

    async def _of_license(self, app: str, license_id: str, place: str) -> AsyncIterator[SpanGroup]:
        number = await self.images.account(app, f"license:{license_id}")
        if number is not None:
            spans = tuple(Span(app, number, block, str(block)) for block in self._blocks(place))
            yield SpanGroup(spans[-1].place if spans else str(NEVER), spans)

    async def _of_customer(self, customer_id: str, place: str) -> AsyncIterator[SpanGroup]:
        index = keys.index("customer-licenses", self.wanted.team or "")
        first, _, block = place.partition(" ")
        if first:
            async for group in self._of_licenses([first], block):
                yield group
        after = first or customer_id
        while True:
            entries = await self.records.indexes.entries(index, after=after, before=end_of(customer_id), limit=LICENSES)
            if not entries:
                return
            async for group in self._of_licenses(entries, ""):
                yield group
            after = entries[-1]

    async def _of_licenses(self, entries: Sequence[str], newest: str) -> AsyncIterator[SpanGroup]:
        """Yield the spans of licenses, of which entries of an index are given; the first from block ``newest`` on."""
        raws = await self.records.connection.get_all(*(keys.license_(id_of(entry)) for entry in entries))
        for entry, raw in zip(entries, raws, strict=True):
            license_ = None if raw is None else self.records.readable(raw, License)
            number = None
            if license_ is not None and self._shows(license_):
                number = await self.images.account(license_.app, license_.subject)
            if license_ is None or number is None:
                yield SpanGroup(f"{entry} {NEVER}")
                continue
            app, account = license_.app, number
            spans = tuple(Span(app, account, block, f"{entry} {block}") for block in self._blocks(newest))
            yield SpanGroup(f"{entry} {NEVER}" if not spans else spans[-1].place, spans)
            newest = ""

    def _shows(self, license_: License) -> bool:
        wanted = self.wanted
        return (
            license_.customer_id == wanted.customer_id
            and (wanted.app is None or license_.app == wanted.app)
            and (wanted.apps is None or license_.app in wanted.apps)
        )

    async def _of_image(self, place: str) -> AsyncIterator[SpanGroup]:
        image = self.wanted.image
        location = None if image is None else locate(image.repository)
        if image is None or location is None:
            return
        first, _, block = place.partition(" ")
        start, app = int(first or 0), location.app
        async for end, numbers in self.images.users(image, self.wanted.since, self.wanted.until, start):
            spans = (
                Span(app, number, each, f"{number} {each}")
                for number in numbers
                for each in self._blocks(block if number == start else "")
            )
            for group in _groups(spans, f"{end} {NEVER}"):
                yield group

    async def _of_apps(self, place: str) -> AsyncIterator[SpanGroup]:
        first, _, rest = place.partition(" ")
        block, _, number = rest.partition(" ")
        async for team, app in self._apps(first):
            name = f"{team}/{app}"
            resumed = name == first
            if not await self.images.account_total(app):
                yield SpanGroup(f"{name} {NEVER} 0")
                continue
            for each in self._blocks(block if resumed else ""):
                start = int(number) if resumed and str(each) == block else 0
                active = await self._active(app, each, start)
                spans = (Span(app, one, each, f"{name} {each} {one}") for one in active)
                for group in _groups(spans, f"{name} {each - 1} 0"):
                    yield group

    async def _apps(self, first: str) -> AsyncIterator[tuple[str, str]]:
        """Yield the team and the slug of each app, from ``first``, one of them as ``TEAM/APP``, on."""
        wanted = self.wanted
        named = [wanted.app] if wanted.app is not None else None if wanted.apps is None else sorted(wanted.apps)
        teams = [wanted.team or "-"] if named is not None or wanted.team is not None else await self._set(keys.TEAMS)
        for team in teams:
            if team < first.partition("/")[0]:
                continue
            for app in await self._set(keys.team_apps(team)) if named is None else named:
                if f"{team}/{app}" >= first:
                    yield team, app

    async def _set(self, name: str) -> list[str]:
        connection = self.records.connection
        members = await connection.read(lambda: connection.redis.smembers(name))
        return sorted(map(bytes.decode, members))

    async def _active(self, app: str, block: int, start: int) -> Iterator[int]:
        """Return the numbers of the accounts with activity in a block, from ``start`` on."""
        by_hour = self.wanted.resolution is Resolution.HOUR
        days = range(block, block + 1) if by_hour else range(block * BLOCK_DAYS, (block + 1) * BLOCK_DAYS)
        first, last = seconds(self.wanted.since) // DAY, seconds(self.wanted.until) // DAY
        names = [keys.activity_active(app, day) for day in days if first <= day <= last]
        bitmaps = [raw for raw in await self.records.connection.get_all(*names) if raw is not None]
        return numbers_in(bitmaps, start)


def numbers_in(bitmaps: Iterable[bytes], start: int) -> Iterator[int]:
    """Yield the numbers of the bits that are set in any of the bitmaps, from ``start`` on."""
    joined, size = 0, 0
    for bitmap in bitmaps:
        size = max(size, len(bitmap))
    for bitmap in bitmaps:
        joined |= int.from_bytes(bitmap.ljust(size, b"\0"), "big")
    bits = joined.to_bytes(size, "big")
    for index in range(start // 8, size):
        for bit in range(8) if bits[index] else ():
            number = 8 * index + bit
            if bits[index] & (0x80 >> bit) and number >= start:
                yield number


def _groups(spans: Iterator[Span], end: str) -> Iterator[SpanGroup]:
    """Yield some spans at a time, and finally the place ``end`` after them."""
    while some := tuple(islice(spans, SPANS)):
        yield SpanGroup(some[-1].place, some)
    yield SpanGroup(end)
