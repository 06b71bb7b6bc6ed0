"""The use cases of one installation, in one place, for the command line, the management API and the portal.

Each is imported and made when it is first used: a command needs one or two of them, and importing all takes as long as
the command itself. A worker loads them at its start (:func:`authsvc.wiring.management.server_use_cases`).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from attrs import field, frozen

from authsvc.manage.license_use import MOST_EXAMINED

if TYPE_CHECKING:
    from authsvc.manage.activity import Activity
    from authsvc.manage.audit import Audit, AuditReader
    from authsvc.manage.customers import Customers
    from authsvc.manage.image_deletions import ImageDeletions, RegistryDeletions
    from authsvc.manage.image_users import ImageUsers
    from authsvc.manage.images import Images, RegistryImages
    from authsvc.manage.license_by_link import LicenseByLink
    from authsvc.manage.license_links import LicenseLinks
    from authsvc.manage.license_preview import LicensePreview
    from authsvc.manage.license_renewal import LicenseRenewal
    from authsvc.manage.license_signer import LicenseSigner
    from authsvc.manage.licenses import Licenses
    from authsvc.manage.links import Links
    from authsvc.manage.members import Members
    from authsvc.manage.new_passwords import PasswordHasher
    from authsvc.manage.passkeys import Passkeys
    from authsvc.manage.repositories import Repositories
    from authsvc.manage.secret_sealer import SecretSealer
    from authsvc.manage.service_accounts import ServiceAccounts
    from authsvc.manage.sessions import Sessions
    from authsvc.manage.stores import Stores
    from authsvc.manage.teams import Teams
    from authsvc.manage.tokens import Tokens
    from authsvc.manage.upstream_checks import UpstreamChecks
    from authsvc.manage.upstreams import Upstreams
    from authsvc.manage.webhook_checks import WebhookChecks
    from authsvc.manage.webhooks import Webhooks
    from authsvc.tenancy.records import App


@frozen(slots=False, eq=False, repr=False)
class UseCases:
    """All use cases of one installation.

    Attributes:
        stores: the records.
        signer: signs license files; used only to make one.
        registry: host and port that clients log in to.
        audit_reader: the entries of the audit.
        registry_images: reads images from our registry that are not indexed yet.
        registry_deletions: deletes from our registry.
        sealer: seals the credentials of upstreams and webhooks; used only for those.
        upstream_checks: sends requests to external registries.
        webhook_checks: sends requests to the receivers of webhooks.
        password_hasher: hashes new passwords.
        most_examined: most licenses that are examined to determine which ones a change of an app affects.
    """

    stores: Stores
    signer: LicenseSigner
    registry: str
    audit_reader: AuditReader
    registry_images: RegistryImages
    registry_deletions: RegistryDeletions
    sealer: SecretSealer
    upstream_checks: UpstreamChecks
    webhook_checks: WebhookChecks
    password_hasher: PasswordHasher
    most_examined: int = field(default=MOST_EXAMINED, kw_only=True)

    @cached_property
    def teams(self) -> Teams:
        """Teams and apps."""
        from authsvc.manage.teams import Teams

        return Teams(self.stores, self.most_examined)

    @cached_property
    def members(self) -> Members:
        """Members of teams."""
        from authsvc.manage.members import Members

        return Members(self.stores, self.password_hasher)

    @cached_property
    def links(self) -> Links:
        """One-time links for invitations and new passwords."""
        from authsvc.manage.links import Links

        return Links(self.stores, self.password_hasher)

    @cached_property
    def activity(self) -> Activity:
        """Pushes and pulls."""
        from authsvc.manage.activity import Activity

        return Activity(self.stores, self.audit_reader)

    @cached_property
    def image_users(self) -> ImageUsers:
        """The accounts that have each version of an image."""
        from authsvc.manage.image_users import ImageUsers

        return ImageUsers(self.stores)

    @cached_property
    def tokens(self) -> Tokens:
        """Personal tokens and sign-ins."""
        from authsvc.manage.tokens import Tokens

        return Tokens(self.stores)

    @cached_property
    def sessions(self) -> Sessions:
        """Browsers that are signed in to the portal."""
        from authsvc.manage.sessions import Sessions

        return Sessions(self.stores)

    @cached_property
    def passkeys(self) -> Passkeys:
        """Passkeys, with which members sign in to the portal."""
        from authsvc.manage.passkeys import Passkeys

        return Passkeys(self.stores)

    @cached_property
    def service_accounts(self) -> ServiceAccounts:
        """Service accounts."""
        from authsvc.manage.service_accounts import ServiceAccounts

        return ServiceAccounts(self.stores)

    @cached_property
    def customers(self) -> Customers:
        """Customers, the holders of licenses."""
        from authsvc.manage.customers import Customers

        return Customers(self.stores)

    @cached_property
    def upstreams(self) -> Upstreams:
        """Links to external registries. Methods that use a secret also raise the errors of the sealer."""
        from authsvc.manage.upstreams import Upstreams

        return Upstreams(self.stores, self.sealer, self.upstream_checks, self.most_examined)

    @cached_property
    def webhooks(self) -> Webhooks:
        """Webhooks. Methods that use a secret also raise the errors of the sealer."""
        from authsvc.manage.webhooks import Webhooks

        return Webhooks(self.stores, self.sealer, self.webhook_checks)

    @cached_property
    def licenses(self) -> Licenses:
        """Licenses. Methods that make or check a file also raise the errors of the signer."""
        from authsvc.manage.licenses import Licenses

        return Licenses(self.stores, self.signer, self.registry)

    @cached_property
    def license_links(self) -> LicenseLinks:
        """Links to the pages of licenses."""
        from authsvc.manage.license_links import LicenseLinks

        return LicenseLinks(self.stores)

    @cached_property
    def license_by_link(self) -> LicenseByLink:
        """The pages of licenses. Methods that make a file also raise the errors of the signer."""
        from authsvc.manage.license_by_link import LicenseByLink

        return LicenseByLink(self.stores, self.licenses)

    @cached_property
    def license_preview(self) -> LicensePreview:
        """Previews of what a license would pull."""
        from authsvc.manage.license_preview import LicensePreview

        return LicensePreview(self.stores)

    def renewal(self, app: App) -> LicenseRenewal:
        """Return the use case that renews many licenses of an app."""
        from authsvc.manage.license_renewal import LicenseRenewal

        return LicenseRenewal(self.stores, app)

    @cached_property
    def images(self) -> Images:
        """Images. Methods that query the registry raise SetupRefused when there is no key to sign a request."""
        from authsvc.manage.images import Images

        return Images(self.stores, self.registry_images, self.registry)

    @cached_property
    def repositories(self) -> Repositories:
        """The repositories of an app, and the versions that customers run."""
        from authsvc.manage.repositories import Repositories

        return Repositories(self.stores)

    @cached_property
    def image_deletions(self) -> ImageDeletions:
        """Deletion of images. Raises SetupRefused when there is no key to sign a request."""
        from authsvc.manage.image_deletions import ImageDeletions

        return ImageDeletions(self.stores, self.registry_deletions, self.registry)

    @cached_property
    def audit(self) -> Audit:
        """The audit: decisions and changes."""
        from authsvc.manage.audit import Audit

        return Audit(self.audit_reader, self.stores)
