"""The pages of images: commands to push, repositories and tags, and the customers that run them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from attrs import frozen

from authsvc.errors import InputRefused
from authsvc.manage.activity_view import ImageActivity
from authsvc.manage.image_users import ImageUsers
from authsvc.manage.images import RUNS, Images, ListedImage, is_repository
from authsvc.manage.permissions import Permission
from authsvc.manage.repositories import Repositories
from authsvc.manage.teams import Teams
from authsvc.manage.upstreams import Upstreams
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import UpstreamLink
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.charts import rows_chart
from authsvc.web.portal.license_states import ShownState
from authsvc.web.portal.route import PREFIX, Route
from authsvc.web.portal.upstream_states import shown_health

IMAGES = f"{PREFIX}/images"

WAIT_FOR_FIRST = 10
"""Seconds after which the page of an app without images looks again, with JavaScript."""

MAX_LINKS = 20
"""Most linked registries that the page of an app shows; the others are on their own page."""

OTHER_VERSIONS = "other versions"

_DONE = {
    "deleted": "The image was deleted.",
    "kept": "The image was deleted. What was pushed under its tags at the same moment was kept.",
}

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@frozen(eq=False, repr=False)
class ImagePages:
    """The pages of images.

    Attributes:
        teams: lists the apps.
        images: lists the images.
        repositories: lists their repositories.
        users: lists the accounts that have them.
        upstreams: lists the linked registries.
    """

    teams: Teams
    images: Images
    repositories: Repositories
    users: ImageUsers
    upstreams: Upstreams

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/images", self.list, Permission.IMAGE_REPOSITORIES),
            Route("GET", "/images/{name:.+}", self.show, Permission.IMAGE_SHOW, asks_others=True),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show an app's repositories, and the commands to push another."""
        apps = (await self.teams.apps(visit.actor, visit.user.member.team)).items
        slug, find = visit.query.get("app"), visit.query.get("find", "").strip()
        if not slug and not apps:
            return PageAnswer("no_apps")
        app = await self.teams.app(visit.actor, slug) if slug else apps[0]
        find = find.removeprefix(f"{app.slug}/")
        repository, colon, tag = find.partition(":")
        if colon and is_name(f"{app.slug}/{repository}", self.images.service):
            return RedirectAnswer(f"{IMAGES}/{app.slug}/{repository}?tag={quote(tag, safe='')}")
        after = visit.query.get("after")
        total, crawl = await self.images.sum(visit.actor, app.slug)
        page = await self.repositories.list(visit.actor, app.slug, visit.now, find=find, after=after)
        is_empty = not page.items and not find and after is None
        values = {
            "apps": apps,
            "app": app,
            "total": total,
            "crawl": crawl,
            "rows": page.items,
            "find": find,
            "next": page.next,
            "links": await self._links(visit, app),
            "wait": WAIT_FOR_FIRST if is_empty else None,
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("images", values)

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show a repository with its tags, or one image: platforms, further tags, and who runs it."""
        name = visit.names["name"]
        if is_repository(name, self.images.service):
            return await self._repository(visit, name)
        shown = await self.images.show(visit.actor, name, visit.now)
        return PageAnswer("image", {"shown": shown, "days": RUNS.days})

    async def _repository(self, visit: Visit, name: str) -> PortalAnswer:
        """Show a repository: its tags, which of them customers run, and who they are."""
        shown = await self.images.repository(visit.actor, name, visit.now)
        repository, tag = shown.state.name, visit.query.get("tag", "").strip()
        values: dict[str, Any] = {"shown": shown, "repository": repository, "app": shown.state.app, "tag": tag}
        error: InputRefused | None = None
        page: Page[ListedImage] = Page(())
        try:
            if not shown.from_registry:
                page = await self.images.list(
                    visit.actor, repository=repository, tag=tag, after=visit.query.get("after")
                )
        except InputRefused as refused:
            error = refused
        is_whole = page.next is None and visit.query.get("after") is None
        tags = sorted(page.items, key=_pushed_at, reverse=True) if is_whole else page.items
        users = await self._users(visit, repository)
        values |= {"tags": tags, "next": page.next, "by_time": is_whole, "error": error and str(error), "users": users}
        return PageAnswer("repository", values | await self._versions(visit, repository, tags), status_of(error))

    async def _users(self, visit: Visit, repository: str) -> ImageActivity:
        return await self.users.show(
            visit.actor, repository, visit.now, since=f"{RUNS.days}d", after=visit.query.get("customers")
        )

    async def _versions(self, visit: Visit, repository: str, tags: Sequence[ListedImage]) -> dict[str, Any]:
        """Return the chart of how many customers run which of the tags that are shown."""
        asked = [(one.image.tag, one.image.digest) for one in tags]
        found = await self.repositories.versions(visit.actor, repository, asked, visit.now)
        bars = [(one.tag or OTHER_VERSIONS, one.customers) for one in found.versions if one.customers]
        return {"versions": found, "chart": rows_chart(bars), "days": RUNS.days}

    async def _links(self, visit: Visit, app: App) -> Page[tuple[UpstreamLink, UpstreamHealth, ShownState]]:
        """Return the first linked registries of an app; none if the member may not see them."""
        if not visit.actor.may(Permission.UPSTREAM_LIST):
            return Page(())
        page = await self.upstreams.list(visit.actor, app=app.slug, limit=MAX_LINKS)
        shown = ((link, health, shown_health(link, health, visit.now)) for link, health in page.items)
        return Page(tuple(shown), page.next)


def is_name(name: str, service: str) -> bool:
    """Whether a name can be that of a repository."""
    try:
        return is_repository(name, service)
    except InputRefused:
        return False


def _pushed_at(one: ListedImage) -> tuple[datetime, str]:
    known = one.history.pushed or one.history.found
    return (_NEVER if known is None else known.at, one.image.tag)
