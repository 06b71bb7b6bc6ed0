"""Lists the tags that the patterns of a license cover, by pages, however many other images the app has.

Only names of repositories with the prefixes of the patterns are read and compared, and only tags of matching
repositories are read.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from attrs import define

from authsvc.images.index import IndexedTag
from authsvc.manage.stores import ImageStore
from authsvc.spec.reference import MAX_NAME_LENGTH
from authsvc.tenancy.name_ranges import NameRange, name_ranges
from authsvc.tenancy.pages import Page, page_size, read_cursor, write_cursor

MAX_NAMES = 5_000
"""Most names of repositories that are compared for one page, which takes some tens of milliseconds."""

STEP = 200
"""Names that are read at once."""

MAX_STEPS = 4_000_000
"""Approximate number of steps of comparing for one page: some tenths of a second, however long the patterns are."""

STEPS_AT_ONCE = 20_000
"""Approximate number of steps after which other tasks get a turn: some milliseconds."""

_JOIN = " "
"""Separates repository and tag in the place of a cursor; names never contain it."""


@define
class _NameSearch:
    """A search for the names of matching repositories, until enough were compared.

    Attributes:
        images: the index of images.
        app: slug.
        ranges: that contain them.
        last: the name that was compared last.
        left: number of names that may still be compared.
        steps: of comparing that are left.
    """

    images: ImageStore
    app: str
    ranges: tuple[NameRange, ...]
    last: str
    left: int
    steps: int

    @property
    def is_over(self) -> bool:
        """Whether it has compared enough for one page."""
        return self.left <= 0 or self.steps <= 0


async def _covered(search: _NameSearch) -> AsyncIterator[str]:
    """Yield the matching names after the last one, in order."""
    for one in search.ranges:
        while not search.is_over:
            names, wanted = await _next_names(search, one)
            for name in names:
                search.last, search.left = name, search.left - 1
                if await _is_covered(search, one, name):
                    yield name
            if len(names) < wanted:
                break


async def _next_names(search: _NameSearch, one: NameRange) -> tuple[Sequence[str], int]:
    """Return the next names of a range, and how many were requested."""
    if one.is_name:
        return ([one.prefix] if one.prefix > search.last else []), 2
    wanted = max(1, min(STEP, search.left, search.steps // (1 + one.cost * MAX_NAME_LENGTH)))
    return await search.images.names(search.app, one.prefix, search.last, wanted), wanted


async def _is_covered(search: _NameSearch, one: NameRange, name: str) -> bool:
    before, search.steps = search.steps, search.steps - one.cost * len(name)
    if before // STEPS_AT_ONCE != search.steps // STEPS_AT_ONCE:
        await asyncio.sleep(0)
    return one.covers(name)


async def covered_tags(
    images: ImageStore, app: str, patterns: Sequence[str] | None, after: str | None, limit: int
) -> Page[IndexedTag]:
    """Return one page of an app's tags that ``patterns`` cover; it may be short even if there is a next one.

    Args:
        images: the index of images.
        app: slug.
        patterns: of a license; None for the whole app.
        after: cursor of the previous page, or None.
        limit: most items.

    Raises:
        InputRefused: the cursor or the limit is not acceptable.
        StoreUnavailable: the store does not answer.
    """
    size, ranges = page_size(limit), name_ranges(app, patterns)
    query = f"covered {app} {patterns}"
    name, _, tag = (read_cursor(query, after) or "").partition(_JOIN)
    found, pending = list[IndexedTag](), list[str]()
    # A client can make up a cursor, so the name in it is compared as well.
    if tag and any(one.covers(name) for one in ranges):
        found += await images.tags([name], tag, size + 1)
    search = _NameSearch(images, app, ranges, name, MAX_NAMES, MAX_STEPS)
    async for covered in _covered(search):
        pending.append(covered)
        if len(found) + len(pending) > size:
            found += await images.tags(pending, "", size + 1 - len(found))
            pending = []
            if len(found) > size:
                break
    if pending and len(found) <= size:
        found += await images.tags(pending, "", size + 1 - len(found))
    if len(found) > size:
        last = found[size - 1]
        return Page(tuple(found[:size]), write_cursor(query, f"{last.repository}{_JOIN}{last.tag}"))
    return Page(tuple(found), write_cursor(query, search.last) if search.is_over else None)
