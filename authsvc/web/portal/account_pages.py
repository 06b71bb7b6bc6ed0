"""The page of the member's account: password, sessions, and sign-ins of docker."""

from http import HTTPStatus

from attrs import evolve, frozen

from authsvc.errors import Conflict, CredentialsRefused, InputRefused, Overloaded, Throttled
from authsvc.manage.members import Members
from authsvc.manage.permissions import Permission
from authsvc.manage.sessions import Sessions
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit
from authsvc.web.portal.password_check import PasswordCheck
from authsvc.web.portal.route import PREFIX, SIGN_IN, Route
from authsvc.web.public_error import public_error

ACCOUNT = f"{PREFIX}/account"

NOT_YOURS = "the current password is wrong"
DIFFERENT = "the two new passwords differ"


@frozen(eq=False, repr=False)
class AccountPages:
    """The pages of a member's own account.

    Attributes:
        passwords: checks the present password before it is changed.
        members: changes it.
        sessions: lists and ends them.
    """

    passwords: PasswordCheck
    members: Members
    sessions: Sessions

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/account", self.show, Permission.SESSION_LIST),
            Route("POST", "/account/password", self.set_password, Permission.MEMBER_SET_PASSWORD),
            Route("POST", "/account/sessions/{session}/end", self.end, Permission.SESSION_END),
            Route("POST", "/account/sign-out-everywhere", self.end_all, Permission.SESSION_END_ALL),
        )

    async def show(self, visit: Visit) -> PortalAnswer:
        """Show the account."""
        return await self._account(visit)

    async def set_password(self, visit: Visit) -> PortalAnswer:
        """Set another password: every session ends, and this browser gets a new one.

        The current password is required: a browser that was left open must not be sufficient.
        """
        member, new = visit.user.member, visit.secret("new")
        if not visit.has_same("new", "again"):
            return await self._account(visit, DIFFERENT, HTTPStatus.BAD_REQUEST)
        try:
            await self.passwords.member(member.email, visit.secret("present"), visit)
            changed = await self.members.set_password(member.id, new, visit.operation())
        except CredentialsRefused:
            return await self._account(visit, NOT_YOURS, HTTPStatus.BAD_REQUEST)
        except (InputRefused, Throttled, Overloaded) as error:
            public = public_error(error, visit.request_id)
            return evolve(await self._account(visit, public.message, public.status), retry_after=public.retry_after)
        try:
            cookie = await self.sessions.begin(changed.epoch, visit.client, visit.operation())
        except Conflict:  # the password is changed nevertheless
            return RedirectAnswer(f"{SIGN_IN}?done=password", signs_out=True)
        return RedirectAnswer(f"{ACCOUNT}?done=password", cookie=cookie)

    async def end(self, visit: Visit) -> PortalAnswer:
        """End one session; when it is this one, the browser is signed out."""
        session_id = visit.names["session"]
        await self.sessions.end(session_id, visit.operation())
        if session_id == visit.user.session.id:
            return RedirectAnswer(SIGN_IN, signs_out=True)
        return RedirectAnswer(f"{ACCOUNT}?done=session")

    async def end_all(self, visit: Visit) -> PortalAnswer:
        """End every session, and the sign-ins of ``docker login``."""
        await self.sessions.end_all(visit.operation())
        return RedirectAnswer(SIGN_IN, signs_out=True)

    async def _account(self, visit: Visit, error: str | None = None, status: HTTPStatus = HTTPStatus.OK) -> PageAnswer:
        sessions = await self.sessions.list(visit.actor, visit.now)
        values = {
            "sessions": sessions,
            "this_session": visit.user.session.id,
            "error": error,
            "notice": _DONE.get(visit.query.get("done", "")),
        }
        return PageAnswer("account", values, status)


_DONE = {"password": "Your password was changed. Every other session has ended.", "session": "The session has ended."}
