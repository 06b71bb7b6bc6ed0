"""The accounts that have each version of an image, and unused versions."""

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve, frozen

from authsvc.activity.activity_filter import parse_time
from authsvc.activity.history import ImageHistory, versions_of
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import DAYS_KEPT
from authsvc.errors import InputRefused
from authsvc.manage.activity_view import ImageActivity, ImageUser, LicenseNames
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.lookup import find_app_of_image
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.tenancy.dates import parse_span
from authsvc.tenancy.pages import Page, page_size

MAX_OF_REPOSITORY = 20
"""Most accounts of one page of the users of a repository, since the versions of each are read."""

MAX_VERSIONS = 20
"""Most versions of one account in such a page."""

MAX_TAGS = 2_000
"""Most tags that one page of unused ones examines."""

UNUSED_FOR = "90d"
"""By default, a tag counts as unused when no license has pulled it for this long."""


@frozen(eq=False, repr=False)
class ImageUsers:
    """Lists the users of images of the actor's apps. Every method raises StoreUnavailable without the store.

    Attributes:
        stores: the records.
    """

    stores: Stores

    @permitted(Permission.ACTIVITY_IMAGE)
    async def show(
        self,
        actor: Actor,
        image: str,
        now: datetime,
        *,
        since: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> ImageActivity:
        """Return when an image was last pushed and pulled, and one page of the accounts that pulled it.

        Args:
            actor: the caller.
            image: a repository, a tag or a digest. A tag's users are those that pulled it by name, or its current
                digest.
            now: the time of the request.
            since: only accounts that pulled since then: a date, an instant or a span; None for everything that is
                stored.
            after: cursor of the previous page, or None.
            limit: most accounts, up to 100; for a repository a page has at most 20.

        Raises:
            InputRefused: something is not acceptable; ``after`` is not a cursor of this list.
            NotFound: there is no such app for the actor.
        """
        size, name = page_size(limit), ImageName.parse(image)
        first = now - DAYS_KEPT if since is None else max(parse_time(since, now, "since"), now - DAYS_KEPT)
        app = await find_app_of_image(self.stores, actor, name, proxied=True)
        whole = name.tag is None and name.digest is None
        history = await self._history(name)
        found = await self.stores.activity.pulls(
            history.image, first, now, after=after, limit=min(size, MAX_OF_REPOSITORY) if whole else size
        )
        names = await LicenseNames.of(self.stores, actor, (pull.subject for pull in found.items))
        users = [names.user(pull.subject, pull.at) for pull in found.items]
        if whole:
            users = await self._with_versions(app.slug, name.repository, users, now)
        return ImageActivity(history, tuple(users), found.next)

    async def _history(self, name: ImageName) -> ImageHistory:
        """Return the history of an image; the digest of a tag is added to its name."""
        (history,) = await self.stores.activity.histories([name])
        digest = None if name.tag is None else history.digest
        if digest is None:
            return history
        (history,) = await self.stores.activity.histories([evolve(name, digest=digest)])
        return history

    async def _with_versions(
        self, app: str, repository: str, users: Sequence[ImageUser], now: datetime
    ) -> list[ImageUser]:
        """Return the accounts with the versions of a repository that each has."""
        found = await self.stores.activity.accounts([(app, user.subject) for user in users], now)
        completed = []
        for user, account in zip(users, found, strict=True):
            uses = () if account is None else (one for one in account.uses if one.image.repository == repository)
            versions = versions_of(uses)
            more = len(versions) > MAX_VERSIONS or (account is not None and account.more_images)
            completed.append(evolve(user, versions=versions[:MAX_VERSIONS], more_versions=more))
        return completed

    @permitted(Permission.ACTIVITY_UNUSED)
    async def unused(
        self,
        actor: Actor,
        repository: str,
        now: datetime,
        *,
        unused_for: str = UNUSED_FOR,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[ImageHistory]:
        """Return one page of the tags of a repository that no license pulled for some time, the newest first.

        Args:
            actor: the caller.
            repository: full name.
            now: the time of the request.
            unused_for: a span such as ``90d``.
            after: cursor of the previous page, or None.
            limit: most tags, up to 100; a page may be short or empty even if there is a next one.

        Raises:
            InputRefused: something is not acceptable; ``after`` is not a cursor of this list.
            NotFound: there is no such app for the actor.
        """
        size, name = page_size(limit), ImageName.parse(repository, "repository")
        if name.tag is not None or name.digest is not None:
            raise InputRefused(
                f"{repository[:80]!r} names one image; name a repository", code="image_invalid", field="repository"
            )
        oldest = now - parse_span(unused_for, "unused_for", longest=DAYS_KEPT)
        await find_app_of_image(self.stores, actor, name, proxied=True)
        found: list[ImageHistory] = []
        examined, following = 0, after
        while not found and examined < MAX_TAGS:
            page = await self.stores.activity.tags(repository, after=following, limit=size)
            found = [tag for tag in page.items if tag.pulled_by_license is None or tag.pulled_by_license.at < oldest]
            examined += size
            following = page.next
            if following is None:
                break
        return Page(tuple(found), following)
