"""What the activity says of images and accounts, as it is read."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from attrs import frozen

from authsvc.activity.attribution import ActivityKind
from authsvc.activity.image_name import ImageName

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class LastUse:
    """The newest push or pull of something, or when it was found.

    Attributes:
        at: to the millisecond.
        subject: by whom; None if the event named nobody.
        digest: what the tag stood for; None where that is not known.
    """

    at: datetime
    subject: str | None
    digest: str | None = None


@frozen
class ImageHistory:
    """What is known of one repository, tag or digest. None is unknown: events may be lost, and are older than a record.

    Attributes:
        image: its name.
        pushed: the last push.
        pulled: the last pull by anyone: of a tag also that of the digest in its name, because docker and containerd
            ask for the digest of a tag and pull by digest.
        pulled_by_license: the last pull by a license, the same way.
        found: what a crawl of the registry found there, and when first, if no push of it is known.
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
        """What the name stands for, as far as the newest push, pull or crawl of it says."""
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
    """Which licenses pulled each of some images lately.

    Attributes:
        pulls: of each image, in order, the last pull by each license, by subject.
        more: whether the app has so many accounts that not all were looked at: there may be further licenses.
    """

    pulls: tuple[Mapping[str, datetime], ...]
    more: bool


@frozen
class ActivityRow:
    """What one account did with one image in one hour or day.

    Attributes:
        start: of the hour or day.
        app: slug.
        image: None for several images that are not told apart, because the account used so many; of a download the
            repository.
        kind: what was done.
        subject: of one record; None if the token named none, or if several did the same.
        count: how often; of downloads 0, because they are parts of pulls.
        size: bytes of downloads; None for anything else, which is not measured.
        first_at: of the first time, to the second.
        last_at: of the last time.
        hits: how often the cache of linked registries had it, of downloads for how many blobs; None for other images.
        misses: how often it did not.
        stale: how often it was what the tag meant last, because the registry could not be asked.
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
    """What one account did with one image.

    Attributes:
        image: a repository with a tag and a digest, or with a digest alone.
        first_pull: or None.
        last_pull: or None.
        last_head: when it last asked for the digest under the tag, or None.
        pulls: how often it got the manifest.
        is_part: whether the image is a manifest of an index that was asked for by its digest.
    """

    image: ImageName
    first_pull: datetime | None
    last_pull: datetime | None
    last_head: datetime | None
    pulls: int
    is_part: bool = False


@frozen
class Version:
    """A version of an image that an account has, or several accounts together.

    Attributes:
        repository: full name.
        digest: of the manifest or index.
        tags: under which it was asked for, in order; empty if only by digest.
        first_pull: of what is remembered, or None.
        last_pull: None for a version that was only asked for.
        last_head: when it was last asked for under a tag, or None.
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
    """What is remembered of an account's activity in one app.

    Attributes:
        app: slug.
        subject: of one record.
        first_pull: ever, or None.
        last_pull: ever, or None.
        since: since when the rest is counted.
        uses: of images.
        networks: that it came from, as :func:`authsvc.client.network_of` names them.
        size: bytes of downloads.
        more_images: whether it used more than are listed.
        more_networks: whether it came from more than are listed.
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
    """How much the licenses of an app downloaded.

    Attributes:
        since: since when it is counted.
        sizes: bytes of those that downloaded most, by subject, most first.
        rest: bytes of all other licenses that were looked at.
        more: whether the app has so many accounts that not all were looked at.
    """

    since: datetime
    sizes: Mapping[str, int]
    rest: int
    more: bool


@frozen
class AppDay:
    """What everyone together did in an app on one day.

    Attributes:
        start: of the day, UTC.
        app: slug.
        pulls: GETs of manifests; that of a part of an index is one with the index.
        heads: HEADs of manifests.
        pushes: of manifests.
        deletes: of tags and digests, except by authsvc itself.
        size: bytes of the blobs that were asked for.
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
