"""The records of one installation, in Redis."""

from authsvc.manage.stores import Stores
from authsvc.store.activity import RedisActivity
from authsvc.store.apps import RedisApps
from authsvc.store.customers import RedisCustomers
from authsvc.store.image_deletions import RedisImageDeletions
from authsvc.store.image_index import RedisImageIndex
from authsvc.store.images import RedisImages
from authsvc.store.license_links import RedisLicenseLinks
from authsvc.store.licenses import RedisLicenses
from authsvc.store.links import RedisLinks
from authsvc.store.member_credentials import portal_sessions, refresh_tokens
from authsvc.store.members import RedisMembers
from authsvc.store.operations import RedisOperations
from authsvc.store.passkeys import RedisPasskeys
from authsvc.store.password_choices import RedisPasswordChoices
from authsvc.store.personal_tokens import RedisPersonalTokens
from authsvc.store.records import Records
from authsvc.store.repositories import RedisRepositories
from authsvc.store.repository_lock import RepositoryLocks
from authsvc.store.service_accounts import RedisServiceAccounts
from authsvc.store.teams import RedisTeams
from authsvc.store.upstreams import RedisUpstreams
from authsvc.store.usage import RedisUsageReader
from authsvc.store.webhook_deliveries import RedisWebhookDeliveries
from authsvc.store.webhooks import RedisWebhooks


def make_stores(records: Records) -> Stores:
    """Return what the use cases read and write."""
    return Stores(
        teams=RedisTeams(records),
        apps=RedisApps(records),
        members=RedisMembers(records),
        links=RedisLinks(records),
        password_choices=RedisPasswordChoices(records.connection),
        personal_tokens=RedisPersonalTokens(records),
        sign_ins=refresh_tokens(records),
        sessions=portal_sessions(records),
        passkeys=RedisPasskeys(records),
        service_accounts=RedisServiceAccounts(records),
        customers=RedisCustomers(records),
        licenses=RedisLicenses(records),
        license_links=RedisLicenseLinks(records),
        usage=RedisUsageReader(records.connection),
        operations=RedisOperations(records.connection),
        activity=RedisActivity(records),
        images=RedisImages(records),
        repositories=RedisRepositories(records),
        image_deletions=RedisImageDeletions(
            records, RepositoryLocks(records.connection), RedisImageIndex(records.connection, records.codec)
        ),
        upstreams=RedisUpstreams(records),
        webhooks=RedisWebhooks(records),
        deliveries=RedisWebhookDeliveries(records.connection, records.codec),
    )
