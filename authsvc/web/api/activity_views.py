"""What the management API answers and parses of summaries of activity."""

from attrs import field, frozen

from authsvc.manage.image_users import UNUSED_FOR
from authsvc.web.api.parameters import PageQuery
from authsvc.web.api.schemas import Instant


@frozen
class VersionView:
    """A version of an image that an account has. Null is *unknown*, never *none*.

    Attributes:
        repository: full name.
        digest: of the manifest or index.
        tags: under which it was asked for.
        first_pull_at: of what is remembered.
        last_pull_at: null for a version that was only asked for.
        last_head_at: when it was last asked for under a tag.
        pulls: how often it was pulled.
        is_part: whether it is a manifest of an index, for one of several platforms; it is not counted.
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
    """What a license did.

    Attributes:
        license: id.
        app: slug.
        customer: name on the license.
        customer_id: of its customer.
        first_pull_at: ever, as far as is known.
        last_pull_at: ever, as far as is known.
        pulls: how often, since `since`.
        bytes: of blobs that it asked for, since then.
        networks: how many it came from, since then.
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
    """What a license, or all licenses of a customer, did.

    Attributes:
        first_pull_at: ever, as far as is known.
        last_pull_at: ever, as far as is known.
        since: since when pulls, bytes, versions and networks are counted; null without activity.
        licenses: what each did; those without activity too.
        networks: of all together: addresses of IPv4, and /64 of IPv6.
        versions: one page, the last used first.
        next: cursor of the next page of versions, or null.
        more_licenses: whether there are licenses that are left out of everything here.
        more_networks: whether there are more networks than are remembered.
        more_versions: whether there are more versions than are remembered.
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
    """What everyone together did in an app on one day.

    Attributes:
        day: its beginning, UTC.
        app: slug.
        pulls: of manifests; that of a part of an index is one with the index.
        heads: of manifests.
        pushes: of manifests.
        deletes: of tags and digests, except through authsvc itself.
        bytes: of blobs that were asked for.
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
        subject: by whom, such as `license:<id>`, or null.
        digest: what the tag stood for, or null.
    """

    at: Instant
    subject: str | None
    digest: str | None


@frozen
class ImageHistoryView:
    """What is known of a repository, tag or digest. Null is *unknown*, never *none*.

    Attributes:
        repository: full name.
        tag: or null.
        digest: what the tag stands for, as far as is known.
        pushed: the last push.
        found: when a crawl of the registry first found it, if no push of it is known.
        pulled: the last pull; of a tag also that of its digest.
        pulled_by_license: the last pull by a license.
        deleted_at: the last delete, if nothing was pushed since.
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
        license: id, if it is a license.
        customer: name on that license.
        customer_id: of its customer.
        last_pull_at: of the image.
        versions: of a repository, which it has, the last used first; null for a tag or a digest.
        more_versions: whether there are more.
        name: address of the member or name of the service account, if it is one that still is.
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
    """Who has an image.

    Attributes:
        history: last push and pulls.
        users: one page, in the order in which they first came.
        next: cursor of the next page of users, or null.
    """

    history: ImageHistoryView
    users: tuple[ImageUserView, ...]
    next: str | None


@frozen
class LicenseActivityQuery(PageQuery):
    """Which page of versions.

    Attributes:
        app: slug of the license's app, if licenses of several have the reference.
    """

    app: str | None = None


@frozen
class AppActivityQuery(PageQuery):
    """Which days.

    Attributes:
        since: days that end after this: a date, a time or a span back from now such as `7d`.
        until: days that begin before this, in the same forms.
    """

    since: str | None = None
    until: str | None = None


@frozen
class ImageActivityQuery(PageQuery):
    """Which users.

    Attributes:
        since: only accounts that pulled it after this: a date, a time or a span back from now such as `30d`.
    """

    since: str | None = None


@frozen
class UnusedTagsQuery(PageQuery):
    """Which tags.

    Attributes:
        repository: full name.
        unused_for: a span such as `90d`.
    """

    repository: str = field(kw_only=True)
    unused_for: str = UNUSED_FOR
