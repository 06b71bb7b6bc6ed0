"""Signing in with e-mail and password, and signing out."""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from attrs import frozen

from authsvc.audit.token_event import AuditedRequest
from authsvc.client import Client
from authsvc.credentials.proof import PasswordProof, Proof
from authsvc.credentials.subject import MemberSubject, Subject
from authsvc.errors import (
    AccountDenied,
    AuthsvcError,
    Conflict,
    CredentialsRefused,
    InputRefused,
    Overloaded,
    Throttled,
)
from authsvc.issuance import decided
from authsvc.manage.actor import Actor
from authsvc.manage.sessions import Sessions
from authsvc.redaction import Secret
from authsvc.spec.token_request import from_query
from authsvc.tenancy.names import parse_email
from authsvc.tenancy.records import Member
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit
from authsvc.web.portal.route import HOME, SIGN_IN, Route
from authsvc.web.public_error import public_error

WRONG = "the e-mail address or the password is wrong"
"""One sentence for an unknown address and for a wrong password."""

MAX_NEXT = 500
"""Characters of the address that a sign-in leads back to."""

_LOCAL_PATH = re.compile(r"/portal/[A-Za-z0-9/?&=._~%@:+-]*", re.ASCII)


RecordRefused = Callable[[AuditedRequest, Exception], None]


class PasswordAuthenticator(Protocol):
    """Checks passwords behind the throttle."""

    async def authenticate(self, proof: Proof, namespaces: Collection[str], client: Client, now: datetime) -> Subject:
        """Return the proven subject."""
        ...


@frozen
class PasswordCheck:
    """Proves that whoever uses the browser knows a member's password: the same check as for ``docker login``.

    Attributes:
        authenticator: the one that registry tokens are issued by, so that wrong passwords are counted together.
        record: writes what was refused to the audit, as of a request for a token; neither waits nor fails.
    """

    authenticator: PasswordAuthenticator
    record: RecordRefused

    async def member(self, email: str, password: Secret, visit: Visit) -> Member:
        """Return the member with this address and password.

        Raises:
            CredentialsRefused: there is none.
            AccountDenied: the account is disabled.
            Throttled: too many were wrong before.
            Overloaded: too many passwords are being checked.
            StoreUnavailable: the store did not answer.
        """
        try:
            return await self._checked(email, password, visit)
        except (CredentialsRefused, AccountDenied, Throttled) as error:
            asked = from_query((), None)  # for nothing: a sign-in has no scopes
            self.record(AuditedRequest(visit.request_id, visit.now, visit.client, asked), error)
            raise

    async def _checked(self, email: str, password: Secret, visit: Visit) -> Member:
        try:
            proof = PasswordProof(parse_email(email), password)
        except InputRefused:
            raise CredentialsRefused(WRONG, detail="no e-mail address") from None
        try:
            subject = await self.authenticator.authenticate(proof, (), visit.client, visit.now)
        except CredentialsRefused as error:
            raise CredentialsRefused(WRONG, detail=error.detail) from None
        if not isinstance(subject, MemberSubject):
            raise CredentialsRefused(WRONG, detail=f"{subject.id} is not a member")
        decided(subject, (), visit.now)
        return subject.member


@frozen
class SignInPages:
    """The pages before anyone is signed in, and the end of a session.

    Attributes:
        passwords: checks them.
        sessions: begins and ends them.
    """

    passwords: PasswordCheck
    sessions: Sessions

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        return (
            Route("GET", "/", self.home, public=True),
            Route("GET", "/sign-in", self.form, public=True),
            Route("POST", "/sign-in", self.sign_in, public=True),
            Route("POST", "/sign-out", self.sign_out),
        )

    async def home(self, visit: Visit) -> PortalAnswer:
        """Lead to the first page, or to the form."""
        return RedirectAnswer(SIGN_IN if visit.signed_in is None else HOME)

    async def form(self, visit: Visit) -> PortalAnswer:
        """Show the form; who is signed in goes on."""
        if visit.signed_in is not None:
            return RedirectAnswer(_following(visit.query))
        done = "Your password is set. Sign in with it." if visit.query.get("done") == "password" else None
        return PageAnswer("sign_in", {"next": _following(visit.query), "email": "", "notice": done})

    async def sign_in(self, visit: Visit) -> PortalAnswer:
        """Begin a session with a new id, whatever cookie the browser had before."""
        email, following = visit.form.get("email", ""), _following(visit.form)
        try:
            member = await self.passwords.member(email, visit.secret("password"), visit)
            operation = visit.operation(Actor.of_member(member))
            cookie = await self.sessions.begin(member.epoch, visit.client, operation)
            if visit.signed_in is not None:
                await self.sessions.end(visit.user.session.id, visit.operation())
        except (CredentialsRefused, AccountDenied, Throttled, Overloaded, Conflict) as error:
            return _refused(error, visit, {"next": following, "email": email})
        return RedirectAnswer(following, cookie=cookie)

    async def sign_out(self, visit: Visit) -> PortalAnswer:
        """End the session in the store and in the browser."""
        await self.sessions.end(visit.user.session.id, visit.operation())
        return RedirectAnswer(SIGN_IN, signs_out=True)


def _refused(error: AuthsvcError, visit: Visit, values: dict[str, str]) -> PageAnswer:
    public = public_error(error, visit.request_id)
    status = HTTPStatus.FORBIDDEN if isinstance(error, AccountDenied) else public.status
    shown = {**values, "error": public.message}
    return PageAnswer("sign_in", shown, status, retry_after=public.retry_after, refusal=error)


def _following(values: Mapping[str, str]) -> str:
    """Return the page that a sign-in leads to: one of ours, never another site."""
    following = values.get("next", "")
    return following if len(following) <= MAX_NEXT and _LOCAL_PATH.fullmatch(following) else HOME
