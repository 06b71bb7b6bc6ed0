"""Reads the index of images, which :mod:`authsvc.store.image_index` writes: pages of tags, with their images.

A page is read in a few round trips, whatever the number of repositories: some names of repositories, the tags of all of
those with one script, the artifacts attached to the images of the page, and then all summaries with one command.
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from attrs import Factory, field, frozen

from authsvc.images.evidence import COSIGN_TAGS, Evidence, tag_of
from authsvc.images.index import AppImages, CrawlState, ImageScope, IndexedTag, RepositoryState
from authsvc.images.summary import BlobList, ImageSummary
from authsvc.store import keys
from authsvc.store.apps import RedisApps
from authsvc.store.image_format import (
    SEPARATOR,
    decode_blobs,
    decode_summary,
    optional_instant,
    read_tag_entry,
    read_tags_of,
    repository_entry,
    short,
)
from authsvc.store.lists import STEP
from authsvc.store.ordered_index import INDEX_FUNCTIONS, INDEX_RANGE, end_of
from authsvc.store.records import Records
from authsvc.tenancy.pages import MAX_PAGE, Page, read_cursor, write_cursor

MAX_ATTACHED = 8
"""Most tags of artifacts attached to an image that are examined; the tools make at most four."""

MAX_REPOSITORIES = 1_000
"""Most repositories that are searched for one page."""

_JOIN = " "
"""Separates the parts of a place in a list; names never contain it."""

_STATE_FIELDS = ("tags", "read_at", "changed_at", "all_tags", "unread")

# One script in place of many commands: a page may be about a hundred repositories.
_FIELDS_OF_EACH = """#!lua flags=no-writes
local found = {}
for number, key in ipairs(KEYS) do found[number] = redis.call('HMGET', key, unpack(ARGV)) end
return found
"""

_FIELD_OF_EACH = """#!lua flags=no-writes
local found = {}
for number, key in ipairs(KEYS) do found[number] = redis.call('HGET', key, ARGV[number]) end
return found
"""

_PAGE = f"""#!lua flags=no-writes
{INDEX_RANGE}
local after, wanted, before, found, count = ARGV[1], tonumber(ARGV[2]), ARGV[3], {{}}, 0
for number, index in ipairs(KEYS) do
  local part = index_range(index, number == 1 and after or '', before, wanted - count)
  found[number] = part
  count = count + #part
  if count >= wanted then break end
end
return found
"""

_ATTACHED = f"""#!lua flags=no-writes
{INDEX_RANGE}
local found = {{}}
for number, index in ipairs(KEYS) do
  local prefix = ARGV[number]
  found[number] = index_range(index, prefix, prefix .. '\\255', {MAX_ATTACHED})
