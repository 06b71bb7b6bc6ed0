"""The access that deleting an image would end: the sentence to be confirmed, and its mark."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from attrs import frozen

from authsvc.activity.image_name import ImageName
from authsvc.counts import counted
from authsvc.images.manifest_use import ContainingIndex
from authsvc.manage.confirmation import EndedAccess, mark_of
from authsvc.manage.stores import Stores
from authsvc.registries.deletion import DeletionOutcome
from authsvc.tenancy.pages import MAX_PAGE

LATELY = timedelta(days=30)
"""Customers that pulled an image within this time are named before it is deleted."""

MAX_NAMED = 50
"""Most tags, indexes and customers, each, that a sentence names; it counts the others."""


@frozen
class ImageCustomer:
    """A customer who pulled an image recently.

    Attributes:
        key: identifies the customer: the id of the record, else the name on the license.
        name: as written on the license.
    """

    key: str
    name: str


@frozen
class DeletionPreview:
    """The effect of a deletion, as of now.

    Attributes:
        image: as the caller named it.
        digest: of its manifest; None for a tag whose manifest is gone.
        tags: that would be deleted.
        kept: other tags of the manifest, which would stay.
        all_kept: whether ``kept`` has all of them.
        deletes_manifest: whether the manifest would be deleted; None when that is determined only during the deletion.
        indexes: names of indexes that would break.
        customers: names of those who pulled it within :data:`LATELY`.
        ends: what has to be confirmed, or None.
    """

    image: ImageName
    digest: str | None
    tags: tuple[str, ...]
    kept: tuple[str, ...]
    all_kept: bool
    deletes_manifest: bool | None
    indexes: tuple[str, ...]
    customers: tuple[str, ...]
    ends: EndedAccess | None


def preview_of(
    image: ImageName, outcome: DeletionOutcome, customers: Sequence[ImageCustomer], ends: EndedAccess | None
) -> DeletionPreview:
    """Return the preview of a deletion for the user."""
    return DeletionPreview(
        image,
        outcome.digest,
        outcome.tags,
        outcome.kept,
        outcome.all_kept,
        outcome.deletes_manifest,
        tuple(_index_name(image, index) for index in outcome.indexes),
        tuple(customer.name for customer in customers),
        ends,
    )


async def customers_of_image(stores: Stores, image: ImageName, now: datetime) -> tuple[ImageCustomer, ...]:
    """Return every customer with a license that pulled an image within :data:`LATELY`, by name.

    According to the registry's events. docker resolves a tag and pulls its digest, so for a tag with a digest, pulls of
    either count.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    found: dict[str, ImageCustomer] = {}
    after: str | None = None
    while True:
        page = await stores.activity.pulls(image, now - LATELY, now, after=after, limit=MAX_PAGE)
        ids = [one.subject.partition(":")[2] for one in page.items if one.subject.startswith("license:")]
        licenses = await asyncio.gather(*(stores.licenses.get(license_id) for license_id in ids))
        for license_ in (one.record for one in licenses if one is not None):
            key = license_.customer_id or license_.customer
            found[key] = ImageCustomer(key, license_.customer)
        after = page.next
        if after is None:
            return tuple(sorted(found.values(), key=lambda one: (one.name, one.key)))


def ended_access(
    image: ImageName, outcome: DeletionOutcome, customers: Sequence[ImageCustomer], app: str
) -> EndedAccess | None:
    """Return what has to be confirmed before an image is deleted; None if nothing has to be.

    The deletion of a digest must always be confirmed, that of a tag if customers pulled it recently, and that of a
    placeholder that a deletion left behind never, because it cannot be run. Confirming that the image is deleted with
    the tag, unless something else needs it, confirms both.

    Args:
        image: as the caller named it.
        outcome: of the deletion.
        customers: that pulled it recently.
        app: slug of its app.
    """
    if outcome.tag is not None and (outcome.is_leftover or not customers):
        return None
    sentence = f"deleting {image} {'; '.join([*_what_goes(image, outcome), _who_pulled(customers, app)])}"
    either = () if outcome.tag is None else (_mark(image, outcome, customers, deletes_manifest=None),)
    return EndedAccess(sentence, _mark(image, outcome, customers, outcome.deletes_manifest), either)


def _mark(
    image: ImageName,
    outcome: DeletionOutcome,
    customers: Sequence[ImageCustomer],
    deletes_manifest: bool | None,  # noqa: FBT001
) -> str:
    return mark_of(
        *(str(image), outcome.digest, deletes_manifest, list(outcome.tags)),
        [[index.digest, list(index.tags)] for index in outcome.indexes],
        [customer.key for customer in customers],
    )


def _what_goes(image: ImageName, outcome: DeletionOutcome) -> Iterable[str]:
    if outcome.tag is not None:
        yield {
            True: "removes the image",
            False: "removes this tag; its other tags and its digest stay",
            None: "removes this tag, and the image with it unless something else needs it",
        }[outcome.deletes_manifest]
        return
    tags = [f":{tag}" for tag in outcome.tags]
    yield f"removes {counted(len(tags), 'tag')}: {listed(tags)}" if tags else "removes an image without tags"
    if outcome.indexes:
        names = [_index_name(image, index) for index in outcome.indexes]
        yield f"breaks {counted(len(names), 'index', 'indexes')} that it is a part of: {listed(names)}"


def _index_name(image: ImageName, index: ContainingIndex) -> str:
    return f"{image.repository}:{index.tags[0]}" if index.tags else f"{image.repository}@{index.digest}"


def _who_pulled(customers: Sequence[ImageCustomer], app: str) -> str:
    if not customers:
        return f"no pull by a customer of {app} is recorded in the last {LATELY.days} days"
    names = listed([customer.name for customer in customers])
    return f"{counted(len(customers), 'customer')} pulled it in the last {LATELY.days} days: {names}"


def listed(names: Sequence[str]) -> str:
    """Return names for the user: the first :data:`MAX_NAMED`, and the number of the others."""
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")
