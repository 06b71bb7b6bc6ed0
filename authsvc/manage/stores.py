"""The stores of the use cases: one protocol per aggregate. ``store/`` implements them on Redis.

Every method raises StoreUnavailable when the store does not answer. Every change comes with the audit entry of the
operation and is made only once for its id: it raises OperationRepeated when another attempt was faster, and Conflict
when a record that it depends on has changed since it was read. The store writes the entry to the audit in the same
transaction, and to the log when the change is durable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from authsvc.activity.activity_filter import ActivityFilter
    from authsvc.activity.history import (
        AccountActivity,
        ActivityRow,
        AppDay,
        ImageHistory,
        ImagePull,
        LicenseDownloads,
        RunningLicenses,
    )
    from authsvc.activity.image_name import ImageName
    from authsvc.audit.entry import Entry
    from authsvc.images.deletion_record import PendingDeletion
    from authsvc.images.index import AppImages, CrawlState, ImageScope, IndexedTag, RepositoryRow, RepositoryState
    from authsvc.images.summary import BlobList
    from authsvc.manage.credential_stores import (
        PasskeyStore,
        PasswordChoiceStore,
        PersonalTokenStore,
        SessionStore,
        SignInStore,
    )
    from authsvc.manage.webhook_stores import DeliveryReader, WebhookStore
    from authsvc.registries.tag_deletion import RepositoryLock
    from authsvc.tenancy.customers import Customer, SelectedCustomer
    from authsvc.tenancy.license_filter import LicenseFilter
    from authsvc.tenancy.license_link import LicenseLink
    from authsvc.tenancy.machine_records import OneTimeLink, ServiceAccount
    from authsvc.tenancy.pages import IndexProgress, Page
    from authsvc.tenancy.records import App, License, LicenseReference, Member, Team
    from authsvc.tenancy.versioned import Versioned
    from authsvc.upstreams.health import UpstreamHealth
    from authsvc.upstreams.link import UpstreamLink
    from authsvc.upstreams.probe import ProbeStep


class TeamStore(Protocol):
    """Teams, by slug."""

    async def get(self, slug: str) -> Versioned[Team] | None: ...
    async def all(self) -> list[Team]: ...
    async def page(self, after: str | None, limit: int) -> Page[Team]: ...
    async def add(self, team: Team, entry: Entry) -> None: ...
    async def replace(self, old: Versioned[Team], new: Team, entry: Entry) -> None: ...


class AppStore(Protocol):
    """Apps, by slug; lists include archived ones."""

    async def get(self, slug: str) -> Versioned[App] | None: ...
    async def of_team(self, team: str) -> list[App]: ...
    async def page(
        self, team: str | None, after: str | None, limit: int, *, archived: bool, only: frozenset[str] | None = None
    ) -> Page[App]: ...
    async def add(self, app: App, entry: Entry) -> None: ...
    async def replace(self, old: Versioned[App], new: App, entry: Entry) -> None: ...


class MemberStore(Protocol):
    """Members, by id and by canonical address; lists are by address, without those who were removed.

    A ``witness`` is another member who must be unchanged, too; ``forget_passkeys`` removes the member's passkeys.
    """

    async def get(self, member_id: str) -> Versioned[Member] | None: ...
    async def by_email(self, email: str) -> Versioned[Member] | None: ...
    async def of_team(self, team: str) -> list[Versioned[Member]]: ...
    async def page(self, team: str, after: str | None, limit: int) -> Page[Member]: ...
    async def add(self, member: Member, entry: Entry) -> None: ...
    async def replace(
        self,
        old: Versioned[Member],
        new: Member,
        entry: Entry,
        *,
        witness: Versioned[Member] | None = None,
        forget_passkeys: bool = False,
    ) -> None: ...
    async def remove(
        self, old: Versioned[Member], new: Member, entry: Entry, *, witness: Versioned[Member] | None = None
    ) -> None: ...


class LinkStore(Protocol):
    """One-time links, by id; a link that was replaced by a newer one for the same address is not found."""

    async def get(self, link_id: str) -> Versioned[OneTimeLink] | None: ...
    async def of_team(self, team: str, now: datetime) -> list[Versioned[OneTimeLink]]: ...
    async def remove(self, link: Versioned[OneTimeLink], entry: Entry) -> None: ...
    async def add(self, link: OneTimeLink, life_seconds: int, entry: Entry) -> None: ...
    async def accept_invite(self, link: Versioned[OneTimeLink], member: Member, entry: Entry) -> None: ...
    async def accept_reset(
        self, link: Versioned[OneTimeLink], old: Versioned[Member], new: Member, entry: Entry
    ) -> None: ...


class ServiceAccountStore(Protocol):
    """Service accounts, by id and by team and name; lists are by name and include revoked ones."""

    async def get(self, account_id: str) -> Versioned[ServiceAccount] | None: ...
    async def by_name(self, team: str, name: str) -> Versioned[ServiceAccount] | None: ...
    async def of_team(self, team: str) -> list[ServiceAccount]: ...
    async def page(self, team: str, after: str | None, limit: int) -> Page[ServiceAccount]: ...
    async def add(self, account: ServiceAccount, entry: Entry) -> None: ...
    async def replace(self, old: Versioned[ServiceAccount], new: ServiceAccount, entry: Entry) -> None: ...


class CustomerStore(Protocol):
    """Customers, by id, and by exact name and reference within a team; lists leave out archived ones.

    A new or changed customer raises Conflict when another one of the team has the name or the reference.
    """

    async def get(self, customer_id: str) -> Versioned[Customer] | None: ...
    async def by_name(self, team: str, name: str) -> Versioned[Customer] | None: ...
    async def by_reference(self, team: str, reference: str) -> Versioned[Customer] | None: ...
    async def page(
        self,
        team: str,
        wanted: Sequence[str],
        reference: str | None,
        after: str | None,
        limit: int,
        apps: frozenset[str] | None = None,
    ) -> Page[Customer]: ...
    async def has_license(self, team: str, customer_id: str | None, apps: frozenset[str]) -> bool: ...
    async def add(self, customer: Customer, entry: Entry) -> None: ...
    async def replace(self, old: Versioned[Customer], new: Customer, entry: Entry) -> None: ...


class LicenseStore(Protocol):
    """Licenses, by id and by the vendor's reference; lists are oldest first and include archived ones."""

    async def get(self, license_id: str) -> Versioned[License] | None: ...
    def pages_not_ended(self, app: str, now: datetime) -> AsyncIterator[list[License]]: ...
    async def page(self, wanted: LicenseFilter, after: str | None, limit: int, now: datetime) -> Page[License]: ...
    async def by_references(
        self, app: str, references: Sequence[str]
    ) -> list[tuple[LicenseReference, License] | None]: ...
    async def with_reference(self, apps: Sequence[str], reference: str) -> list[License]: ...
    async def add(
        self, license_: License, app: Versioned[App], entry: Entry, customer: SelectedCustomer | None = None
    ) -> None: ...
    async def replace(
        self, old: Versioned[License], new: License, entry: Entry, customer: SelectedCustomer | None = None
    ) -> None: ...
    async def index_progress(self) -> IndexProgress: ...
    async def generation_floor(self) -> int:
        """Return the lowest generation that a rotation may make; 0 if no backup was ever restored."""
        ...


