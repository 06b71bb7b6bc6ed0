"""Reads pages of counts: the activity of accounts by hour or day.

A page reads at most :data:`MAX_EXAMINED` counts; with a selective filter it may be short or empty even if there is a
next one. In a span (:mod:`authsvc.store.activity_spans`) the newest period comes first.
"""

from collections.abc import Collection, Mapping, Sequence

from attrs import define, field, frozen

from authsvc.activity.activity_filter import ActivityFilter
from authsvc.activity.history import ActivityRow
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import ActivityKind
from authsvc.policy import locate
from authsvc.store import keys
from authsvc.store.activity_images import MAX_IMAGES, RedisActivityImages, read_hashes
from authsvc.store.activity_layout import NO_IMAGE, Count, long_digest
from authsvc.store.activity_spans import ActivitySpans, Span
from authsvc.store.records import Records
from authsvc.tenancy.pages import Page, read_cursor, write_cursor

MAX_EXAMINED = 2_000
"""Most counts that one page reads; the last span is read to its end."""

GROUP_COST = 20
"""Searching for a group of spans counts as this many counts."""

LAST = "~"
"""Sorts in a cursor after everything in a span."""

_JOIN = "\n"

_CACHED = frozenset({ActivityKind.PULL, ActivityKind.HEAD, ActivityKind.DOWNLOAD})
"""What the cache of linked registries may have."""

# Reads hashes until enough fields are read, but at least one hash.
_SOME_HASHES = """#!lua flags=no-writes
local found, read = {}, 0
for place, key in ipairs(KEYS) do
  found[place] = redis.call('HGETALL', key)
  read = read + #found[place] / 2
  if read >= tonumber(ARGV[1]) then break end
end
return found
"""


@frozen
class CountedImage:
    """The image of a count.

    Attributes:
        name: None for several, and for one whose name is not known any more.
        is_part: whether it is a manifest of an index, named by its digest: not counted as a pull.
    """

    name: ImageName | None = None
    is_part: bool = False


@define
class _RowPage:
    """A page being filled; one row more than fits is searched for, because the last page has no cursor."""

    query: str
    limit: int
    rows: list[tuple[Span, Count, CountedImage]] = field(factory=list)
    place: str = ""
    full_at: str | None = None
    examined: int = 0

    def add(self, span: Span, count: Count, image: CountedImage) -> None:
        if len(self.rows) == self.limit:
            self.full_at = self.full_at or self.place
            return
        self.rows.append((span, count, image))
        self.place = _place(span.place, _order(count))

    @property
    def ends_at(self) -> str | None:
        """Where the page ends, when it does."""
        return self.full_at or (self.place if self.examined >= MAX_EXAMINED else None)


