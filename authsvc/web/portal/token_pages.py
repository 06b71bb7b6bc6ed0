"""The member's own tokens for tools, and what ``docker login`` has stored."""

from attrs import frozen

from authsvc.errors import AuthsvcError, Conflict, InputRefused
from authsvc.manage.permissions import Permission
from authsvc.manage.tokens import Tokens
from authsvc.tenancy.machine_records import ApiAccess
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.license_states import end_after
from authsvc.web.portal.route import PREFIX, Route

TOKENS = f"{PREFIX}/tokens"

FIELDS = ("name", "last_day", "api")


@frozen(eq=False, repr=False)
class TokenPages:
    """The pages of a member's tokens.

    Attributes:
        tokens: makes, lists and revokes them.
    """

    tokens: Tokens

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/tokens", self.list, Permission.TOKEN_LIST),
            Route("POST", "/tokens", self.create, Permission.TOKEN_CREATE),
            Route("POST", "/tokens/{token}/revoke", self.revoke, Permission.TOKEN_REVOKE),
        )

    async def list(self, visit: Visit) -> PortalAnswer:
        """Show tokens and sign-ins."""
        return await self._tokens(visit)

    async def create(self, visit: Visit) -> PortalAnswer:
        """Make a token and show it, this once."""
        values = {name: visit.form.get(name, "").strip() for name in FIELDS}
        expires = end_after(values["last_day"]) or None
        try:
            token, secret = await self.tokens.create(
                values["name"], visit.user.member.id, expires, values["api"] or None, visit.operation()
            )
        except (InputRefused, Conflict) as error:
            return await self._tokens(visit, error)
        return PageAnswer("token", {"token": token, "secret": secret.reveal()})

    async def revoke(self, visit: Visit) -> PortalAnswer:
        """Refuse a token, or end a sign-in, from now on."""
        await self.tokens.revoke(visit.names["token"], visit.operation())
        return RedirectAnswer(f"{TOKENS}?done=revoked")

    async def _tokens(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        member, after = visit.user.member, visit.query.get("after")
        page = await self.tokens.list(visit.actor, member.id, visit.now, after=after)
        values = {
            "tokens": page.items,
            "next": page.next,
            "access": list(ApiAccess),
            "fields": {name: visit.form.get(name, "") for name in FIELDS},
            "error": None if error is None else str(error),
            "notice": "The token is revoked." if visit.query.get("done") == "revoked" else None,
        }
        return PageAnswer("tokens", values, status_of(error))