class LicenseLinkStore(Protocol):
    """Links to the pages of licenses, by id; lists are by end, without those that have ended or were revoked."""

    async def get(self, link_id: str) -> Versioned[LicenseLink] | None: ...
    async def of_license(self, license_id: str) -> list[Versioned[LicenseLink]]: ...
    async def add(self, link: LicenseLink, license_: Versioned[License], entry: Entry) -> None: ...
    async def remove(self, links: Sequence[Versioned[LicenseLink]], entry: Entry) -> None: ...
    async def note_download(self, link: Versioned[LicenseLink], entry: Entry) -> None: ...


class OperationStore(Protocol):
    """Operations that were carried out within the last day."""

    async def require_new(self, operation_id: str, request_hash: str) -> None:
        """Check that an operation was not carried out before.

        Raises:
            OperationRepeated: it was, by the same request.
            Conflict: it was, by another request (code ``idempotency_conflict``).
        """
        ...

    async def note(self, operation_id: str, request_hash: str, result: str) -> None:
        """Record an operation that found nothing to change, unless it is recorded already.

        Raises:
            Conflict: it was carried out by another request (code ``idempotency_conflict``).
        """
        ...


class ImageStore(Protocol):
    """The index of images: the content of the registry when it was last read. Lists are by repository and tag."""

    async def page(self, scope: ImageScope, after: str | None, limit: int) -> Page[IndexedTag]: ...
    async def names(self, app: str, prefix: str, after: str, limit: int) -> list[str]: ...
    async def tags(self, repositories: Sequence[str], after: str, limit: int) -> tuple[IndexedTag, ...]: ...
    async def repository(self, name: str, app: str) -> RepositoryState | None: ...
    async def tag(self, repository: str, tag: str) -> IndexedTag | None: ...
    async def described(self, repository: str, digest: str) -> IndexedTag: ...
    async def tags_of(self, repository: str, digest: str, limit: int) -> list[str]: ...
    async def blobs(self, app: str, digest: str) -> tuple[BlobList, ...] | None: ...
    async def app(self, slug: str) -> AppImages | None: ...
    async def crawl(self) -> CrawlState: ...


