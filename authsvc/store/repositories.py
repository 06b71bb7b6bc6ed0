"""Lists of repositories: one row for each, with its newest tag, whatever the number of its tags.

A page is read with a few scripts. The newest tags come from the activity, which has for each repository an index with
the newest tag first; their images come from the index of images.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Factory, field, frozen

from authsvc.activity.image_name import ImageName
from authsvc.images.index import IndexedTag, RepositoryRow
from authsvc.store import keys
from authsvc.store.activity_layout import TAG_HASH, image_hash
from authsvc.store.image_format import SEPARATOR, read_tag_entry, repository_entry
from authsvc.store.images import RedisImages
from authsvc.store.ordered_index import INDEX_FUNCTIONS, INDEX_RANGE
from authsvc.store.records import Records
from authsvc.tenancy.pages import Page, read_cursor, write_cursor

MAX_NAMES = 2_000
"""Most names of repositories that are examined for one page of a search."""

STEP = 200
"""Names of repositories that one command reads."""

NEWEST = 16
"""Tags of a repository of which the newest image is found: its signatures are tags as well, and newer."""

CHOSEN = 3
"""Tags of them that are looked for in the index of images, which may not have one of a moment ago yet."""

_EVIDENCE = re.compile(r"sha256-[0-9a-f]{64}(\..*)?", re.ASCII)
"""A tag of evidence for an image."""

_DIGITS = re.compile(r"([0-9]+)", re.ASCII)

_FIRST_ENTRIES = f"""#!lua flags=no-writes
{INDEX_RANGE}
local found = {{}}
for number, index in ipairs(KEYS) do found[number] = index_range(index, '', '', tonumber(ARGV[1])) end
return found
"""

_TAGS_OF_EACH = """#!lua flags=no-writes
local found = {}
for number, key in ipairs(KEYS) do found[number] = redis.call('HGET', key, 't') end
return found
"""

_FIND_EACH = f"""#!lua flags=no-writes
{INDEX_FUNCTIONS}
local found = {{}}
for number, index in ipairs(KEYS) do found[number] = index_find(index, ARGV[number] .. '\\0') or false end
return found
"""


@frozen(eq=False, repr=False)
class RedisRepositories:
    """Lists repositories. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        records: of the installation.
    """

    records: Records
    _images: RedisImages = field(
        init=False, repr=False, default=Factory(lambda self: RedisImages(self.records), takes_self=True)
    )

    async def page(self, app: str, find: str, after: str | None, limit: int) -> Page[RepositoryRow]:
        """Return one page of the repositories of an app, by name.

        Args:
            app: slug.
            find: part of their names after the slug; empty for all. With it, a page may be short even if there is a
                next one.
            after: cursor of the previous page, or None.
            limit: most items.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        query = f"repositories {app} {find}"
        index, place = keys.index("repositories", app), read_cursor(query, after) or ""
        names, looked = list[str](), 0
        while looked < MAX_NAMES:
            entries = await self.records.indexes.entries(index, after=place, limit=STEP)
            for entry in entries:
                name = entry.removesuffix(SEPARATOR)
                if find in name[len(app) + 1 :]:
                    names.append(name)
                if len(names) > limit:
                    shown = names[:limit]
                    return Page(await self._rows(shown), write_cursor(query, repository_entry(shown[-1])))
            if len(entries) < STEP:
                return Page(await self._rows(names))
            looked, place = looked + len(entries), entries[-1]
        return Page(await self._rows(names), write_cursor(query, place))

    async def _rows(self, names: Sequence[str]) -> tuple[RepositoryRow, ...]:
        if not names:
            return ()
        states = await self._images.states(names)
        newest = await self._newest(names)
        indexed = await self._images.indexed([(name, newest[name]) for name in names if name in newest])
        by_name: Mapping[str, IndexedTag] = {one.repository: one for one in indexed}
        rows = ((states[name], by_name.get(name)) for name in names)
        return tuple(RepositoryRow(state, tag) for state, tag in rows if state is not None)

    async def _newest(self, names: Sequence[str]) -> dict[str, str]:
        """Return for each repository the entry of its newest tag in the index of images."""
        chosen = await self._chosen(names)
        pairs = [(name, tag) for name in names for tag in chosen[name]]
        indexes = [keys.index("image-tags", name) for name, _ in pairs]
        entries = await self._read(_FIND_EACH, indexes, *(tag for _, tag in pairs)) if pairs else []
        found: dict[str, str] = {}
        for (name, _), entry in zip(pairs, entries, strict=True):
            if entry is not None:
                found.setdefault(name, entry.decode())
        left = [name for name in names if name not in found]
        others = await self._read(_FIRST_ENTRIES, [keys.index("image-tags", name) for name in left], NEWEST)
        for name, some in zip(left, others, strict=True):
            entries = [entry.decode() for entry in some]
            shown = [entry for entry in entries if not _EVIDENCE.fullmatch(read_tag_entry(entry)[0])]
            if entries:
                found[name] = max(shown or entries, key=lambda entry: _version(read_tag_entry(entry)[0]))
        return found

    async def _chosen(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Return for each repository its newest tags, as far as the activity knows them, the newest first."""
        indexes = [keys.index("activity-tags", image_hash(ImageName(name))) for name in names]
        entries = [[entry.decode() for entry in some] for some in await self._read(_FIRST_ENTRIES, indexes, NEWEST)]
        hashes = [keys.activity_image(entry[-TAG_HASH:]) for some in entries for entry in some]
        raws = iter(await self._read(_TAGS_OF_EACH, hashes))
        found = {}
        for name, some in zip(names, entries, strict=True):
            tags = [
                (entry[:-TAG_HASH], raw.decode()) for entry, raw in zip(some, raws, strict=False) if raw is not None
            ]
            images = [(at, tag) for at, tag in tags if not _EVIDENCE.fullmatch(tag)]
            # All tags found by one crawl have the same time: of these, the highest version counts as the newest.
            images.sort(key=lambda one: _version(one[1]), reverse=True)
            images.sort(key=lambda one: one[0])
            found[name] = [tag for _, tag in images[:CHOSEN]]
        return found

    async def _read(self, text: str, names: Sequence[str], *arguments: str | int) -> Any:
        if not names:
            return []
        script = self.records.connection.redis.register_script(text)
        return await self.records.connection.read(lambda: script(keys=list(names), args=list(arguments)))


def _version(tag: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts tags in the order of versions: 1.10 after 1.9, and words such as ``latest`` first."""
    parts = (part for part in _DIGITS.split(tag) if part)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
