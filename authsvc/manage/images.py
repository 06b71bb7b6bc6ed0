"""Lists and shows the images in the registry, with their last pushes and pulls.

Lists come from the index of images, a copy of the registry's content with the time of that copy. The registry is asked
only for images that are not in the index, such as a tag that was just pushed.
"""

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import field, frozen

from authsvc.activity.history import ImageHistory
from authsvc.activity.image_name import ImageName
from authsvc.errors import InputRefused, RegistryUnavailable
from authsvc.fair_share import FairShare
from authsvc.images.index import AppImages, CrawlState, ImageScope, IndexedTag, RepositoryState
from authsvc.images.summary import BlobList, DescribedImage
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.lookup import find_app, find_app_of_image, no_image
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.manage.subject_names import names_of
from authsvc.spec.reference import TAG
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size
from authsvc.tenancy.subjects import split_subject

_TAG = re.compile(TAG, re.ASCII)

RUNS = timedelta(days=30)
"""A customer that pulled an image within this time counts as running it."""

MAX_TAGS = 100
"""Most tags of one digest that are shown."""

MAX_CUSTOMERS = 100
"""Most licenses that pulled an image that are shown."""

AT_ONCE, PER_TEAM, MAX_WAITING = 8, 4, 100
"""Most requests to the registry at one time, most of them for one team, and most that wait for one team."""

ASK_DEADLINE = 20.0
"""Seconds in which the registry must answer all requests for one image: nginx allows a request 30 seconds."""

TOO_SLOW = "the registry answers too slowly; try again later"

TOO_MANY = "too many images of your team are being looked up; try again in a few seconds"


@frozen
class ListedImage:
    """A tag, or a digest, with what is known about it.

    Attributes:
        image: from the index: repository, tag (empty for a requested digest), digest and summary.
        history: last push and pull; each is None when it is unknown.
        names: of the subjects in it, if they have records.
    """

    image: IndexedTag
    history: ImageHistory
    names: dict[str, str] = field(factory=dict, hash=False)


@frozen
class RunningCustomer:
    """A license with which an image was pulled recently.

    Attributes:
        license: its id.
        customer: as written into the file; None when the license no longer exists.
        pulled_at: the last time.
        customer_id: of the customer's record, or None.
    """

    license: str
    customer: str | None
    pulled_at: datetime
    customer_id: str | None = None


@frozen
class ShownImage:
    """Everything about one image.

    Attributes:
        listed: as in a list.
        blobs: of each platform, in the order of its platforms; None when they are not known.
        tags: further names of the same digest, the first :data:`MAX_TAGS`.
        customers: that pulled it within :data:`RUNS`, according to the registry's events.
        from_registry: whether the registry was asked now, because the index does not have it.
    """

    listed: ListedImage
    blobs: tuple[BlobList, ...] | None
    tags: tuple[str, ...]
    customers: tuple[RunningCustomer, ...]
    from_registry: bool = False


@frozen
class ShownRepository:
    """A repository as a whole.

    Attributes:
        state: number of tags, and as of when.
        history: last push and pull of any of its images; each is None when it is unknown.
        names: of the subjects in it.
        from_registry: whether the registry was asked right now.
    """

    state: RepositoryState
    history: ImageHistory
    names: dict[str, str] = field(factory=dict, hash=False)
    from_registry: bool = False


class RegistryImages(Protocol):
    """Asks our registry. Every method raises RegistryUnavailable when it gives no usable answer."""

    async def find(self, repository: str, reference: str) -> DescribedImage | None:
        """Return the image under a tag or digest; None without one."""
        ...

    async def count_tags(self, repository: str) -> int:
        """Return the number of tags of a repository; 0 when it does not exist."""
        ...


