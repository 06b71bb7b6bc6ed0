"""The users of a linked registry: active licenses whose patterns name it, and when each pulled through it."""

from datetime import datetime

from attrs import frozen

from authsvc.counts import counted
from authsvc.manage.confirmation import EndedAccess, mark_of
from authsvc.manage.license_use import licenses_not_ended
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
        last_pull: when it last pulled through the link, if that is still stored, or None.
    """

    license: License
    last_pull: datetime | None


@frozen
class UpstreamUse:
    """The users of a link.

    Attributes:
        total: number of active licenses with a pattern for images of the link, among the examined ones.
        licenses: the first of them, at most :data:`authsvc.tenancy.pages.MAX_PAGE`.
        all_examined: whether every license of the app was examined.
        examined: number of examined licenses.
        ends: what unlinking would end; None if nothing.
    """

    total: int
    licenses: tuple[UpstreamLicense, ...]
    all_examined: bool
    examined: int
    ends: EndedAccess | None


@frozen
class LinkLicenses:
    """The active licenses with a pattern for images of a link, among the examined ones.

    Attributes:
        licenses: by end.
        all_examined: whether every license of the app was looked at.
        examined: how many were.
    """

    licenses: tuple[License, ...]
    all_examined: bool
    examined: int


async def licenses_naming(stores: Stores, link: UpstreamLink, now: datetime, most: int) -> LinkLicenses:
    """Return the active licenses with a pattern for images of the link, among the first ``most`` of its app.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    prefix = f"{PROXY}/{link.name}/"
    found = await licenses_not_ended(stores, link.app, now, most)
    naming = (
        license_
        for license_ in found.examined
        if any(pattern.startswith(prefix) for pattern in license_.repositories or ())
        and license_.state(now) == "active"
    )
    return LinkLicenses(tuple(naming), found.all_examined, len(found.examined))


def ended_by_unlinking(link: UpstreamLink, naming: LinkLicenses) -> EndedAccess | None:
    """Return what has to be confirmed before a link ends; None if no license names it, and all were examined."""
    number = len(naming.licenses)
    if naming.all_examined and not number:
        return None
    ends = f"unlinking the upstream {link.name} of the app {link.app} ends access to its images for "
    sentence = f"{ends}{counted(number, 'license')}"
    if not naming.all_examined:
        sentence = (
            f"{ends}{counted(number, 'license')} of the {naming.examined:,} that were looked at; the app has more "
            "licenses, which may name it too"
        )
    return EndedAccess(sentence, mark_of(link.id, sentence))


async def use_of_link(stores: Stores, link: UpstreamLink, now: datetime, most: int) -> UpstreamUse:
    """Return the users of a link, among the first ``most`` licenses of its app.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    naming = await licenses_naming(stores, link, now, most)
    licenses = naming.licenses[:MAX_PAGE]
    found = await stores.activity.accounts([(one.app, one.subject) for one in licenses], now)
    shown = []
    for license_, account in zip(licenses, found, strict=True):
        uses = () if account is None else account.uses
        pulls = [one.last_pull for one in uses if one.last_pull is not None and _is_of(link, one.image.repository)]
        shown.append(UpstreamLicense(license_, max(pulls, default=None)))
    ends = ended_by_unlinking(link, naming)
    return UpstreamUse(len(naming.licenses), tuple(shown), naming.all_examined, naming.examined, ends)


def _is_of(link: UpstreamLink, repository: str) -> bool:
    location = locate(repository)
    return location is not None and (location.app, location.upstream) == (link.app, link.name)
