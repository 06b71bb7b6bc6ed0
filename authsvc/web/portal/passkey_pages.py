"""The passkeys of the member who is signed in: registered, renamed and removed.

Registering or removing one must be confirmed again, with the password or a passkey. The challenge of a registration is
made only after that, so that no passkey can be registered without confirmation.
"""

from http import HTTPStatus

from attrs import evolve, frozen

from authsvc.errors import AuthsvcError, CredentialsRefused, InputRefused, Overloaded, Throttled
from authsvc.manage.passkeys import PasskeyLine, Passkeys
from authsvc.manage.permissions import Permission
from authsvc.web.portal.account_pages import NOT_YOURS
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit
from authsvc.web.portal.passkey_check import ANSWER, Confirmation, PasskeyCheck
from authsvc.web.portal.route import PREFIX, Route
from authsvc.web.public_error import public_error

PASSKEYS = f"{PREFIX}/account/passkeys"

NOT_MADE = "the new passkey was not accepted, or it took longer than five minutes; add it again"


@frozen(eq=False, repr=False)
class PasskeyPages:
    """The list of a member's passkeys, and a page for each.

    Attributes:
        confirmation: of what gives or takes access.
        checks: of what browsers answer.
        passkeys: registers, lists, renames and removes them.
    """

    confirmation: Confirmation
    checks: PasskeyCheck
    passkeys: Passkeys

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        one = "/account/passkeys/{passkey}"
        return (
            Route("GET", "/account/passkeys", self.show, Permission.PASSKEY_LIST),
            Route("POST", "/account/passkeys", self.register, Permission.PASSKEY_REGISTER),
            Route("POST", "/account/passkeys/new", self.confirm, Permission.PASSKEY_REGISTER),
            Route("GET", one, self.show_one, Permission.PASSKEY_LIST),
            Route("POST", f"{one}/rename", self.rename, Permission.PASSKEY_RENAME),
            Route("POST", f"{one}/remove", self.remove, Permission.PASSKEY_REMOVE),
        )

    async def show(self, visit: Visit) -> PortalAnswer:
        """List them."""
        return await self._list(visit)

    async def confirm(self, visit: Visit) -> PortalAnswer:
        """Request a new passkey from the browser, after the member has confirmed it."""
        try:
            await self.confirmation.require(visit)
            known = [line.passkey for line in await self.passkeys.list(visit.actor)]
            options = await self.checks.creation_options(visit, known)
        except (CredentialsRefused, InputRefused, Throttled, Overloaded) as error:
            return await self._list(visit, error)
        return PageAnswer("passkey_new", {"options": options})

    async def register(self, visit: Visit) -> PortalAnswer:
        """Store the passkey that the browser has made."""
        try:
            made = await self.checks.registered(visit)
            await self.passkeys.register(visit.form.get("name", ""), made, visit.operation())
        except CredentialsRefused as error:
            return await self._list(
                visit, InputRefused(NOT_MADE, code="passkey_invalid", field=None, detail=error.detail)
            )
        except InputRefused as error:
            return await self._list(visit, error)
        return RedirectAnswer(f"{PASSKEYS}?done=registered")

    async def show_one(self, visit: Visit) -> PortalAnswer:
        """Show one, with what can be done to it."""
        return await self._one(visit)

    async def rename(self, visit: Visit) -> PortalAnswer:
        """Give one another name."""
        try:
            await self.passkeys.rename(visit.names["passkey"], visit.form.get("name", ""), visit.operation())
        except InputRefused as error:
            return await self._one(visit, error)
        return RedirectAnswer(f"{PASSKEYS}?done=renamed")

    async def remove(self, visit: Visit) -> PortalAnswer:
        """Forget one, and end the other sessions that were begun with it."""
        try:
            await self.confirmation.require(visit)
            await self.passkeys.remove(visit.names["passkey"], visit.operation(), visit.user.session.id)
        except (CredentialsRefused, InputRefused, Throttled, Overloaded) as error:
            return await self._one(visit, error)
        return RedirectAnswer(f"{PASSKEYS}?done=removed")

    async def _list(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        lines = await self.passkeys.list(visit.actor)
        values = {
            "passkeys": lines,
            "party": self.checks.authenticator and self.checks.authenticator.host,
            "options": await self._options(visit, lines),
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return _with_error(PageAnswer("passkeys", values), visit, error)

    async def _one(self, visit: Visit, error: AuthsvcError | None = None) -> PageAnswer:
        lines = await self.passkeys.list(visit.actor)
        found = next((line for line in lines if line.passkey.id == visit.names["passkey"]), None)
        if found is None:
            return await self._list(visit, error or _GONE)
        values = {"line": found, "options": await self._options(visit, lines)}
        return _with_error(PageAnswer("passkey", values), visit, error)

    async def _options(self, visit: Visit, lines: tuple[PasskeyLine, ...]) -> str | None:
        return await self.checks.confirm_options(visit, [line.passkey for line in lines])


def _with_error(page: PageAnswer, visit: Visit, error: AuthsvcError | None) -> PageAnswer:
    """Return the page with the reason of a refusal; the status is not 401, since the member stays signed in."""
    if error is None:
        return page
    public = public_error(error, visit.request_id)
    is_credential = isinstance(error, CredentialsRefused)
    message = NOT_YOURS if is_credential and not visit.form.get(ANSWER) else public.message
    status = HTTPStatus.BAD_REQUEST if is_credential else public.status
    values = {**page.values, "error": message}
    return evolve(page, values=values, status=status, retry_after=public.retry_after, refusal=error)


_GONE = InputRefused("there is no such passkey", code="passkey_not_found", field=None)

_DONE = {
    "registered": "The passkey is registered. You can sign in with it now.",
    "renamed": "The passkey has another name.",
    "removed": "The passkey is removed, and the other sessions that were begun with it have ended.",
}
