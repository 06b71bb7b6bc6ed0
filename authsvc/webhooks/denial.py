"""Selects the token requests that are reported to webhooks: refused ones of known licenses."""

from collections.abc import Iterable, Iterator
from datetime import UTC

from authsvc.audit.token_event import AuditedRequest
from authsvc.client import UNKNOWN
from authsvc.credentials.subject import LicensesSubject, LicenseSubject, Subject
from authsvc.decision import RefusalReason
from authsvc.issuance import Denied, Issued
from authsvc.policy import namespaces
from authsvc.redaction import unsecret
from authsvc.refusal_sentences import refusal_sentence
from authsvc.tenancy.records import License
from authsvc.webhooks.event import EventType, WebhookEvent, event_id
from authsvc.webhooks.event_data import license_data

MAX_ASKED, MAX_SCOPE = 5, 300
"""Most scopes that an event repeats, and most characters of one."""


def denials_of(asked: AuditedRequest, outcome: Issued | Exception) -> Iterator[WebhookEvent]:
    """Yield the events about a request for a token: one for each license that was refused.

    Args:
        asked: the request.
        outcome: of the request.
    """
    if isinstance(outcome, Denied):
        for license_ in _licenses(outcome.subject):
            yield _event(asked, license_, outcome.reason.value, str(outcome))
    elif isinstance(outcome, Issued) and not outcome.claims.access and not outcome.claims.degraded:
        code = RefusalReason.NOT_COVERED_BY_LICENSE
        sentences = [refusal_sentence(one) for one in outcome.decision.refusals if one.reason.code is code]
        apps = namespaces(asked.request.scopes.scopes)
        for license_ in _licenses(outcome.subject):
            if sentences and license_.app in apps:
                yield _event(asked, license_, code.value, sentences[0])


def _licenses(subject: Subject) -> Iterable[License]:
    match subject:
        case LicenseSubject(license_):
            return (license_,)
        case LicensesSubject(licenses):
            return licenses
        case _:
            return ()


def _event(asked: AuditedRequest, license_: License, reason: str, message: str) -> WebhookEvent:
    day = asked.at.astimezone(UTC).date().isoformat()
    # Scopes of other vendors in the same request must not be shown to this vendor.
    scopes = [scope for scope in asked.request.scopes.scopes if license_.app in namespaces((scope,))]
    network = asked.client.block
    data = {
        "license": license_data(license_),
        "reason": reason,
        "message": message,
        "asked": [unsecret(str(scope))[:MAX_SCOPE] for scope in scopes[:MAX_ASKED]],
        "network": None if network == UNKNOWN else network,
    }
    event = event_id(EventType.DENIED, license_.id, reason, day)
    return WebhookEvent(event, EventType.DENIED, asked.at, license_.team, license_.app, data)