@frozen(eq=False, repr=False)
class Images:
    """Lists and shows images. Every method raises StoreUnavailable when the store does not answer.

    Attributes:
        stores: the records.
        registry: ours.
        service: host and port of it, which may stand before a name.
    """

    stores: Stores
    registry: RegistryImages
    service: str
    _share: FairShare = field(init=False, factory=lambda: FairShare(AT_ONCE, PER_TEAM, MAX_WAITING, TOO_MANY), eq=False)

    @permitted(Permission.IMAGE_LIST)
    async def list(
        self,
        actor: Actor,
        *,
        app: str | None = None,
        repository: str | None = None,
        tag: str = "",
        after: str | None = None,
        limit: int = MAX_PAGE,
    ) -> Page[ListedImage]:
        """Return one page of the tags that the actor sees: of an app, of a repository, or of all apps.

        Args:
            actor: the caller.
            app: slug of the only app.
            repository: the only repository.
            tag: prefix of its tags; it is used only with ``repository``.
            after: cursor of the previous page, or None.
            limit: most items.

        Raises:
            InputRefused: ``after`` is not a cursor of this list, or a name cannot be one.
            NotFound: there is no such app or repository for the actor.
        """
        size = page_size(limit)
        slugs = None if app is None else frozenset({(await find_app(self.stores, actor, app)).record.slug})
        if repository is not None:
            image = ImageName.parse(without_host(repository, self.service), "repository")
            if image.tag is not None or image.digest is not None:
                raise no_image(image, "repository")
            found = await find_app_of_image(self.stores, actor, image, "repository")
            state = await self.stores.images.repository(image.repository, found.slug)
            if state is None or (slugs is not None and found.slug not in slugs):
                raise no_image(image, "repository")
            scope = ImageScope(repository=image.repository, tag=_tag_prefix(tag))
        else:
            scope = ImageScope(actor.team, slugs if slugs is not None else actor.apps)
        page = await self.stores.images.page(scope, after, size)
        return Page(await listed_images(self.stores, page.items), page.next)

    @permitted(Permission.IMAGE_SHOW)
    async def show(self, actor: Actor, name: str, now: datetime) -> ShownImage:
        """Return an image.

        Raises:
            InputRefused: ``name`` is not that of an image, or has neither tag nor digest.
            NotFound: there is no such image for the actor.
            RegistryUnavailable: the index does not have it, and the registry does not answer.
            Overloaded: too many such requests of the team wait already.
        """
        image = ImageName.parse(without_host(name, self.service))
        if image.tag is None and image.digest is None:
            raise InputRefused(
                f"{name[:80]!r} names a whole repository; name an image as REPOSITORY:TAG or REPOSITORY@DIGEST",
                code="image_invalid",
                field="image",
            )
        app = await find_app_of_image(self.stores, actor, image)
        found, fresh = await self._find(actor, image, app.slug)
        (listed,) = await listed_images(self.stores, [found])
        blobs = fresh.blobs if fresh is not None else await self.stores.images.blobs(app.slug, found.digest)
        tags = await self.stores.images.tags_of(image.repository, found.digest, MAX_TAGS)
        known = ImageName(image.repository, image.tag, found.digest)
        customers = await self._customers(known, now)
        return ShownImage(listed, blobs, tuple(tags), customers, from_registry=fresh is not None)

    @permitted(Permission.IMAGE_REPOSITORY)
    async def repository(self, actor: Actor, name: str, now: datetime) -> ShownRepository:
        """Return a repository as a whole.

        Raises:
            InputRefused: ``name`` is not that of a repository.
            NotFound: there is no such repository for the actor.
            RegistryUnavailable: the index does not have it, and the registry does not answer.
            Overloaded: too many such requests of the team wait already.
        """
        image = ImageName.parse(without_host(name, self.service))
        app = await find_app_of_image(self.stores, actor, image)
        if image.tag is not None or image.digest is not None:
            raise no_image(image)
        state, fresh = await self.stores.images.repository(image.repository, app.slug), False
        if state is None:
            async with self._share.slot(actor.team or ""):
                tags = await self.registry.count_tags(image.repository)
            if not tags:
                raise no_image(image)
            state, fresh = RepositoryState(image.repository, app.slug, tags, now), True
        (history,) = await self.stores.activity.histories([image])
        names = await names_of(self.stores, _subjects(history))
        return ShownRepository(state, history, names, from_registry=fresh)

    @permitted(Permission.IMAGE_SUM)
    async def sum(self, actor: Actor, app: str) -> tuple[AppImages | None, CrawlState]:
        """Return the totals of the images of an app, or None when they are not known yet, and the age of the index.

        Raises:
            NotFound: there is no such app for the actor.
        """
        slug = (await find_app(self.stores, actor, app)).record.slug
        return await self.stores.images.app(slug), await self.stores.images.crawl()

    async def _find(self, actor: Actor, image: ImageName, app: str) -> tuple[IndexedTag, DescribedImage | None]:
        """Return an image from the index, or else from the registry."""
        store = self.stores.images
        found = None
        if image.tag is not None:
            found = await store.tag(image.repository, image.tag)
        elif image.digest is not None and await store.tags_of(image.repository, image.digest, 1):
            found = await store.described(image.repository, image.digest)
        if found is not None and found.summary is not None:
            return found, None
        try:
            described = await self._ask(actor, image.repository, image.digest or image.tag or "")
        except RegistryUnavailable:
            if found is None:
                raise
            return found, None
        if described is None:
            raise no_image(image)
        summary = described.summary
        known = await store.described(image.repository, summary.digest)
        evidence = known.evidence.union(summary.evidence)
        return IndexedTag(image.repository, image.tag or "", summary.digest, summary, evidence), described

    async def _ask(self, actor: Actor, repository: str, reference: str) -> DescribedImage | None:
        async with self._share.slot(actor.team or ""):
            try:
                async with asyncio.timeout(ASK_DEADLINE):
                    return await self.registry.find(repository, reference)
            except TimeoutError as late:
                raise RegistryUnavailable(TOO_SLOW) from late

    async def _customers(self, image: ImageName, now: datetime) -> tuple[RunningCustomer, ...]:
        """Return the licenses with which an image was pulled recently, the last first."""
        found, after = list[RunningCustomer](), None
        while True:
            page = await self.stores.activity.pulls(image, now - RUNS, now, after=after, limit=MAX_PAGE)
            ids = [(one.subject.partition(":")[2], one.at) for one in page.items if one.subject.startswith("license:")]
            records = await asyncio.gather(*(self.stores.licenses.get(license_id) for license_id, _ in ids))
            for (license_id, at), license_ in zip(ids, records, strict=True):
                record = None if license_ is None else license_.record
                found.append(
                    RunningCustomer(license_id, None, at)
                    if record is None
                    else RunningCustomer(license_id, record.customer, at, record.customer_id)
                )
            after = page.next
            if after is None or len(found) >= MAX_CUSTOMERS:
                return tuple(sorted(found, key=lambda one: one.pulled_at, reverse=True)[:MAX_CUSTOMERS])


