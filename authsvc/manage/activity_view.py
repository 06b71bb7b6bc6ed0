"""Activity as it is shown to an actor: rows and summaries with the customers of the licenses."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

from attrs import frozen

from authsvc.activity.activity_filter import Resolution
from authsvc.activity.history import ActivityRow, ImageHistory, Version
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import ActivityKind
from authsvc.manage.actor import Actor
from authsvc.manage.stores import Stores
from authsvc.manage.subject_names import names_of
from authsvc.tenancy.records import License
from authsvc.tenancy.subjects import LICENSE

REGISTRY, TOKEN = "registry", "token"
"""Sources of rows: the registry's events, or decisions on tokens."""


@frozen
class ActivityLine:
    """One row of a list of activity. None is unknown.

    Attributes:
        period: beginning of the hour or day, UTC.
        resolution: ``hour`` or ``day``.
        app: slug.
        repository: None for several images that are counted together, and for decisions of many accounts together.
        tag: under which it was requested; None if by digest, and in rows of bytes and of tokens.
        digest: None in rows of bytes, of tokens and of deleted tags.
        action: ``pull``, ``head``, ``push`` or ``delete``.
        subject: of one record, or None.
        license: id, if it is a license.
        customer: name on that license.
        customer_id: of the license's customer.
        count: how often; 0 in rows of bytes.
        bytes: size of the requested blobs; None in all other rows.
        first_at: time of the first one in the period.
        last_at: time of the last one.
        source: :data:`REGISTRY` or :data:`TOKEN`.
        hits: how often the cache of linked registries had the image, or in rows of bytes how many blobs; None for other
            images.
        misses: how often it did not.
        stale: how often the last known image of the tag was served, because the registry could not be reached.
        name: of the member or service account, if it still exists; None for a license, which has a customer.
    """

    period: datetime
    resolution: Resolution
    app: str
    repository: str | None
    tag: str | None
    digest: str | None
    action: str
    subject: str | None
    license: str | None
    customer: str | None
    customer_id: str | None
    count: int
    bytes: int | None
    first_at: datetime
    last_at: datetime
    source: str
    hits: int | None = None
    misses: int | None = None
    stale: int | None = None
    name: str | None = None


@frozen
class LicenseUse:
    """The activity of a license.

    Attributes:
        license: id.
        app: slug.
        customer: name on the license.
        customer_id: of its customer, or None.
        first_pull: ever, or None.
        last_pull: ever, or None.
        pulls: how often since :attr:`ActivitySummary.since`.
        bytes: of downloads, since then.
        networks: number of networks of its clients since then.
    """

    license: str
    app: str
    customer: str
    customer_id: str | None
    first_pull: datetime | None
    last_pull: datetime | None
    pulls: int
    bytes: int
    networks: int


@frozen
class ActivitySummary:
    """The activity of a license, or of all licenses of a customer.

    Attributes:
        since: since when pulls, bytes, versions and networks are counted; None without activity.
        licenses: with the activity of each, including those without any.
        networks: of all licenses together, in order.
        versions: one page, the last used first.
        next: cursor of the next page of versions, or None.
        more_licenses: whether there are further licenses, which are not included here.
        more_networks: whether there are more networks than are stored.
        more_versions: whether there are more versions than are stored.
    """

    since: datetime | None
    licenses: tuple[LicenseUse, ...]
    networks: tuple[str, ...]
    versions: tuple[Version, ...]
    next: str | None
    more_licenses: bool = False
    more_networks: bool = False
    more_versions: bool = False

    @property
    def first_pull(self) -> datetime | None:
        """Ever, or None."""
        return min((one.first_pull for one in self.licenses if one.first_pull is not None), default=None)

    @property
    def last_pull(self) -> datetime | None:
        """Ever, or None."""
        return max((one.last_pull for one in self.licenses if one.last_pull is not None), default=None)


@frozen
class ImageUser:
    """An account that pulled an image.

    Attributes:
        subject: of one record.
        license: id, if it is a license.
        customer: name on that license.
        customer_id: of its customer.
        last_pull: of the image.
        versions: of the image that it has, the last used first; None when a tag or digest was asked for.
        more_versions: whether there are more.
        name: of the member or service account, if it still exists; None for a license, which has a customer.
    """

    subject: str
    license: str | None
    customer: str | None
    customer_id: str | None
    last_pull: datetime
    versions: tuple[Version, ...] | None = None
    more_versions: bool = False
    name: str | None = None


@frozen
class ImageActivity:
    """The accounts that have an image.

    Attributes:
        history: last push and pulls; for a tag including those of its digest.
        users: one page.
        next: cursor of the next page, or None.
    """

    history: ImageHistory
    users: tuple[ImageUser, ...]
    next: str | None


@frozen(eq=False, repr=False)
class LicenseNames:
    """The licenses of some subjects, if the actor sees them, and the names of other subjects.

    Attributes:
        by_subject: each license with its subject.
        names: of members and service accounts, by subject.
    """

    by_subject: Mapping[str, License]
    names: Mapping[str, str]

    @classmethod
    async def of(cls, stores: Stores, actor: Actor, subjects: Iterable[str | None]) -> "LicenseNames":
        """Read the records of some subjects, with a few commands.

        Raises:
            StoreUnavailable: the store does not answer.
        """
        known = {subject for subject in subjects if subject is not None}
        named = sorted(subject for subject in known if subject.startswith(LICENSE))
        found = await asyncio.gather(*(stores.licenses.get(subject.removeprefix(LICENSE)) for subject in named))
        licenses = (one.record for one in found if one is not None)
        names = await names_of(stores, sorted(known.difference(named)))
        return cls({one.subject: one for one in licenses if actor.sees(one.team, one.app)}, names)

    def line(self, row: ActivityRow, resolution: Resolution, source: str) -> ActivityLine:
        """Return a row with the customer of its subject."""
        license_ = self.by_subject.get(row.subject or "")
        image = row.image or ImageName("")
        return ActivityLine(
            period=row.start,
            resolution=resolution,
            app=row.app,
            repository=image.repository or None,
            tag=image.tag,
            digest=image.digest,
            action=ActivityKind.PULL if row.kind is ActivityKind.DOWNLOAD else row.kind,
            subject=row.subject,
            license=None if license_ is None else license_.id,
            customer=None if license_ is None else license_.customer,
            customer_id=None if license_ is None else license_.customer_id,
            count=row.count,
            bytes=row.size,
            first_at=row.first_at,
            last_at=row.last_at,
            source=source,
            hits=row.hits,
            misses=row.misses,
            stale=row.stale,
            name=self.names.get(row.subject or ""),
        )

    def user(self, subject: str, last_pull: datetime) -> ImageUser:
        """Return an account that pulled an image."""
        license_ = self.by_subject.get(subject)
        return ImageUser(
            subject,
            None if license_ is None else license_.id,
            None if license_ is None else license_.customer,
            None if license_ is None else license_.customer_id,
            last_pull,
            name=self.names.get(subject),
        )
