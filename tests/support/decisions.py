"""Requests for tokens and what became of them, as the audit hears of them."""

import itertools
from datetime import datetime

from authsvc.audit.token_event import AuditedRequest
from authsvc.client import Client
from authsvc.credentials.subject import Subject
from authsvc.decision import DenialReason
from authsvc.errors import CredentialsRefused
from authsvc.issuance import Denied, Issued
from authsvc.policy import decide
from authsvc.redaction import Secret
from authsvc.spec.claims import Claims
from authsvc.spec.scope import merge_scopes
from authsvc.spec.token_request import TokenRequest
from authsvc.spec.token_response import TokenResponse
from tests.support.builders import NOW, SERVICE, as_license, make_license

SCOPE = "repository:acme/x:pull"

_number = itertools.count(1)


def request_id(at: datetime = NOW, number: int | None = None) -> str:
    """Return a request id as the server makes one at that time."""
    return f"{int(at.timestamp()):08x}{next(_number) if number is None else number:08x}"


def asked(
    *scopes: str,
    at: datetime = NOW,
    address: str = "203.0.113.7",
    client_id: str | None = "docker",
    user_agent: str = "docker/27.5.1",
    number: int | None = None,
) -> AuditedRequest:
    """Return a request with an id of its own."""
    request = TokenRequest(SERVICE, merge_scopes(scopes or (SCOPE,)), None, client_id)
    return AuditedRequest(
        request_id(at, number), at, Client(address, user_agent=user_agent, client_id=client_id), request
    )


def issued(request: AuditedRequest, subject: Subject | None = None) -> Issued:
    """Return the token for a request of ``subject``; of a license of the app ``acme`` by default."""
    who = subject or as_license(make_license())
    decision = decide(who, request.request.scopes.scopes, request.at)
    claims = Claims("authsvc", decision.holder(who).id, SERVICE, request.at, request.at, "t" * 32, decision.access)
    return Issued(TokenResponse(Secret("jwt"), 300, request.at), who, decision, claims)


def denied(subject: Subject | None = None) -> Denied:
    """Return the refusal of a proven subject; of an expired license by default."""
    sentence = "license c of Globex expired; contact sales@acme.test"
    return Denied(sentence, subject or as_license(make_license()), DenialReason.LICENSE_EXPIRED)


def refused(cause: str = "no such member") -> CredentialsRefused:
    """Return the refusal of somebody unproven."""
    return CredentialsRefused("check it and sign in again", detail=cause)
