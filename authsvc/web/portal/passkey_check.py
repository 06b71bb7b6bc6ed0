"""Authenticates members by passkeys, and confirms changes of an account's credentials."""

from collections.abc import Sequence

from attrs import frozen

from authsvc.audit.token_event import AuditedRequest
from authsvc.credentials.passkey_challenge import refused
from authsvc.credentials.passkeys import PasskeyAuthenticator, ProvenPasskey
from authsvc.credentials.subject import MemberSubject
from authsvc.errors import AccountDenied, CredentialsRefused, StoreUnavailable
from authsvc.issuance import decided
from authsvc.spec.token_request import from_query
from authsvc.tenancy.passkey import NewCredential, Passkey
from authsvc.web.portal.answers import Visit
from authsvc.web.portal.password_check import PasswordCheck, RecordRefused

ANSWER = "answer"
"""Field of a form with the browser's answer."""


@frozen(eq=False, repr=False)
class PasskeyCheck:
    """Requests passkeys from browsers, and writes refused ones to the audit, like passwords.

    Attributes:
        authenticator: checks them; None where browsers make none.
        record: writes refusals to the audit, like those of token requests; neither waits nor fails.
    """

    authenticator: PasskeyAuthenticator | None
    record: RecordRefused

    async def sign_in_options(self, visit: Visit) -> str | None:
        """Return the options of the request in the sign-in form; None when only passwords are possible now."""
        if self.authenticator is None:
            return None
        try:
            return await self.authenticator.sign_in_options(visit.browser, visit.now)
        except StoreUnavailable:
            return None

    async def confirm_options(self, visit: Visit, known: Sequence[Passkey]) -> str | None:
        """Return the options of the request that confirms a change; None if the member has no passkey for this host."""
        if self.authenticator is None:
            return None
        usable = [one for one in known if one.rp_id == self.authenticator.host]
        return await self.authenticator.confirm_options(visit.browser, usable, visit.now) if usable else None

    async def creation_options(self, visit: Visit, known: Sequence[Passkey]) -> str:
        """Return the options of the request that makes a passkey; the member has just confirmed it."""
        return await self._required().creation_options(visit.browser, visit.user.member, known, visit.now)

    async def registered(self, visit: Visit) -> NewCredential:
        """Return the passkey that was made.

        Raises:
            CredentialsRefused: it is not acceptable.
        """
        return await self._required().registered(visit.form.get(ANSWER, ""), visit.browser, visit.now)

    async def signed_in(self, visit: Visit) -> ProvenPasskey:
        """Return the member who has signed in with a passkey.

        Raises:
            CredentialsRefused: the passkey was refused.
            AccountDenied: the account is disabled.
            StoreUnavailable: the store did not answer.
        """
        try:
            proven = await self._required().signed_in(visit.form.get(ANSWER, ""), visit.browser, visit.now)
            decided(MemberSubject(proven.member, by=proven.passkey), (), visit.now)
        except (CredentialsRefused, AccountDenied) as error:
            self._record(visit, error)
            raise
        return proven

    async def confirm(self, visit: Visit) -> None:
        """Accept a change that the member who is signed in confirms with a passkey.

        Raises:
            CredentialsRefused: it is not confirmed.
            StoreUnavailable: the store did not answer.
        """
        try:
            answer = visit.form.get(ANSWER, "")
            await self._required().confirmed(answer, visit.browser, visit.user.member, visit.now)
        except CredentialsRefused as error:
            self._record(visit, error)
            raise

    def _required(self) -> PasskeyAuthenticator:
        if self.authenticator is None:
            raise refused("no browser makes one for this public URL")
        return self.authenticator

    def _record(self, visit: Visit, error: CredentialsRefused | AccountDenied) -> None:
        asked = from_query((), None)  # without scopes: a sign-in requests no access
        self.record(AuditedRequest(visit.request_id, visit.now, visit.client, asked), error)


@frozen(eq=False, repr=False)
class Confirmation:
    """Authenticates the member again: a browser that was left open must not be sufficient for such changes.

    Attributes:
        passwords: checks the current password.
        passkeys: check a passkey instead.
    """

    passwords: PasswordCheck
    passkeys: PasskeyCheck

    async def require(self, visit: Visit) -> None:
        """Accept the change that a form asks for.

        Raises:
            CredentialsRefused: neither password nor passkey is right.
            AccountDenied: the account is disabled.
            Throttled: too many passwords were wrong before.
            Overloaded: too many passwords are being checked.
            StoreUnavailable: the store did not answer.
        """
        if visit.form.get(ANSWER):
            await self.passkeys.confirm(visit)
        else:
            await self.passwords.member(visit.user.member.email, visit.secret("present"), visit)
