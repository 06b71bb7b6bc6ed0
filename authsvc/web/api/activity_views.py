"""The answers and queries of activity summaries in the management API."""

from attrs import field, frozen

from authsvc.manage.image_users import UNUSED_FOR
from authsvc.web.api.parameters import PageQuery
from authsvc.web.api.schemas import Instant


@frozen
class VersionView:
    """A version of an image that an account has. Null means *unknown*, never *none*.

    Attributes:
        repository: full name.
        digest: of the manifest or index.
        tags: the tags with which it was requested.
        first_pull_at: the first pull that is still recorded.
        last_pull_at: null for a version that was only looked up (`HEAD`).
        last_head_at: when it was last looked up (`HEAD`) by a tag.
        pulls: how often it was pulled.
        is_part: whether it is the manifest of one platform of an index; such a manifest is not counted as a version.
    """

    repository: str
    digest: str
    tags: tuple[str, ...]
    first_pull_at: Instant | None
    last_pull_at: Instant | None
    last_head_at: Instant | None
    pulls: int
    is_part: bool


@frozen
class LicenseUseView:
    """The activity of a license.

    Attributes:
        license: id.
        app: slug.
        customer: name on the license.
        customer_id: id of its customer.
        first_pull_at: ever, as far as is known.
        last_pull_at: ever, as far as is known.
        pulls: number of pulls since `since`.
        bytes: size of the blobs that it requested since then.
        networks: number of networks from which it was used since then.
    """

    license: str
    app: str
    customer: str
    customer_id: str | None
    first_pull_at: Instant | None
    last_pull_at: Instant | None
    pulls: int
    bytes: int
    networks: int


@frozen
class ActivitySummaryView:
    """The activity of a license, or of all licenses of a customer.

    Attributes:
        first_pull_at: ever, as far as is known.
        last_pull_at: ever, as far as is known.
        since: since when pulls, bytes, versions and networks are counted; null without activity.
        licenses: the activity of each license, including those without activity.
        networks: number of networks of all licenses together: IPv4 addresses and IPv6 /64 networks.
        versions: one page, most recently used first.
        next: cursor of the next page of versions, or null.
        more_licenses: whether there are more licenses, which are not part of any number here.
        more_networks: whether there are more networks than are recorded.
        more_versions: whether there are more versions than are recorded.
    """

    first_pull_at: Instant | None
    last_pull_at: Instant | None
    since: Instant | None
    licenses: tuple[LicenseUseView, ...]
    networks: tuple[str, ...]
    versions: tuple[VersionView, ...]
    next: str | None
    more_licenses: bool
    more_networks: bool
    more_versions: bool


@frozen
class AppDayView:
    """The activity of all accounts together in an app on one day.

    Attributes:
        day: its beginning, UTC.
        app: slug.
        pulls: number of manifest pulls; an index and its platforms' manifests count as one.
        heads: number of `HEAD` requests for manifests.
        pushes: number of manifest pushes.
        deletes: number of deleted tags and digests, except those deleted through authsvc itself.
        bytes: size of the requested blobs.
    """

    day: Instant
    app: str
    pulls: int
    heads: int
    pushes: int
    deletes: int
    bytes: int


@frozen
class LastUseView:
    """The last push or pull of something.

    Attributes:
        at: when.
        subject: the account, such as `license:<id>`, or null.
        digest: the digest of the tag at that time, or null.
    """

    at: Instant
    subject: str | None
    digest: str | None


@frozen
class ImageHistoryView:
    """What is known about a repository, tag or digest. Null means *unknown*, never *none*.

    Attributes:
        repository: full name.
        tag: null for a repository or a digest.
        digest: the digest of the tag, as far as it is known.
        pushed: the last push.
        found: when a crawl of the registry first found it, if no push of it is known.
        pulled: the last pull; for a tag, pulls of its digest count too.
        pulled_by_license: the last pull by a license.
        deleted_at: the last deletion, if there was no push since.
        is_part: whether it is a manifest of an index.
    """

    repository: str
    tag: str | None
    digest: str | None
    pushed: LastUseView | None
    found: LastUseView | None
    pulled: LastUseView | None
    pulled_by_license: LastUseView | None
    deleted_at: Instant | None
    is_part: bool


@frozen
class ImageUserView:
    """An account that pulled an image.

    Attributes:
        subject: such as `license:<id>` or `member:<id>`.
        license: id, if the account is a license.
        customer: name on that license.
        customer_id: id of its customer.
        last_pull_at: the last pull of the image.
        versions: the versions of the repository that it has, most recently used first; null for a tag or a digest.
        more_versions: whether there are more.
        name: address of the member or name of the service account, if that account still exists.
    """

    subject: str
    license: str | None
    customer: str | None
    customer_id: str | None
    last_pull_at: Instant
    versions: tuple[VersionView, ...] | None
    more_versions: bool
    name: str | None


@frozen
class ImageActivityView:
    """The accounts that have an image.

    Attributes:
        history: last push and pulls.
        users: one page, in the order of their first pulls.
        next: cursor of the next page of users, or null.
    """

    history: ImageHistoryView
    users: tuple[ImageUserView, ...]
    next: str | None


@frozen
class LicenseActivityQuery(PageQuery):
    """Selects a page of versions.

    Attributes:
        app: slug of the license's app, if licenses of several apps have the reference.
    """

    app: str | None = None


@frozen
class AppActivityQuery(PageQuery):
    """Selects days.

    Attributes:
        since: days that end after this: a date, a time or a span before now such as `7d`.
        until: days that begin before this, in the same forms.
    """

    since: str | None = None
    until: str | None = None


@frozen
class ImageActivityQuery(PageQuery):
    """Selects users.

    Attributes:
        since: only accounts that pulled it after this: a date, a time or a span before now such as `30d`.
    """

    since: str | None = None


@frozen
class UnusedTagsQuery(PageQuery):
    """Selects tags.

    Attributes:
        repository: full name.
        unused_for: a span such as `90d`.
    """

    repository: str = field(kw_only=True)
    unused_for: str = UNUSED_FOR
