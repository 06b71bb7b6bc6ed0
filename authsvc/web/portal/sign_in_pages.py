"""Signing in with e-mail and password or with a passkey, and signing out."""

import re
from collections.abc import Mapping
from http import HTTPStatus

from attrs import frozen

from authsvc.errors import AccountDenied, AuthsvcError, Conflict, CredentialsRefused, NotFound, Overloaded, Throttled
from authsvc.manage.actor import Actor
from authsvc.manage.sessions import Sessions
from authsvc.redaction import Secret
from authsvc.tenancy.passkey import PasskeyUse
from authsvc.tenancy.records import Member
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit
from authsvc.web.portal.passkey_check import PasskeyCheck
from authsvc.web.portal.password_check import PasswordCheck
from authsvc.web.portal.route import HOME, SIGN_IN, Route
from authsvc.web.public_error import public_error

MAX_NEXT = 500
"""Characters of the address that a sign-in leads back to."""

_LOCAL_PATH = re.compile(r"/portal/[A-Za-z0-9/?&=._~%@:+-]*", re.ASCII)


@frozen(eq=False, repr=False)
class SignInPages:
    """The pages before anyone is signed in, and the end of a session.

    Attributes:
        passwords: checks them.
        passkeys: check them.
        sessions: begins and ends them.
    """

    passwords: PasswordCheck
    passkeys: PasskeyCheck
    sessions: Sessions

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/", self.home, public=True),
            Route("GET", "/sign-in", self.form, public=True),
            Route("POST", "/sign-in", self.sign_in, public=True),
            Route("POST", "/sign-in/passkey", self.sign_in_with_passkey, public=True),
            Route("POST", "/sign-out", self.sign_out),
        )

    async def home(self, visit: Visit) -> PortalAnswer:
        """Lead to the first page, or to the form."""
        return RedirectAnswer(SIGN_IN if visit.signed_in is None else HOME)

    async def form(self, visit: Visit) -> PortalAnswer:
        """Show the form; signed-in members are redirected."""
        if visit.signed_in is not None:
            return RedirectAnswer(_following(visit.query))
        done = "Your password is set. Sign in with it." if visit.query.get("done") == "password" else None
        values = {"next": _following(visit.query), "email": "", "notice": done}
        return PageAnswer("sign_in", {**values, "passkey": await self.passkeys.sign_in_options(visit)})

    async def sign_in(self, visit: Visit) -> PortalAnswer:
        """Begin a session with a new id, whatever cookie the browser had before."""
        email, following = visit.form.get("email", ""), _following(visit.form)
        try:
            member = await self.passwords.member(email, visit.secret("password"), visit)
            cookie = await self._begin(member, visit)
        except (CredentialsRefused, AccountDenied, Throttled, Overloaded, Conflict) as error:
            return await self._refused(error, visit, {"next": following, "email": email})
        return RedirectAnswer(following, cookie=cookie)

    async def sign_in_with_passkey(self, visit: Visit) -> PortalAnswer:
        """Begin a session for the owner of the passkey, which the browser chooses."""
        following = _following(visit.form)
        try:
            proven = await self.passkeys.signed_in(visit)
            cookie = await self._begin(proven.member, visit, proven.use)
        except (CredentialsRefused, AccountDenied, NotFound, Conflict) as error:
            return await self._refused(error, visit, {"next": following, "email": ""})
        return RedirectAnswer(following, cookie=cookie)

    async def _begin(self, member: Member, visit: Visit, use: PasskeyUse | None = None) -> Secret:
        operation = visit.operation(Actor.of_member(member))
        cookie = await self.sessions.begin(member.epoch, visit.client, operation, use)
        if visit.signed_in is not None:
            await self.sessions.end(visit.user.session.id, visit.operation())
        return cookie

    async def sign_out(self, visit: Visit) -> PortalAnswer:
        """End the session in the store and in the browser."""
        await self.sessions.end(visit.user.session.id, visit.operation())
        return RedirectAnswer(SIGN_IN, signs_out=True)

    async def _refused(self, error: AuthsvcError, visit: Visit, values: dict[str, str]) -> PageAnswer:
        public = public_error(error, visit.request_id)
        status = HTTPStatus.FORBIDDEN if isinstance(error, AccountDenied) else public.status
        shown = {**values, "error": public.message, "passkey": await self.passkeys.sign_in_options(visit)}
        return PageAnswer("sign_in", shown, status, retry_after=public.retry_after, refusal=error)


def _following(values: Mapping[str, str]) -> str:
    """Return the page that a sign-in leads to: one of ours, never another site."""
    following = values.get("next", "")
    return following if len(following) <= MAX_NEXT and _LOCAL_PATH.fullmatch(following) else HOME
