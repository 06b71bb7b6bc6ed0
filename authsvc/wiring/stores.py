"""The records of one installation, in Redis.

Each store is imported and made when it is first used, since a command needs only a few of them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from attrs import frozen

from authsvc.store.records import Records

if TYPE_CHECKING:
    from authsvc.manage.credential_stores import (
        PasskeyStore,
        PasswordChoiceStore,
        PersonalTokenStore,
        SessionStore,
        SignInStore,
    )
    from authsvc.manage.stores import (
        ActivityReader,
        AppStore,
        CustomerStore,
        ImageDeletionStore,
        ImageStore,
        LicenseLinkStore,
        LicenseStore,
        LinkStore,
        MemberStore,
        OperationStore,
        RepositoryStore,
        ServiceAccountStore,
        Stores,
        TeamStore,
        UpstreamStore,
        UsageReader,
    )
    from authsvc.manage.webhook_stores import DeliveryReader, WebhookStore


@frozen(slots=False)
class RedisStores:
    """The stores of the use cases; see :class:`authsvc.manage.stores.Stores`.

    Attributes:
        records: in Redis.
    """

    records: Records

    @cached_property
    def teams(self) -> TeamStore:
        from authsvc.store.teams import RedisTeams

        return RedisTeams(self.records)

    @cached_property
    def apps(self) -> AppStore:
        from authsvc.store.apps import RedisApps

        return RedisApps(self.records)

    @cached_property
    def members(self) -> MemberStore:
        from authsvc.store.members import RedisMembers

        return RedisMembers(self.records)

    @cached_property
    def links(self) -> LinkStore:
        from authsvc.store.links import RedisLinks

        return RedisLinks(self.records)

    @cached_property
    def password_choices(self) -> PasswordChoiceStore:
        from authsvc.store.password_choices import RedisPasswordChoices

        return RedisPasswordChoices(self.records.connection)

    @cached_property
    def personal_tokens(self) -> PersonalTokenStore:
        from authsvc.store.personal_tokens import RedisPersonalTokens

        return RedisPersonalTokens(self.records)

    @cached_property
    def sign_ins(self) -> SignInStore:
        from authsvc.store.member_credentials import refresh_tokens

        return refresh_tokens(self.records)

    @cached_property
    def sessions(self) -> SessionStore:
        from authsvc.store.member_credentials import portal_sessions

        return portal_sessions(self.records)

    @cached_property
    def passkeys(self) -> PasskeyStore:
        from authsvc.store.passkeys import RedisPasskeys

        return RedisPasskeys(self.records)

    @cached_property
    def service_accounts(self) -> ServiceAccountStore:
        from authsvc.store.service_accounts import RedisServiceAccounts

        return RedisServiceAccounts(self.records)

    @cached_property
    def customers(self) -> CustomerStore:
        from authsvc.store.customers import RedisCustomers

        return RedisCustomers(self.records)

    @cached_property
    def licenses(self) -> LicenseStore:
        from authsvc.store.licenses import RedisLicenses

        return RedisLicenses(self.records)

    @cached_property
    def license_links(self) -> LicenseLinkStore:
        from authsvc.store.license_links import RedisLicenseLinks

        return RedisLicenseLinks(self.records)

    @cached_property
    def usage(self) -> UsageReader:
        from authsvc.store.usage import RedisUsageReader

        return RedisUsageReader(self.records.connection)

    @cached_property
    def operations(self) -> OperationStore:
        from authsvc.store.operations import RedisOperations

        return RedisOperations(self.records.connection)

    @cached_property
    def activity(self) -> ActivityReader:
        from authsvc.store.activity import RedisActivity

        return RedisActivity(self.records)

    @cached_property
    def images(self) -> ImageStore:
        from authsvc.store.images import RedisImages

        return RedisImages(self.records)

    @cached_property
    def repositories(self) -> RepositoryStore:
        from authsvc.store.repositories import RedisRepositories

        return RedisRepositories(self.records)

    @cached_property
    def image_deletions(self) -> ImageDeletionStore:
        from authsvc.store.image_deletions import RedisImageDeletions
        from authsvc.store.image_index import RedisImageIndex
        from authsvc.store.repository_lock import RepositoryLocks

        return RedisImageDeletions(
            self.records,
            RepositoryLocks(self.records.connection),
            RedisImageIndex(self.records.connection, self.records.codec),
        )

    @cached_property
    def upstreams(self) -> UpstreamStore:
        from authsvc.store.upstreams import RedisUpstreams

        return RedisUpstreams(self.records)

    @cached_property
    def webhooks(self) -> WebhookStore:
        from authsvc.store.webhooks import RedisWebhooks

        return RedisWebhooks(self.records)

    @cached_property
    def deliveries(self) -> DeliveryReader:
        from authsvc.store.webhook_deliveries import RedisWebhookDeliveries

        return RedisWebhookDeliveries(self.records.connection, self.records.codec)


def make_stores(records: Records) -> Stores:
    """Return the stores of the use cases."""
    return RedisStores(records)