class RepositoryStore(Protocol):
    """The repositories in the index of images, by name, each with its newest tag."""

    async def page(self, app: str, find: str, after: str | None, limit: int) -> Page[RepositoryRow]: ...


class UsageReader(Protocol):
    """Reads when credentials were last used."""

    async def used_at(self, credential_ids: Iterable[str]) -> dict[str, datetime]: ...


class ActivityReader(Protocol):
    """Reads activity from the registry's events. None and a missing entry are *unknown*, never *none*.

    Methods with a cursor raise InputRefused when it does not belong to the same list.
    """

    async def rows(self, wanted: ActivityFilter, after: str | None, limit: int) -> Page[ActivityRow]:
        """Return one page of the activity of accounts by hour or day.

        The order is that of :mod:`authsvc.store.activity_spans`: the newest periods first in spans of 16 days.
        """
        ...

    async def histories(self, images: Sequence[ImageName]) -> list[ImageHistory]:
        """Return each image's history, in order; one round trip for 200 names, where a tag with a digest is two."""
        ...

    async def pulls(
        self, image: ImageName, since: datetime, now: datetime, *, after: str | None = None, limit: int = 100
    ) -> Page[ImagePull]:
        """Return the accounts that pulled an image since an instant; for a tag with a digest, pulls of either.

        They are in the order of their first activity in the app, each with its last pull.
        """
        ...

    async def running(self, app: str, images: Sequence[ImageName], since: datetime, now: datetime) -> RunningLicenses:
        """Return the licenses that pulled each of some images of an app since an instant.

        For a tag with a digest, pulls of either count. The number of examined accounts is limited; the result says if
        there are more.
        """
        ...

    async def downloads(self, app: str, since: datetime, now: datetime) -> LicenseDownloads:
        """Return the downloads of the licenses of an app since a time before ``since``, which the result contains.

        The number of examined accounts is limited; the result says if there are more.
        """
        ...

    async def accounts(self, wanted: Sequence[tuple[str, str]], now: datetime) -> list[AccountActivity | None]:
        """Return the activity of each account, by app and subject, in order; None without activity. At most 100."""
        ...

    async def days(
        self, app: str, since: datetime, until: datetime, *, after: str | None = None, limit: int = 100
    ) -> Page[AppDay]:
        """Return one page of the days of an app, newest first; days without activity are left out."""
        ...

    async def tags(self, repository: str, *, after: str | None = None, limit: int = 100) -> Page[ImageHistory]:
        """Return one page of a repository's known tags, each with its digest, newest first."""
        ...


