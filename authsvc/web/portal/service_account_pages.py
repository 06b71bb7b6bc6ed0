"""Service accounts: the team's own accounts for machines, such as a CI build."""

from collections.abc import Awaitable

from attrs import frozen

from authsvc.errors import AuthsvcError, ConfirmationNeeded, Conflict, InputRefused, NotFound
from authsvc.manage.permissions import Permission
from authsvc.manage.service_accounts import ServiceAccounts
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_span
from authsvc.tenancy.machine_records import ApiAccess, ServiceAccount
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, confirm_page, status_of
from authsvc.web.portal.license_states import end_after
from authsvc.web.portal.route import PREFIX, Route

ACCOUNTS = f"{PREFIX}/service-accounts"

FIELDS = ("name", "grants", "api", "last_day")

_DONE = {
    "grants": "The grants were changed. The next token has them.",
    "disable": "The account is refused until it is enabled.",
    "enable": "The account counts again.",
    "revoke": "The account is revoked for good.",
}


@frozen(eq=False, repr=False)
class ServiceAccountPages:
    """The pages of service accounts.

    Attributes:
        accounts: makes, lists and changes them.
    """

    accounts: ServiceAccounts

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        one = "/service-accounts/{account}"
        return (
            Route("GET", "/service-accounts", self.list, Permission.SERVICE_ACCOUNT_LIST),
            Route("POST", "/service-accounts", self.create, Permission.SERVICE_ACCOUNT_CREATE),
            Route("GET", one, self.show, Permission.SERVICE_ACCOUNT_SHOW),
            Route("POST", f"{one}/grants", self.set_grants, Permission.SERVICE_ACCOUNT_SET_GRANTS),
            Route("POST", f"{one}/rotate", self.rotate, Permission.SERVICE_ACCOUNT_ROTATE),
            Route("POST", f"{one}/disable", self.disable, Permission.SERVICE_ACCOUNT_DISABLE),
            Route("POST", f"{one}/enable", self.enable, Permission.SERVICE_ACCOUNT_ENABLE),
            Route("GET", f"{one}/revoke", self.ask_revoke, Permission.SERVICE_ACCOUNT_REVOKE),
            Route("POST", f"{one}/revoke", self.revoke, Permission.SERVICE_ACCOUNT_REVOKE),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show the accounts that are not revoked, by name."""
        return await self._accounts(visit)

    async def create(self, visit: Visit) -> PortalAnswer:
        """Make an account and show its secret, this once."""
        values = {name: visit.form.get(name, "").strip() for name in FIELDS}
        try:
            account, secret = await self.accounts.create(
                values["name"],
                visit.user.member.team,
                values["grants"].split(),
                values["api"] or None,
                end_after(values["last_day"]) or None,
                visit.operation(),
            )
        except (InputRefused, Conflict, NotFound) as error:
            return await self._accounts(visit, error)
        return _secret_page(account, secret)

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show an account."""
        return await self._account(visit)

    async def set_grants(self, visit: Visit) -> PortalAnswer:
        """Give it other grants in place of all that it has."""
        grants = visit.form.get("grants", "").split()
        change = self.accounts.set_grants(visit.names["account"], None, grants, visit.operation())
        return await self._changed(visit, "grants", change)

    async def rotate(self, visit: Visit) -> PortalAnswer:
        """Give it another secret and show that, this once."""
        try:
            overlap = parse_span(visit.form.get("overlap", "").strip(), "overlap")
            account, secret = await self.accounts.rotate(
                visit.names["account"], None, overlap, visit.operation(), visit.form.get("confirmed") or None
            )
        except (InputRefused, Conflict) as error:
            return await self._account(visit, error)
        return _secret_page(account, secret)

    async def disable(self, visit: Visit) -> PortalAnswer:
        """Refuse it for now."""
        change = self.accounts.disable(visit.names["account"], None, visit.operation())
        return await self._changed(visit, "disable", change)

    async def enable(self, visit: Visit) -> PortalAnswer:
        """Undo that."""
        return await self._changed(
            visit, "enable", self.accounts.enable(visit.names["account"], None, visit.operation())
        )

    async def ask_revoke(self, visit: Visit) -> PortalAnswer:
        """Say what revoking ends."""
        account, used_at = await self.accounts.show(visit.actor, visit.names["account"])
        used = "It was never used." if used_at is None else f"It was last used at {used_at:%Y-%m-%d %H:%M} UTC."
        return confirm_page(
            f"Revoke {account.name}",
            (
                used,
                "From now on its secret is refused, for good: what signs in with it needs another account.",
                "To refuse it for a while only, disable it.",
            ),
            f"{ACCOUNTS}/{account.id}/revoke",
            "Revoke for good",
            f"{ACCOUNTS}/{account.id}",
        )

    async def revoke(self, visit: Visit) -> PortalAnswer:
        """Refuse it for good."""
        return await self._changed(
            visit, "revoke", self.accounts.revoke(visit.names["account"], None, visit.operation())
        )

    async def _changed(self, visit: Visit, what: str, change: Awaitable[ServiceAccount]) -> PortalAnswer:
        try:
            account = await change
        except (InputRefused, Conflict) as error:
            return await self._account(visit, error)
        return RedirectAnswer(f"{ACCOUNTS}/{account.id}?done={what}")

    async def _accounts(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        page = await self.accounts.list(visit.actor, visit.user.member.team, after=visit.query.get("after"))
        values = {
            "accounts": page.items,
            "next": page.next,
            "access": list(ApiAccess),
            "fields": {name: visit.form.get(name, "") for name in FIELDS},
            "error": None if error is None else str(error),
        }
        return PageAnswer("service_accounts", values, status_of(error))

    async def _account(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        account, used_at = await self.accounts.show(visit.actor, visit.names["account"])
        values = {
            "account": account,
            "used_at": used_at,
            "in_force": account.in_force(visit.now),
            "overlap": visit.form.get("overlap", "24h"),
            "confirm": error if isinstance(error, ConfirmationNeeded) else None,
            "error": None if error is None else str(error),
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("service_account", values, status_of(error))


def _secret_page(account: ServiceAccount, secret: Secret) -> PageAnswer:
    return PageAnswer("service_account_secret", {"account": account, "secret": secret.reveal()})