end
return found
"""

_FIND = f"""#!lua flags=no-writes
{INDEX_FUNCTIONS}
return index_find(KEYS[1], ARGV[1])
"""


@frozen(eq=False, repr=False)
class RedisImages:
    """Reads the index of one installation. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        records: of the installation.
    """

    records: Records
    _apps: RedisApps = field(
        init=False, repr=False, default=Factory(lambda self: RedisApps(self.records), takes_self=True)
    )

    # --- lists ------------------------------------------------------------------------------------------------------

    async def page(self, scope: ImageScope, after: str | None, limit: int) -> Page[IndexedTag]:
        """Return one page of tags, app by app, repository by repository, by name.

        Args:
            scope: of the list.
            after: cursor of the previous page, or None.
            limit: most items.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        app, name, entry = _parts(read_cursor(scope.query, after))
        found: list[tuple[str, str]] = []
        looked = 0
        async for repositories in self._repositories(scope, app, name):
            some = await self._entries(repositories, entry or scope.tag, limit + 1 - len(found), end_of(scope.tag))
            found += some
            if len(found) > limit:
                found = found[:limit]
                return Page(await self.indexed(found), write_cursor(scope.query, _JOIN.join(found[-1])))
            looked, entry = looked + len(repositories), ""
            if looked >= MAX_REPOSITORIES:  # hardly: a repository in the index has a tag
                place = _JOIN.join((repositories[-1], f"{SEPARATOR}\x7f"))
                return Page(await self.indexed(found), write_cursor(scope.query, place))
        return Page(await self.indexed(found))

    async def names(self, app: str, prefix: str, after: str, limit: int) -> list[str]:
        """Return the first names of an app's repositories that begin with ``prefix``, behind the name ``after``."""
        index = keys.index("repositories", app)
        bounds = max(prefix, repository_entry(after)), end_of(prefix)
        entries = await self.records.indexes.entries(index, after=bounds[0], before=bounds[1], limit=limit)
        return [entry.removesuffix(SEPARATOR) for entry in entries]

    async def tags(self, repositories: Sequence[str], after: str, limit: int) -> tuple[IndexedTag, ...]:
        """Return the first tags of some repositories, one after the other; of the first, those behind ``after``."""
        behind = f"{after}{SEPARATOR}\x7f" if after else ""
        return await self.indexed(await self._entries(repositories, behind, limit, b""))

    async def _repositories(self, scope: ImageScope, app: str, name: str) -> AsyncIterator[list[str]]:
        """Yield the repositories of a scope in order, some at a time, from the named one of the named app on."""
        if scope.repository is not None:
            yield [scope.repository]
            return
        async for slug in self._slugs(scope, app):
            here, last = ([name] if slug == app and name else []), ""
            while True:
                after = repository_entry(here[-1]) if here else last
                entries = await self.records.indexes.entries(keys.index("repositories", slug), after=after, limit=STEP)
                here += [entry.removesuffix(SEPARATOR) for entry in entries]
                if not here:
                    break
                yield here
                last, here = repository_entry(here[-1]), []

    async def _slugs(self, scope: ImageScope, first: str) -> AsyncIterator[str]:
        """Yield the apps of a scope, from the first one on; archived ones too, as their images are still there."""
        if scope.apps is not None:
            for slug in sorted(scope.apps):
                if slug >= first:
                    yield slug
            return
        waiting, after = bool(first), None
        while True:
            page = await self._apps.page(scope.team, after, MAX_PAGE, archived=True)
            for app in page.items:
                waiting = waiting and app.slug != first
                if not waiting:
                    yield app.slug
            after = page.next
            if after is None:
                return

    async def _entries(
        self, repositories: Sequence[str], after: str, limit: int, before: bytes
    ) -> list[tuple[str, str]]:
        names = [keys.index("image-tags", name) for name in repositories]
        found = await self._read(_PAGE, names, after, limit, before)
        return [(name, entry.decode()) for name, part in zip(repositories, found, strict=False) for entry in part or ()]

    # --- one --------------------------------------------------------------------------------------------------------

    async def repository(self, name: str, app: str) -> RepositoryState | None:
        """Return a repository of an app; None when the index has none of this name with a tag."""
        return (await self.states([name]))[name] if name.startswith(f"{app}/") else None

    async def tag(self, repository: str, tag: str) -> IndexedTag | None:
        """Return a tag; None when the index does not have it."""
        entry = await self._read(_FIND, [keys.index("image-tags", repository)], f"{tag}{SEPARATOR}")
        return None if entry is None else (await self.indexed([(repository, entry.decode())]))[0]

    async def described(self, repository: str, digest: str) -> IndexedTag:
        """Return a digest in the form of a tag; the tag is empty."""
        return (await self.indexed([(repository, f"{SEPARATOR}{short(digest)}")]))[0]

    async def tags_of(self, repository: str, digest: str, limit: int) -> list[str]:
        """Return the first tags of a digest in the index, at most ``limit``."""
        return await read_tags_of(self.records.indexes, repository, digest, "", limit)

    async def blobs(self, app: str, digest: str) -> tuple[BlobList, ...] | None:
        """Return the blobs of an image; None when they are not known."""
        return decode_blobs(await self.records.connection.get(keys.image_blobs(app, short(digest))))

    # --- sums -------------------------------------------------------------------------------------------------------

    async def app(self, slug: str) -> AppImages | None:
        """Return the totals of the images of an app; None when they were never added up."""
        row = await self._hash(keys.app_images(slug))
        at = optional_instant(row.get("counted_at"))
        if at is None:
            return None
        numbers = ("repositories", "tags", "size", "unsized", "leftovers")
        counts = {name: int(row.get(name, 0)) for name in numbers}
        return AppImages(app=slug, counted_at=at, is_full=row.get("is_full") == b"1", **counts)

    async def crawl(self) -> CrawlState:
        """Return the progress of the crawl of the registry."""
        row = await self._hash(keys.IMAGES_CRAWL)
        numbers = ("seconds", "repositories", "outside", "errors")
        return CrawlState(
            started_at=optional_instant(row.get("started_at")),
            last=row["last"].decode() if row.get("last") else None,
            ended_at=optional_instant(row.get("ended_at")),
            **{name: int(row.get(name, 0)) for name in numbers},
        )

    # --- what is under tags -----------------------------------------------------------------------------------------

    async def indexed(self, found: Sequence[tuple[str, str]]) -> tuple[IndexedTag, ...]:
        """Return tags, given as repository and entry, with everything that is known about their images."""
        if not found:
            return ()
        tags = [IndexedTag(repository, *read_tag_entry(entry)) for repository, entry in found]
        states = await self.states(dict.fromkeys(one.repository for one in tags))
        attached = await self._attached(tags)
        wanted = {(one.repository, one.digest) for one in tags}
        wanted |= {(one.repository, other.digest) for one in tags for other in attached[one.repository, one.digest]}
        summaries = await self._summaries(wanted)
        referring = await self._referrers(tags)
        return tuple(
            _with_evidence(
                one,
                summaries[one.repository, one.digest],
                {
                    other.tag: summaries[other.repository, other.digest]
                    for other in attached[one.repository, one.digest]
                },
                referring[one.repository, one.digest],
                states[one.repository],
            )
            for one in tags
        )

    async def _attached(self, tags: Sequence[IndexedTag]) -> dict[tuple[str, str], list[IndexedTag]]:
        """Return the possible tags of artifacts that are attached to the images of some tags."""
        images = list(dict.fromkeys((one.repository, one.digest) for one in tags))
        names = [keys.index("image-tags", repository) for repository, _ in images]
        found = await self._read(_ATTACHED, names, *(tag_of(digest) for _, digest in images))
        return {
            image: [IndexedTag(image[0], *read_tag_entry(entry.decode())) for entry in entries]
            for image, entries in zip(images, found, strict=True)
        }

    async def _summaries(self, images: Iterable[tuple[str, str]]) -> dict[tuple[str, str], ImageSummary | None]:
        found = list(images)
        names = [keys.image(_app(repository), short(digest)) for repository, digest in found]
        raws = await self.records.connection.get_all(*names)
        decoded = (decode_summary(self.records.codec, raw) for raw in raws)
        return dict(zip(found, decoded, strict=True))

    async def _referrers(self, tags: Sequence[IndexedTag]) -> dict[tuple[str, str], frozenset[Evidence]]:
        images = list(dict.fromkeys((one.repository, one.digest) for one in tags))
        names = [keys.referrers(repository) for repository, _ in images]
        raws = await self._read(_FIELD_OF_EACH, names, *(short(digest) for _, digest in images))
        return {image: frozenset(_evidence(raw)) for image, raw in zip(images, raws, strict=True)}

    async def states(self, names: Iterable[str]) -> dict[str, RepositoryState | None]:
        """Return the state of each repository; None for one without a tag."""
        wanted = list(names)
        rows = await self._read(_FIELDS_OF_EACH, [keys.repository(name) for name in wanted], *_STATE_FIELDS)
        return {name: _state(name, row) for name, row in zip(wanted, rows, strict=True)}

    async def _hash(self, key: str) -> dict[str, bytes]:
        connection = self.records.connection
        found = await connection.read(lambda: connection.redis.hgetall(key))
        return {name.decode(): value for name, value in found.items()}

    async def _read(self, text: str, names: Sequence[str], *arguments: str | bytes | int) -> Any:
        script = self.records.connection.redis.register_script(text)
        return await self.records.connection.read(lambda: script(keys=list(names), args=list(arguments)))