class ActivityCrawl(Protocol):
    """Reconciles the activity with what a crawl of the registry found."""

    async def reconcile(self, repository: str, found: Mapping[str, str], gone: Collection[str], as_of: datetime) -> int:
        """Record digests of tags without a known push, and deleted tags; return how many changed."""
        ...


class ImageDeletionStore(Protocol):
    """Pending deletions from the registry, one image of a repository at a time."""

    def locked(self, repository: str, holder: str) -> AbstractAsyncContextManager[RepositoryLock]:
        """Hold the lock of a repository until the context ends, under the random name ``holder``.

        Raises:
            Conflict: another deletion takes too long.
        """
        ...

    async def pending(self, repository: str) -> Versioned[PendingDeletion] | None: ...
    async def begin(self, deletion: PendingDeletion, entry: Entry) -> Versioned[PendingDeletion]: ...
    async def end(self, deletion: Versioned[PendingDeletion], entry: Entry, result: str = "") -> None: ...

    async def indexed(self, repository: str) -> dict[str, str | None]:
        """Return the digests of the tags of a repository, from the index of images."""
        ...

    async def indexed_tag(self, repository: str, tag: str) -> str | None:
        """Return the digest of a tag, from the index of images; None when it has no such tag."""
        ...

    async def indexed_siblings(self, repository: str, digest: str) -> list[str]:
        """Return the first tags of a digest, from the index of images."""
        ...

    async def reindex(self, repository: str, app: str, digests: Mapping[str, str | None], now: datetime) -> None:
        """Update some tags in the index; None for a deleted one."""
        ...


class UpstreamStore(Protocol):
    """Links to external registries, by app and name, and by id; lists are by app and name."""

    async def find(self, app: str, name: str) -> UpstreamLink | None: ...
    async def by_name(self, app: str, name: str) -> Versioned[UpstreamLink] | None: ...
    async def get(self, link_id: str) -> Versioned[UpstreamLink] | None: ...
    async def page(
        self, team: str | None, after: str | None, limit: int, *, app: str | None = None
    ) -> Page[UpstreamLink]: ...
    async def health(self, links: Sequence[UpstreamLink]) -> list[UpstreamHealth]: ...

    async def add(self, link: UpstreamLink, app: Versioned[App], entry: Entry) -> None:
        """Store a new link.

        Raises:
            Conflict: the app has a link of this name, or app or team have as many as they may have.
        """
        ...

    async def note(self, link: UpstreamLink, now: datetime, failed: ProbeStep | None) -> None: ...
    async def replace(self, old: Versioned[UpstreamLink], new: UpstreamLink, entry: Entry) -> None: ...
    async def remove(self, old: Versioned[UpstreamLink], entry: Entry) -> None: ...


class Stores(Protocol):
    """The stores of all aggregates of one installation."""

    @property
    def teams(self) -> TeamStore: ...
    @property
    def apps(self) -> AppStore: ...
    @property
    def members(self) -> MemberStore: ...
    @property
    def links(self) -> LinkStore: ...
    @property
    def password_choices(self) -> PasswordChoiceStore: ...
    @property
    def personal_tokens(self) -> PersonalTokenStore: ...
    @property
    def sign_ins(self) -> SignInStore: ...
    @property
    def sessions(self) -> SessionStore: ...
    @property
    def passkeys(self) -> PasskeyStore: ...
    @property
    def service_accounts(self) -> ServiceAccountStore: ...
    @property
    def customers(self) -> CustomerStore: ...
    @property
    def licenses(self) -> LicenseStore: ...
    @property
    def license_links(self) -> LicenseLinkStore: ...
    @property
    def usage(self) -> UsageReader: ...
    @property
    def operations(self) -> OperationStore: ...
    @property
    def activity(self) -> ActivityReader: ...
    @property
    def images(self) -> ImageStore: ...
    @property
    def repositories(self) -> RepositoryStore: ...
    @property
    def image_deletions(self) -> ImageDeletionStore: ...
    @property
    def upstreams(self) -> UpstreamStore: ...
    @property
    def webhooks(self) -> WebhookStore: ...
    @property
    def deliveries(self) -> DeliveryReader: ...
