"""Images: where to push, what lies in the registry, and who runs it."""

from itertools import groupby

from attrs import frozen

from authsvc.manage.images import Images, ListedImage
from authsvc.manage.permissions import Permission
from authsvc.manage.teams import Teams
from authsvc.tenancy.pages import Page
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, Visit
from authsvc.web.portal.route import Route

WAIT_FOR_FIRST = 10
"""Seconds after which the page of an app without images looks again, with JavaScript."""


@frozen
class ImagePages:
    """The pages of images.

    Attributes:
        teams: lists the apps.
        images: lists the images.
    """

    teams: Teams
    images: Images

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/images", self.list, Permission.IMAGE_LIST),
            Route("GET", "/images/{name:.+}", self.show, Permission.IMAGE_SHOW),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show an app's repositories and tags, and the commands to push another."""
        apps = (await self.teams.apps(visit.actor, visit.user.member.team)).items
        slug = visit.query.get("app")
        if not slug and not apps:
            return PageAnswer("no_apps")
        app = await self.teams.app(visit.actor, slug) if slug else apps[0]
        found, crawl = await self.images.sum(visit.actor, app.slug)
        repository = visit.query.get("repository") or None
        page: Page[ListedImage] = await self.images.list(
            visit.actor, app=app.slug, repository=repository, after=visit.query.get("after")
        )
        values = {
            "apps": apps,
            "app": app,
            "total": found,
            "crawl": crawl,
            "repositories": [
                (name, tuple(tags)) for name, tags in groupby(page.items, lambda one: one.image.repository)
            ],
            "repository": repository,
            "next": page.next,
        }
        is_empty = not page.items and repository is None and visit.query.get("after") is None
        return PageAnswer("images", values | {"wait": WAIT_FOR_FIRST if is_empty else None})

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show one image: platforms, further tags, and who runs it."""
        shown = await self.images.show(visit.actor, visit.names["name"], visit.now)
        return PageAnswer("image", {"shown": shown})
