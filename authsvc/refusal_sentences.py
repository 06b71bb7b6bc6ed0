"""Sentences for refusals of the policy: why an account is denied, and why an action is not granted.

Customers see them (docker, containerd and kubelet show them); they are also written to the log and the audit.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from authsvc.decision import Denial, DenialReason, Reason, Refusal, RefusalReason

_REASONS: Mapping[RefusalReason, str] = {
    RefusalReason.RESOURCE_TYPE: "nothing is granted on the resource type {fact!r}",
    RefusalReason.RESOURCE_CLASS: "repositories of class {fact!r} are not served",
    RefusalReason.NOT_A_REPOSITORY: "the name is not a repository of any app",
    RefusalReason.LICENSE_FOR_OTHER_APP: "the license is for the app {fact}",
    RefusalReason.NOT_COVERED_BY_LICENSE: "the license does not cover this repository",
    RefusalReason.NO_LICENSE_FOR_APP: "none of the licenses in force is for the app {fact}",
    RefusalReason.APP_UNKNOWN: "there is no such app",
    RefusalReason.APP_OF_OTHER_TEAM: "the app belongs to another team",
    RefusalReason.APP_ARCHIVED: "the app was archived on {fact}",
    RefusalReason.MEMBER_LIMITED: "the member is limited to {fact}",
    RefusalReason.NOT_COVERED_BY_GRANTS: "no grant of the service account covers this repository",
    RefusalReason.CREATOR_MAY_NOT: "the account's creator {fact} may not do that here",
    RefusalReason.ACTION_NOT_ALLOWED: "{action} is not among {fact}",
    RefusalReason.NOTHING_GRANTED: "nothing is granted here",
}

_DENIALS: Mapping[DenialReason, str] = {
    DenialReason.MEMBER_DISABLED: "the account {name} was disabled on {day}; ask an owner of {ask}",
    DenialReason.TOKEN_REVOKED: (
        "the token {name} of {holder} was revoked on {day}; create a new one, or ask an owner of {ask}"
    ),
    DenialReason.TOKEN_EXPIRED: (
        "the token {name} of {holder} expired on {day}; create a new one, or ask an owner of {ask}"
    ),
    DenialReason.SERVICE_ACCOUNT_REVOKED: "the service account {name} was revoked on {day}; ask an owner of {ask}",
    DenialReason.SERVICE_ACCOUNT_DISABLED: "the service account {name} was disabled on {day}; ask an owner of {ask}",
    DenialReason.SERVICE_ACCOUNT_EXPIRED: "the service account {name} expired on {day}; ask an owner of {ask}",
    DenialReason.CREATOR_LEFT: (
        "the service account {name} ended when its creator left on {day}; ask an owner of {ask}"
    ),
    DenialReason.LICENSE_PENDING: "license {name} of {holder} begins on {day}; {vendor}",
    DenialReason.LICENSE_EXPIRED: "license {name} of {holder} expired on {day}; {vendor}",
    DenialReason.LICENSE_REVOKED: "license {name} of {holder} was revoked on {day}; {vendor}",
    DenialReason.APP_ARCHIVED: "the app {name} was archived on {day}; {vendor}",
}


def denial_sentence(denial: Denial) -> str:
    """Return the reason, since when it holds, and whom to ask."""
    return _DENIALS[denial.reason].format(
        name=denial.name,
        holder=denial.holder,
        day=day(denial.at),
        ask=denial.ask,
        vendor=ask_vendor([denial.ask]),
    )


def refusal_sentence(refusal: Refusal) -> str:
    """Return why an action was not granted."""
    return reason_sentence(refusal.reason, refusal.action)


def reason_sentence(reason: Reason, action: str) -> str:
    """Return why ``action`` is not granted."""
    fact = reason.fact
    if isinstance(fact, datetime):
        fact = day(fact)
    elif isinstance(fact, tuple):
        fact = ", ".join(fact) or "no app"
    return _REASONS[reason.code].format(fact=fact, action=action)


def ask_vendor(contacts: Iterable[str | None]) -> str:
    """Return whom a customer asks: the contacts of the licenses, or the vendor when there are none."""
    known = sorted({contact for contact in contacts if contact})
    return f"contact {' or '.join(known)}" if known else "ask the vendor"


def day(at: datetime) -> str:
    """Return ``at`` for people: the date, with the time only when it is not midnight UTC."""
    return at.strftime("%Y-%m-%d" if at.hour == at.minute == at.second == 0 else "%Y-%m-%d %H:%M UTC")