@frozen(eq=False, repr=False)
class RedisActivityRows:
    """Reads pages of counts. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        records: of the installation.
        images: reads names of images and accounts.
    """

    records: Records
    images: RedisActivityImages

    async def page(self, wanted: ActivityFilter, after: str | None, limit: int) -> Page[ActivityRow]:
        """Return one page.

        Args:
            wanted: which counts.
            after: cursor of the previous page, or None.
            limit: most rows.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        place, _, behind = (read_cursor(wanted.query, after) or "").partition(_JOIN)
        page = _RowPage(wanted.query, limit)
        async for group in ActivitySpans(self.records, self.images, wanted).groups(place):
            page.examined += GROUP_COST
            spans = [span for span in group.spans if (span.place, LAST) != (place, behind)]
            if not spans:
                page.place = _place(group.place, LAST)
            while spans and page.ends_at is None:
                blocks = await self._some(wanted, spans)
                counts = [
                    (span, count)
                    for span, block in zip(spans, blocks, strict=False)
                    for count in _counts(wanted, span, block)
                    if span.place != place or _order(count) > behind
                ]
                images = await self.named({count.image for _, count in counts})
                page.examined += sum(map(len, blocks))
                for span, count in counts:
                    if _passes(wanted, count, images[count.image]):
                        page.add(span, count, images[count.image])
                spans = spans[len(blocks) :]
                if page.full_at is None:
                    page.place = _place(spans[0].place, "") if spans else _place(group.place, LAST)
            if page.ends_at is not None:
                break
        following = None if page.ends_at is None else write_cursor(wanted.query, page.ends_at)
        return Page(await self._rows(page.rows), following)

    async def _some(self, wanted: ActivityFilter, spans: Sequence[Span]) -> list[Mapping[bytes, bytes]]:
        """Return the counts of the first spans, of one at least."""
        connection = self.records.connection
        script = connection.redis.register_script(_SOME_HASHES)
        names = [keys.activity_counts(wanted.resolution, span.app, span.account, span.block) for span in spans]
        found = await connection.read(lambda: script(keys=names, args=[MAX_EXAMINED]))
        return [dict(zip(flat[::2], flat[1::2], strict=True)) for flat in found]

    async def named(self, hashes: Collection[bytes]) -> dict[bytes, CountedImage]:
        """Return the images of some hashes of names."""
        known: dict[bytes, CountedImage] = {NO_IMAGE: CountedImage()}
        wanted = sorted(set(hashes) - known.keys())
        for start in range(0, len(wanted), MAX_IMAGES):
            step = wanted[start : start + MAX_IMAGES]
            records = await read_hashes(self.records.connection, [keys.activity_image(one.hex()) for one in step])
            known |= {one: _named(record) for one, record in zip(step, records, strict=True)}
        return known

    async def _rows(self, found: Sequence[tuple[Span, Count, CountedImage]]) -> tuple[ActivityRow, ...]:
        subjects: dict[tuple[str, int], str] = {}
        for app in {span.app for span, _, _ in found}:
            numbers = sorted({span.account for span, _, _ in found if span.app == app})
            by_number = await self.images.subjects(app, numbers)
            subjects |= {(app, number): subject for number, subject in by_number.items()}
        return tuple(_row(span, count, image, subjects.get((span.app, span.account))) for span, count, image in found)


def _place(span: str, order: str) -> str:
    return f"{span}{_JOIN}{order}"


def _order(count: Count) -> str:
    """Return text by which the counts of a span are ordered: the newest period first."""
    return f"{255 - count.field[0]:02x}{count.field[1:].hex()}"


def _counts(wanted: ActivityFilter, span: Span, block: Mapping[bytes, bytes]) -> list[Count]:
    """Return the counts of a span that are within the requested time, in order."""
    counts = (Count.read(wanted.resolution, span.block, name, value) for name, value in block.items())
    return sorted((count for count in counts if wanted.overlaps(count.start)), key=_order)


def _passes(wanted: ActivityFilter, count: Count, image: CountedImage) -> bool:
    if count.kind is ActivityKind.PULL and image.is_part:
        return False
    asked = wanted.image
    if asked is None:
        return True
    name = image.name
    return (
        name is not None
        and name.repository == asked.repository
        and (asked.tag is None or name.tag == asked.tag)
        and (asked.digest is None or name.digest == asked.digest)
    )


def _named(record: Mapping[bytes, bytes]) -> CountedImage:
    repository = record.get(b"r")
    if repository is None:
        return CountedImage()
    tag, digest = record.get(b"t"), record.get(b"d", b"").decode()
    name = ImageName(repository.decode(), None if tag is None else tag.decode(), long_digest(digest))
    return CountedImage(name, tag is None and record.get(b"c") == b"1")


def _row(span: Span, count: Count, image: CountedImage, subject: str | None) -> ActivityRow:
    download = count.kind is ActivityKind.DOWNLOAD
    location = None if image.name is None else locate(image.name.repository)
    linked = count.kind in _CACHED and location is not None and location.upstream is not None
    return ActivityRow(
        start=count.start,
        app=span.app,
        image=image.name,
        kind=count.kind,
        subject=subject,
        count=0 if download else count.times,
        size=count.size if download else None,
        first_at=count.first_at,
        last_at=count.last_at,
        hits=max(0, count.times - count.misses) if linked else None,
        misses=count.misses if linked else None,
        stale=count.stale if linked else None,
    )