async def listed_images(stores: Stores, tags: Sequence[IndexedTag]) -> tuple[ListedImage, ...]:
    """Return tags with their histories.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    histories = await stores.activity.histories(
        [ImageName(one.repository, one.tag or None, one.digest) for one in tags]
    )
    names = await names_of(stores, [subject for one in histories for subject in _subjects(one)])
    return tuple(
        ListedImage(one, history, {subject: names[subject] for subject in _parts(history) if subject in names})
        for one, history in zip(tags, histories, strict=True)
    )


def is_repository(name: str, service: str) -> bool:
    """Whether a name is that of a repository, and not of an image in it.

    Raises:
        InputRefused: it is neither.
    """
    image = ImageName.parse(without_host(name, service))
    return image.tag is None and image.digest is None


def _tag_prefix(text: str) -> str:
    """Return the prefix of tags.

    Raises:
        InputRefused: no tag can have this prefix.
    """
    if text and not _TAG.fullmatch(text):
        raise InputRefused(f"no tag begins with {text[:80]!r}", code="image_invalid", field="tag")
    return text


def without_host(name: str, service: str) -> str:
    """Return a name without the registry's own host before it, as people copy it from a command of docker."""
    return name.removeprefix(f"{service}/")


def _subjects(history: ImageHistory) -> list[str | None]:
    return [use.subject for use in (history.pushed, history.pulled, history.pulled_by_license) if use is not None]


def _parts(history: ImageHistory) -> list[str]:
    return [part for subject in _subjects(history) if subject is not None for part in split_subject(subject)]
