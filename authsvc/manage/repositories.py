"""Lists the repositories of an app, and how many customers run which version.

It never reads all tags of a repository, or all accounts that ever pulled from it: only as much as a page needs.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from attrs import frozen

from authsvc.activity.history import RunningLicenses
from authsvc.activity.image_name import ImageName
from authsvc.errors import InputRefused
from authsvc.images.index import RepositoryState
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.images import RUNS, ListedImage, listed_images
from authsvc.manage.lookup import find_app, find_app_of_image
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size

MAX_FIND = 200
"""Most characters of a search that are used."""

MAX_VERSIONS = 20
"""Most tags of which a summary of versions counts the customers."""


@frozen
class ListedRepository:
    """A repository in a list.

    Attributes:
        state: number of its tags, and as of when.
        newest: its newest tag, or None when that is not known.
        customers: number of those that pulled from it within 30 days.
        on_newest: number of those that pulled the newest tag.
        more: whether there may be more customers than were counted.
    """

    state: RepositoryState
    newest: ListedImage | None
    customers: int
    on_newest: int
    more: bool


@frozen
class RunningVersion:
    """The number of customers whose last pull was of a version.

    Attributes:
        tag: of the version; empty for other images of the repository.
        customers: number of customers.
    """

    tag: str
    customers: int


@frozen
class RunningVersions:
    """The versions that the customers of a repository run.

    Attributes:
        versions: the requested ones, in their order, and finally all others together.
        customers: number of those that pulled from the repository within 30 days; one may have several versions.
        more: whether there may be more than were counted.
    """

    versions: tuple[RunningVersion, ...]
    customers: int
    more: bool


@frozen(eq=False, repr=False)
class Repositories:
    """Lists repositories. Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stores: the records.
    """

    stores: Stores

    @permitted(Permission.IMAGE_REPOSITORIES)
    async def list(
        self,
        actor: Actor,
        app: str,
        now: datetime,
        *,
        find: str = "",
        after: str | None = None,
        limit: int = MAX_PAGE,
    ) -> Page[ListedRepository]:
        """Return one page of the repositories of an app that have tags, by name.

        Args:
            actor: the caller.
            app: slug.
            now: the time of the request.
            find: a part of the names after the slug; with it a page may be short or empty even if there is a next one.
            after: cursor of the previous page, or None.
            limit: most items.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such app for the actor.
        """
        size, slug = page_size(limit), (await find_app(self.stores, actor, app)).record.slug
        page = await self.stores.repositories.page(slug, find[:MAX_FIND], after, size)
        tags = [row.newest for row in page.items if row.newest is not None]
        newest = {one.image.repository: one for one in await listed_images(self.stores, tags)}
        asked = [ImageName(row.state.name) for row in page.items]
        asked += [ImageName(tag.repository, tag.tag, tag.digest) for tag in tags]
        running = await self.stores.activity.running(slug, asked, now - RUNS, now)
        counts = await self._customers(actor, running)
        on_newest = {tag.repository: count for tag, count in zip(tags, counts[len(page.items) :], strict=True)}
        return Page(
            tuple(
                ListedRepository(
                    row.state,
                    newest.get(row.state.name),
                    len(customers),
                    len(on_newest.get(row.state.name, ())),
                    running.more,
                )
                for row, customers in zip(page.items, counts, strict=False)
            ),
            page.next,
        )

    @permitted(Permission.ACTIVITY_VERSIONS)
    async def versions(
        self, actor: Actor, repository: str, tags: Sequence[tuple[str, str]], now: datetime
    ) -> RunningVersions:
        """Return how many customers run each of some versions: a license counts with the one that it pulled last.

        Args:
            actor: the caller.
            repository: full name.
            tags: with their digests, such as one page of a list; the first :data:`MAX_VERSIONS` count.
            now: the time of the request.

        Raises:
            InputRefused: it is not a repository.
            NotFound: there is no such app for the actor.
        """
        name = ImageName.parse(repository, "repository")
        if name.tag is not None or name.digest is not None:
            raise InputRefused(f"{repository[:80]!r} is not a repository", code="image_invalid", field="repository")
        app = await find_app_of_image(self.stores, actor, name, "repository", proxied=True)
        some = tags[:MAX_VERSIONS]
        asked = [name, *(ImageName(name.repository, tag, digest) for tag, digest in some)]
        running = await self.stores.activity.running(app.slug, asked, now - RUNS, now)
        everyone, *of_tags = running.pulls
        last: dict[str, tuple[datetime, int]] = {}
        for number, pulls in reversed(list(enumerate(of_tags))):
            for subject, at in pulls.items():
                last[subject] = max(last.get(subject, (at, number)), (at, number), key=lambda one: (one[0], -one[1]))
        by_tag = [{subject: at for subject, at in everyone.items() if last.get(subject, ("", -1))[1] == number}
                  for number in (*range(len(some)), -1)]  # fmt: skip
        counts = await self._customers(actor, RunningLicenses((everyone, *by_tag), running.more))
        names = [*(tag for tag, _ in some), ""]
        versions = tuple(RunningVersion(tag, len(count)) for tag, count in zip(names, counts[1:], strict=True))
        return RunningVersions(versions, len(counts[0]), running.more)

    async def _customers(self, actor: Actor, running: RunningLicenses) -> Sequence[frozenset[str]]:
        """Return the customers of the licenses of each image, as keys that identify customers."""
        subjects = sorted({subject for pulls in running.pulls for subject in pulls})
        found = await asyncio.gather(*(self.stores.licenses.get(one.partition(":")[2]) for one in subjects))
        known: Mapping[str, str] = {
            subject: one.record.customer_id or one.record.customer
            for subject, one in zip(subjects, found, strict=True)
            if one is not None and actor.sees(one.record.team, one.record.app)
        }
        return [frozenset(_known(pulls, known)) for pulls in running.pulls]


def _known(subjects: Iterable[str], known: Mapping[str, str]) -> Iterable[str]:
    return (known[subject] for subject in subjects if subject in known)
