"""Previews what a license would pull: compares its patterns with the current images of its app."""

from collections.abc import Sequence

from attrs import frozen

from authsvc.errors import InputRefused
from authsvc.images.index import IndexedTag
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.license_images import covered_tags
from authsvc.manage.lookup import find_app
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.tenancy.pages import MAX_PAGE, Page
from authsvc.tenancy.patterns import MAX_PATTERNS, parse_pattern


@frozen(eq=False, repr=False)
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
        """Return one page of the tags that a license could pull; it may be short even if there is a next one.

        Images of linked registries are not included.

        Args:
            actor: the caller.
            app: slug.
            repositories: the patterns of the license; None for the whole app.
            after: the cursor of the previous page.
            limit: how many at most, up to 100.

        Raises:
            InputRefused: a pattern, the cursor or the limit is not acceptable.
            NotFound: there is no such app for the actor.
        """
        found = (await find_app(self.stores, actor, app)).record
        return await covered_tags(self.stores.images, found.slug, _parsed(repositories), after, limit)


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
