"""The recorded activity of images and accounts, as it is read."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from attrs import frozen

from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import ActivityKind

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class LastUse:
    """The latest push or pull of an image, or when it was found.

    Attributes:
        at: to the millisecond.
        subject: who did it; None if the event had no subject.
        digest: of the tag at that time; None if that is not known.
    """

    at: datetime
    subject: str | None
    digest: str | None = None


@frozen
class ImageHistory:
    """The known activity of one repository, tag or digest. None is unknown: events may be lost, or predate records.

    Attributes:
        image: its name.
        pushed: the last push.
        pulled: the last pull by any account; for a tag also that of the digest in its name, because docker and
            containerd resolve a tag and pull by digest.
        pulled_by_license: the last pull by a license, in the same way.
        found: what a crawl of the registry found under the name, and when first, if no push of it is known.
        deleted_at: the last delete, if nothing was pushed or found since.
        is_part: whether it is a manifest of an index: one of several platforms, or an attestation.
    """

    image: ImageName
    pushed: LastUse | None = None
    pulled: LastUse | None = None
    pulled_by_license: LastUse | None = None
    found: LastUse | None = None
    deleted_at: datetime | None = None
    is_part: bool = False

    @property
    def digest(self) -> str | None:
        """The digest of the name, according to its latest push, pull or crawl."""
        if self.image.digest is not None:
            return self.image.digest
        known = [use for use in (self.pushed, self.pulled, self.found) if use is not None]
        newest = max(known, key=lambda use: use.at, default=None)
        return None if newest is None else newest.digest


@frozen
class ImagePull:
    """The last pull of an image by one account.

    Attributes:
        subject: of one record.
        at: to the second.
    """

    subject: str
    at: datetime


@frozen
class RunningLicenses:
    """The licenses that recently pulled each of some images.

    Attributes:
        pulls: of each image, in order, the last pull by each license, by subject.
        more: whether the app has so many accounts that not all were examined, so that there may be further licenses.
    """

    pulls: tuple[Mapping[str, datetime], ...]
    more: bool


@frozen
class ActivityRow:
    """The activity of one account with one image in one hour or day.

    Attributes:
        start: of the hour or day.
        app: slug.
        image: None for several images that are counted together, because the account used too many; for a download the
            repository.
        kind: of the activity.
        subject: of one record; None if the token named none, or for several subjects.
        count: how often; 0 for downloads, because they are parts of pulls.
        size: bytes of downloads; None for other kinds, which are not measured.
        first_at: time of the first one, to the second.
        last_at: time of the last one.
        hits: how often the cache of linked registries had the image, or for downloads how many blobs; None for other
            images.
        misses: how often it did not.
        stale: how often the last known image of the tag was served, because the registry could not be reached.
    """

    start: datetime
    app: str
    image: ImageName | None
    kind: ActivityKind
    subject: str | None
    count: int
    size: int | None
    first_at: datetime
    last_at: datetime
    hits: int | None = None
    misses: int | None = None
    stale: int | None = None


@frozen
class ImageUse:
    """The use of one image by one account.

    Attributes:
        image: a repository with a tag and a digest, or with a digest alone.
        first_pull: or None.
        last_pull: or None.
        last_head: when it last requested the digest of the tag, or None.
        pulls: how often it got the manifest.
        is_part: whether the image is a manifest of an index that was requested by its digest.
    """

    image: ImageName
    first_pull: datetime | None
    last_pull: datetime | None
    last_head: datetime | None
    pulls: int
    is_part: bool = False


@frozen
class Version:
    """A version of an image that an account, or several accounts together, have pulled.

    Attributes:
        repository: full name.
        digest: of the manifest or index.
        tags: under which it was requested, in order; empty if only by digest.
        first_pull: the first one that is still stored, or None.
        last_pull: None for a version that was only requested with HEAD.
        last_head: when it was last requested with HEAD under a tag, or None.
        pulls: how often it was pulled; 0 for a part of an index.
        is_part: whether it is a manifest of an index, for one of several platforms.
    """

    repository: str
    digest: str
    tags: tuple[str, ...]
    first_pull: datetime | None
    last_pull: datetime | None
    last_head: datetime | None
    pulls: int
    is_part: bool

    @property
    def last_use(self) -> datetime:
        """The last pull or head."""
        return max(at for at in (self.last_pull, self.last_head, EPOCH) if at is not None)


@frozen
class AccountActivity:
    """The stored activity of one account in one app.

    Attributes:
        app: slug.
        subject: of one record.
        first_pull: ever, or None.
        last_pull: ever, or None.
        since: since when the other values are counted.
        uses: of images.
        networks: of its clients, as :func:`authsvc.client.network_of` names them.
        size: bytes of downloads.
        more_images: whether it used more than are listed.
        more_networks: whether there were more networks than are listed.
    """

    app: str
    subject: str
    first_pull: datetime | None
    last_pull: datetime | None
    since: datetime
    uses: tuple[ImageUse, ...] = ()
    networks: frozenset[str] = frozenset()
    size: int = 0
    more_images: bool = False
    more_networks: bool = False

    @property
    def pulls(self) -> int:
        """How often it pulled."""
        return sum(use.pulls for use in self.uses if not use.is_part)


@frozen
class LicenseDownloads:
    """The downloads of the licenses of an app.

    Attributes:
        since: since when it is counted.
        sizes: bytes of those that downloaded most, by subject, most first.
        rest: bytes of all other licenses that were examined.
        more: whether the app has so many accounts that not all were examined.
    """

    since: datetime
    sizes: Mapping[str, int]
    rest: int
    more: bool


@frozen
class AppDay:
    """The activity of all accounts in an app on one day.

    Attributes:
        start: of the day, UTC.
        app: slug.
        pulls: GETs of manifests; one of an index and one of its part count as one.
        heads: HEADs of manifests.
        pushes: of manifests.
        deletes: of tags and digests, except by authsvc itself.
        size: bytes of the blobs that were requested.
    """

    start: datetime
    app: str
    pulls: int = 0
    heads: int = 0
    pushes: int = 0
    deletes: int = 0
    size: int = 0


def versions_of(uses: Iterable[ImageUse]) -> tuple[Version, ...]:
    """Return the versions in some uses, the last used first."""
    grouped: dict[tuple[str, str], list[ImageUse]] = {}
    for use in uses:
        if use.image.digest is not None:
            grouped.setdefault((use.image.repository, use.image.digest), []).append(use)
    found = [_version(repository, digest, each) for (repository, digest), each in grouped.items()]
    return tuple(sorted(found, key=lambda one: (-one.last_use.timestamp(), one.repository, one.digest)))


def _version(repository: str, digest: str, uses: Sequence[ImageUse]) -> Version:
    return Version(
        repository,
        digest,
        tuple(sorted({use.image.tag for use in uses if use.image.tag is not None})),
        min((use.first_pull for use in uses if use.first_pull is not None), default=None),
        max((use.last_pull for use in uses if use.last_pull is not None), default=None),
        max((use.last_head for use in uses if use.last_head is not None), default=None),
        sum(use.pulls for use in uses if not use.is_part),
        any(use.is_part for use in uses),
    )
