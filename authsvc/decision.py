"""Decisions on access as data: what a request is granted, what it is refused and why."""

from datetime import datetime
from enum import StrEnum

from attrs import evolve, frozen
from msgspec import Struct

from authsvc.credentials.subject import LicensesSubject, Subject
from authsvc.spec.claims import Access

PULL, PUSH, DELETE = "pull", "push", "delete"


class RefusalReason(StrEnum):
    """Why an action on a resource is not granted; each comment names the fact that accompanies the reason."""

    RESOURCE_TYPE = "resource_type"  # the type
    RESOURCE_CLASS = "resource_class"  # the class
    NOT_A_REPOSITORY = "not_a_repository"
    LICENSE_FOR_OTHER_APP = "license_for_other_app"  # the license's app
    NOT_COVERED_BY_LICENSE = "not_covered_by_license"
    NO_LICENSE_FOR_APP = "no_license_for_app"  # the app
    APP_UNKNOWN = "app_unknown"
    APP_OF_OTHER_TEAM = "app_of_other_team"
    APP_ARCHIVED = "app_archived"  # when
    MEMBER_LIMITED = "member_limited"  # the apps that the member is limited to
    NOT_COVERED_BY_GRANTS = "not_covered_by_grants"
    CREATOR_MAY_NOT = "creator_may_not"  # the creator's e-mail address
    ACTION_NOT_ALLOWED = "action_not_allowed"  # the actions that are
    NOTHING_GRANTED = "nothing_granted"


@frozen
class Reason:
    """A reason with its fact; :mod:`authsvc.refusal_sentences` puts it into words."""

    code: RefusalReason
    fact: str | datetime | tuple[str, ...] = ""


@frozen
class Refusal:
    """A requested action that was not granted, and why. For the log only: the client is told only what was granted."""

    scope: str
    action: str
    reason: Reason


class DenialReason(StrEnum):
    """Which fact about an account forbids its use."""

    MEMBER_DISABLED = "member_disabled"
    TOKEN_REVOKED = "token_revoked"  # noqa: S105  a reason, not a secret
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    SERVICE_ACCOUNT_REVOKED = "service_account_revoked"
    SERVICE_ACCOUNT_DISABLED = "service_account_disabled"
    SERVICE_ACCOUNT_EXPIRED = "service_account_expired"
    CREATOR_LEFT = "creator_left"
    LICENSE_PENDING = "license_pending"
    LICENSE_EXPIRED = "license_expired"
    LICENSE_REVOKED = "license_revoked"
    APP_ARCHIVED = "app_archived"


@frozen
class Denial:
    """Why a whole account is refused: the reason, since when, and whom to ask (design #9).

    Attributes:
        reason: the fact that forbids its use.
        at: since when it holds; for a pending license, until when.
        name: e-mail address of a member, name of a token or service account, id of a license, slug of an app.
        holder: the member's e-mail address for a token, the customer for a license.
        ask: slug of the team whose owners can help, or a license's contact; None for the vendor.
    """

    reason: DenialReason
    at: datetime
    name: str
    holder: str = ""
    ask: str | None = None


class Decision(Struct, frozen=True):
    """What a request gets.

    Attributes:
        access: the granted resources with their actions; resources without any are left out.
        refusals: what was requested and not granted.
        account: the fact about the whole account that forbids any use, else None; then ``access`` is empty.
        ends_at: when the right itself ends, so that no token outlives it; None for no end.
        licenses: with several licenses, the ids of those that the decision is about: those that granted, or whose
            denial ``account`` is, or, when nothing is granted, those for the apps asked for; empty for all of them.
        unanswered: whether nothing is granted, and a license that could not be checked might have granted something.
    """

    access: tuple[Access, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    account: Denial | None = None
    ends_at: datetime | None = None
    licenses: tuple[str, ...] = ()
    unanswered: bool = False

    @property
    def pushes(self) -> bool:
        """Whether anything but pulling is granted."""
        return any(action != PULL for entry in self.access for action in entry.actions)

    def holder(self, subject: Subject) -> Subject:
        """Return ``subject``, reduced to the licenses that the decision is about if it consists of several."""
        if not isinstance(subject, LicensesSubject) or not self.licenses:
            return subject
        return evolve(subject, licenses=tuple(one for one in subject.licenses if one.id in self.licenses))
