"""Who uses a linked registry: the licenses in force whose patterns name it, and when each pulled through it."""

from datetime import datetime

from attrs import frozen

from authsvc.manage.confirmation import EndedAccess, counted, mark_of
from authsvc.manage.stores import Stores
from authsvc.policy import locate
from authsvc.tenancy.pages import MAX_PAGE
from authsvc.tenancy.patterns import PROXY
from authsvc.tenancy.records import License
from authsvc.upstreams.link import UpstreamLink


@frozen
class UpstreamLicense:
    """A license whose patterns name a link.

    Attributes:
        license: the record.
        last_pull: when it last pulled through the link, as far as that is remembered, or None.
    """

    license: License
    last_pull: datetime | None


@frozen
class UpstreamUse:
    """Who uses a link.

    Attributes:
        total: how many licenses in force have a pattern for images of the link.
        licenses: the first of them, at most :data:`authsvc.tenancy.pages.MAX_PAGE`.
        ends: what unlinking would end; None if nothing.
    """

    total: int
    licenses: tuple[UpstreamLicense, ...]
    ends: EndedAccess | None


async def licenses_naming(stores: Stores, link: UpstreamLink, now: datetime) -> tuple[int, list[License]]:
    """Return how many licenses in force have a pattern for images of the link, and the first of them.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    prefix = f"{PROXY}/{link.name}/"
    total = 0
    first: list[License] = []
    async for page in stores.licenses.pages_of_app(link.app):
        for license_ in page:
            named = any(pattern.startswith(prefix) for pattern in license_.repositories or ())
            if named and license_.state(now) == "active":
                total += 1
                if len(first) < MAX_PAGE:
                    first.append(license_)
    return total, first


def ended_by_unlinking(link: UpstreamLink, licenses: int) -> EndedAccess | None:
    """Return what has to be confirmed before a link ends; None if no license names it."""
    if not licenses:
        return None
    sentence = (
        f"unlinking the upstream {link.name} of the app {link.app} ends access to its images for "
        f"{counted(licenses, 'license')}"
    )
    return EndedAccess(sentence, mark_of(link.id, licenses))


async def use_of_link(stores: Stores, link: UpstreamLink, now: datetime) -> UpstreamUse:
    """Return who uses a link.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    total, licenses = await licenses_naming(stores, link, now)
    found = await stores.activity.accounts([(one.app, one.subject) for one in licenses], now)
    shown = []
    for license_, account in zip(licenses, found, strict=True):
        uses = () if account is None else account.uses
        pulls = [one.last_pull for one in uses if one.last_pull is not None and _is_of(link, one.image.repository)]
        shown.append(UpstreamLicense(license_, max(pulls, default=None)))
    return UpstreamUse(total, tuple(shown), ended_by_unlinking(link, total))


def _is_of(link: UpstreamLink, repository: str) -> bool:
    location = locate(repository)
    return location is not None and (location.app, location.upstream) == (link.app, link.name)