def _app(repository: str) -> str:
    return repository.partition("/")[0]


def _parts(place: str | None) -> tuple[str, str, str]:
    """Return app, repository and entry of the place in a cursor."""
    name, _, entry = (place or "").partition(_JOIN)
    return _app(name), name, entry


def _state(name: str, row: Sequence[bytes | None]) -> RepositoryState | None:
    tags, read_at, changed_at, all_tags, unread = row
    if tags is None:
        return None
    return RepositoryState(
        name=name,
        app=_app(name),
        tags=int(tags),
        read_at=optional_instant(read_at),
        changed_at=optional_instant(changed_at),
        all_tags=all_tags in {None, b"1"},
        unread=int(unread or 0),
    )


def _with_evidence(
    tag: IndexedTag,
    summary: ImageSummary | None,
    attached: dict[str, ImageSummary | None],
    referring: Iterable[Evidence],
    state: RepositoryState | None,
) -> IndexedTag:
    """Return a tag with its summary and the evidence for the image."""
    found = {*referring, *(() if summary is None else summary.evidence)}
    prefix = tag_of(tag.digest)
    for name, other in attached.items():
        ending = name.removeprefix(prefix)
        if ending in COSIGN_TAGS:
            known = COSIGN_TAGS[ending]
            found |= {known} if known is not None else {*(_UNKNOWN if other is None else other.evidence)}
    whole = state is not None and state.is_whole and summary is not None and summary.complete
    read_at = None if state is None else state.read_at
    return IndexedTag(tag.repository, tag.tag, tag.digest, summary, frozenset(found), whole, read_at)


_UNKNOWN = (Evidence.UNKNOWN,)


def _evidence(raw: bytes | None) -> Iterable[Evidence]:
    known = set(Evidence)
    for word in json.loads(raw) if raw else ():
        yield Evidence(word) if word in known else Evidence.UNKNOWN
