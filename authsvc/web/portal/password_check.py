"""Authenticates members by e-mail address and password, with the same check as for ``docker login``."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol

from attrs import frozen

from authsvc.audit.token_event import AuditedRequest
from authsvc.client import Client
from authsvc.credentials.proof import PasswordProof, Proof
from authsvc.credentials.subject import MemberSubject, Subject
from authsvc.errors import AccountDenied, CredentialsRefused, InputRefused, Throttled
from authsvc.issuance import decided
from authsvc.redaction import Secret
from authsvc.spec.token_request import from_query
from authsvc.tenancy.names import parse_email
from authsvc.tenancy.records import Member
from authsvc.web.portal.answers import Visit

WRONG = "the e-mail address or the password is wrong"
"""The same sentence for an unknown address and for a wrong password."""

RecordRefused = Callable[[AuditedRequest, Exception], None]


class PasswordAuthenticator(Protocol):
    """Checks passwords behind the throttle."""

    async def authenticate(self, proof: Proof, namespaces: Collection[str], client: Client, now: datetime) -> Subject:
        """Return the proven subject."""
        ...


@frozen(eq=False, repr=False)
class PasswordCheck:
    """Authenticates the user of a browser by a member's password, with the same check as for ``docker login``.

    Attributes:
        authenticator: the one that registry tokens are issued by, so that wrong passwords are counted together.
        record: writes refusals to the audit, like those of token requests; neither waits nor fails.
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
            asked = from_query((), None)  # without scopes: a sign-in requests no access
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
