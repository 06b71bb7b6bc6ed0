"""Denials of management in the audit: a proven account asked for a use case that it may not call.

They are aggregated like decisions on tokens, so that nobody fills the audit by asking again.
"""

from datetime import datetime

from attrs import frozen

from authsvc.audit.token_event import Facts, TokenEvent, credential_of
from authsvc.client import Client
from authsvc.credentials.subject import MemberSubject, ServiceAccountSubject
from authsvc.errors import PermissionDenied
from authsvc.outcomes import MANAGEMENT_DENIED
from authsvc.redaction import unsecret


@frozen
class ManagementDenial:
    """A denied request.

    Attributes:
        request_id: ours; the client was shown it.
        at: the request's one reading of the clock, aware UTC.
        client: who called.
        subject: who asked.
        use_case: what was asked for, as it completes "may not …".
        error: what the client was told.
    """

    request_id: str
    at: datetime
    client: Client
    subject: MemberSubject | ServiceAccountSubject
    use_case: str
    error: PermissionDenied


def denial_event(denial: ManagementDenial) -> TokenEvent:
    """Return the event of a denied request, which belongs to the team of who asked."""
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
