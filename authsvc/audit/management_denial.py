"""Denials of management in the audit: an authenticated account called a use case that it may not call.

They are aggregated like decisions on tokens, so that repeated calls do not fill the audit.
"""

from datetime import datetime

from attrs import frozen

from authsvc.audit.credential import credential_of
from authsvc.audit.token_event import Facts, TokenEvent
from authsvc.client import Client
from authsvc.credentials.subject import MemberSubject, ServiceAccountSubject
from authsvc.errors import PermissionDenied
from authsvc.outcomes import MANAGEMENT_DENIED
from authsvc.redaction import unsecret


@frozen
class ManagementDenial:
    """A denied request.

    Attributes:
        request_id: our id of the request; the client was shown it.
        at: the request's one reading of the clock, aware UTC.
        client: the sender.
        subject: the caller.
        use_case: that was called, as a phrase that completes "may not …".
        error: the one that the client got.
    """

    request_id: str
    at: datetime
    client: Client
    subject: MemberSubject | ServiceAccountSubject
    use_case: str
    error: PermissionDenied


def denial_event(denial: ManagementDenial) -> TokenEvent:
    """Return the event of a denied request, which belongs to the team of the caller."""
    subject = denial.subject
    team = subject.member.team if isinstance(subject, MemberSubject) else subject.account.team
    facts = Facts(
        credential=credential_of(subject, denial.at),
        kind=type(denial.error).__name__,
        reason=unsecret(str(denial.error)),
        use_case=denial.use_case,
    )
    return TokenEvent(
        *(denial.request_id, denial.at, MANAGEMENT_DENIED, subject.id, denial.client, facts), owners=((None, team),)
    )
