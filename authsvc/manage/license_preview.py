"""What a license would pull: its patterns against the images that its app has now."""

import asyncio
from collections.abc import Sequence

from attrs import frozen

from authsvc.errors import InputRefused
from authsvc.images.index import ImageScope, IndexedTag
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.lookup import find_app
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.spec.reference import MAX_NAME_LENGTH
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size
from authsvc.tenancy.patterns import MAX_PATTERNS, covers_native, parse_pattern
from authsvc.tenancy.records import App

MAX_READS = 20
"""Most pages of the index of images that one page looks at (design #18)."""

MAX_STEPS = 4_000_000
"""About the steps of comparing that one page may take: some tenths of a second, however long the patterns are."""


@frozen
class LicensePreview:
    """Previews licenses. It raises StoreUnavailable when the store does not answer.

    Attributes:
        stores: the records.
    """

    stores: Stores

    @permitted(Permission.LICENSE_PREVIEW_IMAGES)
    async def images(
        self,
        actor: Actor,
        app: str,
        repositories: Sequence[str] | None,
        *,
        after: str | None = None,
        limit: int = MAX_PAGE,
    ) -> Page[IndexedTag]:
        """Return one page of the tags that a license for an app would pull; it may be short, and have a next one.

        What it would pull through from linked registries is not among them.

        Args:
            actor: who asks.
            app: slug.
            repositories: the patterns of the license; None for the whole app.
            after: the cursor of the page before.
            limit: how many at most, up to 100.

        Raises:
            InputRefused: a pattern, the cursor or the limit is not acceptable.
            NotFound: there is no such app for the actor.
        """
        found = (await find_app(self.stores, actor, app)).record
        return await covered_tags(self.stores, found, _parsed(repositories), after, limit)


async def covered_tags(
    stores: Stores, app: App, patterns: Sequence[str] | None, after: str | None, limit: int
) -> Page[IndexedTag]:
    """Return one page of an app's tags that ``patterns`` cover; it may be short, and have a next one.

    Raises:
        InputRefused: the cursor or the limit is not acceptable.
    """
    size, tags, cursor = page_size(limit), list[IndexedTag](), after
    scope = ImageScope(app.team, frozenset({app.slug}))
    steps, covered = MAX_STEPS, dict[str, bool]()
    costs = sum(len(one) for one in patterns or () if "*" in one)  # for each character of a name
    for _ in range(MAX_READS):
        room = max(1, min(size - len(tags), steps // (1 + costs * MAX_NAME_LENGTH)))
        page = await stores.images.page(scope, cursor, room)
        for tag in page.items:
            if tag.repository not in covered:
                steps -= costs * len(tag.repository)
                covered[tag.repository] = _is_covered(tag.repository, patterns)
                await asyncio.sleep(0)  # others are served between two names
            tags += [tag] if covered[tag.repository] else []
        cursor = page.next
        if cursor is None or len(tags) == size or steps <= 0:
            break
    return Page(tuple(tags), cursor)


def _parsed(repositories: Sequence[str] | None) -> tuple[str, ...] | None:
    if repositories is None:
        return None
    if len(repositories) > MAX_PATTERNS:
        raise InputRefused(
            f"a license has at most {MAX_PATTERNS} patterns, not {len(repositories)}",
            code="patterns_too_many",
            field="repositories",
        )
    return tuple(map(parse_pattern, repositories))


def _is_covered(repository: str, patterns: Sequence[str] | None) -> bool:
    rest = repository.split("/")[1:]
    return patterns is None or any(covers_native(pattern, rest) for pattern in patterns)
