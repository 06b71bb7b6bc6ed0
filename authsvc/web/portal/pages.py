"""All pages of the portal."""

from authsvc.credentials.passkeys import PasskeyAuthenticator
from authsvc.manage.use_cases import UseCases
from authsvc.public_url import PublicUrl
from authsvc.web.portal.account_pages import AccountPages
from authsvc.web.portal.activity_pages import ActivityPages
from authsvc.web.portal.app_pages import AppPages
from authsvc.web.portal.audit_pages import AuditPages
from authsvc.web.portal.customer_pages import CustomerPages
from authsvc.web.portal.image_deletion_pages import ImageDeletionPages
from authsvc.web.portal.image_pages import ImagePages
from authsvc.web.portal.join_pages import JoinPages
from authsvc.web.portal.license_change_pages import LicenseChangePages
from authsvc.web.portal.license_link_pages import LicenseLinkPages
from authsvc.web.portal.license_pages import LicensePages
from authsvc.web.portal.license_row_actions import LicenseImportAction, LicenseRenewalAction
from authsvc.web.portal.passkey_check import Confirmation, PasskeyCheck
from authsvc.web.portal.passkey_pages import PasskeyPages
from authsvc.web.portal.password_check import PasswordAuthenticator, PasswordCheck, RecordRefused
from authsvc.web.portal.route import Route
from authsvc.web.portal.row_pages import RowFilesPages, RowPages
from authsvc.web.portal.service_account_pages import ServiceAccountPages
from authsvc.web.portal.settings_pages import SettingsPages
from authsvc.web.portal.sign_in_pages import SignInPages
from authsvc.web.portal.team_pages import TeamPages
from authsvc.web.portal.token_pages import TokenPages
from authsvc.web.portal.upstream_link_pages import UpstreamLinkPages
from authsvc.web.portal.upstream_pages import UpstreamPages
from authsvc.web.portal.webhook_pages import WebhookPages


def portal_routes(
    use_cases: UseCases,
    authenticator: PasswordAuthenticator,
    passkeys: PasskeyAuthenticator | None,
    record: RecordRefused,
    public_url: PublicUrl,
) -> tuple[Route, ...]:
    """Return the address of every page.

    Args:
        use_cases: what the pages call.
        authenticator: checks passwords, behind the throttle.
        passkeys: checks passkeys; None where browsers make none.
        record: writes refused passwords and passkeys to the audit.
        public_url: what people open.
    """
    passwords, checks = PasswordCheck(authenticator, record), PasskeyCheck(passkeys, record)
    teams, licenses, activity = use_cases.teams, use_cases.licenses, use_cases.activity
    return (
        *SignInPages(passwords, checks, use_cases.sessions).routes(),
        *JoinPages(use_cases.links, use_cases.sessions).routes(),
        *TeamPages(use_cases.members, use_cases.links, use_cases.passkeys, public_url.text).routes(),
        *ServiceAccountPages(use_cases.service_accounts).routes(),
        *TokenPages(use_cases.tokens).routes(),
        *AccountPages(passwords, use_cases.members, use_cases.sessions).routes(),
        *SettingsPages(teams).routes(),
        *AppPages(teams).routes(),
        *PasskeyPages(Confirmation(passwords, checks), checks, use_cases.passkeys).routes(),
        *AuditPages(teams, use_cases.audit).routes(),
        *ImageDeletionPages(use_cases.image_deletions).routes(),
        *ImagePages(
            teams, use_cases.images, use_cases.repositories, use_cases.image_users, use_cases.upstreams
        ).routes(),
        *CustomerPages(teams, use_cases.customers, licenses, activity).routes(),
        *ActivityPages(teams, activity, use_cases.audit).routes(),
        *UpstreamLinkPages(teams, use_cases.upstreams).routes(),
        *UpstreamPages(teams, use_cases.upstreams).routes(),
        *WebhookPages(teams, use_cases.webhooks).routes(),
        *RowPages(use_cases, LicenseImportAction(use_cases)).routes(),
        *RowPages(use_cases, LicenseRenewalAction(use_cases)).routes(),
        *RowFilesPages(use_cases).routes(),
        *LicenseChangePages(licenses).routes(),
        *LicensePages(teams, licenses, use_cases.license_preview, activity).routes(),
        *LicenseLinkPages(licenses, use_cases.license_links, public_url.text).routes(),
    )
