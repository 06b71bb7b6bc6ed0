"""The audit event of a token request: the subject, its credential, what was requested, granted and refused, and why.

Facts are those at the time of the decision, so that ``authsvc audit explain`` does not need records that have changed
since. They contain no secrets: unverified text is cut, and our secrets are removed from it, because people enter them
into the wrong field.
"""

from datetime import datetime
from typing import Any

from attrs import frozen
from msgspec import Struct

from authsvc.audit.credential import LICENSE, STATE, Credential, credential_of, license_values
from authsvc.audit.entry import ENCODER, MAX_TEXT
from authsvc.audit.entry_words import MANY, UNPROVEN
from authsvc.bounded_json import bounded_json
from authsvc.client import Client
from authsvc.credentials.subject import (
    LicensesSubject,
    LicenseSubject,
    MemberSubject,
    ServiceAccountSubject,
    Subject,
)
from authsvc.decision import Refusal
from authsvc.errors import AuthsvcError
from authsvc.issuance import Denied, Issued
from authsvc.outcomes import ISSUED_IN_FULL, outcome_of_error
from authsvc.policy import namespaces
from authsvc.redaction import unsecret
from authsvc.refusal_sentences import refusal_sentence
from authsvc.spec.claims import Access
from authsvc.spec.scope import ResourceScope
from authsvc.spec.token_request import TokenRequest

MAX_EXAMPLE = 80
"""Most characters of each text in an example."""

MAX_CLIENT_TEXT = 100
"""Most characters of unverified client text that are stored."""


class AuditedRequest(Struct, frozen=True):
    """A token request, as far as the audit records it.

    Attributes:
        request_id: our id of the request; the client was shown it.
        at: the request's one reading of the clock, aware UTC.
        client: the sender.
        request: the token request.
    """

    request_id: str
    at: datetime
    client: Client
    request: TokenRequest


@frozen
class Facts:
    """The content of a decision. Two decisions of one subject with equal facts are repeats.

    Attributes:
        asked: the requested scopes, merged.
        dropped: pieces of the scope that were malformed or too many.
        granted: the access in the token.
        refused: what was requested and not granted, each with its reason.
        credential: that proved the identity; None without proven identity.
        kind: the class of the error; None with a token.
        reason: the sentence that the client got; None with a token.
        detail: additional information that the client does not get.
        degraded: whether the token was issued from memory while the store was unavailable.
        use_case: of management that was called, if no token was requested; else None.
        linked: facts of a pull of a linked image: names, and JSON values; empty for a token.
    """

    asked: tuple[ResourceScope, ...] = ()
    dropped: int = 0
    granted: tuple[Access, ...] = ()
    refused: tuple[Refusal, ...] = ()
    credential: Credential | None = None
    kind: str | None = None
    reason: str | None = None
    detail: str | None = None
    degraded: bool = False
    use_case: str | None = None
    linked: tuple[tuple[str, Any], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everything that was requested is granted, so that no explanation is needed."""
        return self.kind is None and not self.refused and not self.dropped

    def to_json(self) -> dict[str, Any]:
        """Return the facts that are not empty."""
        found: dict[str, Any] = {
            # For a fully granted token, as in most entries, requested and granted access are equal.
            "asked": [] if self.granted and self.complete else [unsecret(str(scope)) for scope in self.asked],
            "dropped": self.dropped,
            "granted": [f"{a.type}:{a.name}:{','.join(a.actions)}" for a in self.granted],
            "refused": [
                {
                    "scope": unsecret(r.scope),
                    "action": r.action,
                    "reason": unsecret(refusal_sentence(r)),
                }
                for r in self.refused
            ],
            "credential": self.credential.to_json() if self.credential else None,
            "kind": self.kind,
            "reason": self.reason,
            "detail": None if self.detail is None else unsecret(self.detail)[: 3 * MAX_CLIENT_TEXT],
            "degraded": self.degraded,
            "use_case": self.use_case,
            **dict(self.linked),
        }
        return {name: value for name, value in found.items() if value}


@frozen
class TokenEvent:
    """One token event, to be recorded.

    Attributes:
        request_id: of the request.
        at: aware UTC.
        event: one of the audit's events in :mod:`authsvc.outcomes`.
        actor: the subject, or :data:`UNPROVEN`.
        client: the sender.
        facts: the content.
        token_id: claim ``jti``, or None without a token.
        owners: teams of the subject, each with the app of its license, or with None.
    """

    request_id: str
    at: datetime
    event: str
    actor: str
    client: Client
    facts: Facts
    token_id: str | None = None
    owners: tuple[tuple[str | None, str], ...] = ()

    @property
    def team(self) -> str:
        """Slug of the team that owns an entry about this event only; empty when no team or several teams do."""
        teams = {team for _, team in self.owners}
        return teams.pop() if len(teams) == 1 else ""

    def team_of(self, app: str | None) -> str:
        """Return the slug of the team that owns an entry about events of ``app``; empty when none does."""
        if app is None:
            return ""
        return next((team for slug, team in self.owners if slug in {app, None}), "")

    @property
    def proven(self) -> bool:
        """Whether identity was proven."""
        return self.actor != UNPROVEN

    def to_json(self) -> dict[str, Any]:
        """Return the entry of this one decision."""
        where = {
            "address": unsecret(self.client.address)[:MAX_CLIENT_TEXT],
            "client_id": unsecret(self.client.client_id or "")[:MAX_CLIENT_TEXT],
            "user_agent": unsecret(self.client.user_agent)[:MAX_CLIENT_TEXT],
            "token_id": None if self.facts.complete else self.token_id,
        }
        return {
            "at": self.at.isoformat(),
            "event": self.event,
            "actor": self.actor,
            "id": self.request_id,
            **self.facts.to_json(),
            **{name: value for name, value in where.items() if value},
        }

    @property
    def key(self) -> int:
        """A number that is equal for events of one subject with equal facts.

        The facts are large, so a 64-bit hash with a key of this process represents them: with 20,000 events, a
        collision occurs in one of 10^11 processes.
        """
        facts, proof = self.facts, self.facts.credential
        in_full = self.event == ISSUED_IN_FULL.audit_event and facts.complete and not facts.degraded
        if not in_full or proof is None or proof.kind != LICENSE:
            return hash((self.event, self.actor, facts))
        # Without its state: a license that gets a token is active, and so is its app.
        values = tuple(value for name, value in proof.facts if name != STATE)
        return _key_of_grant(self.actor, values, facts.asked, facts.granted)

    @property
    def app(self) -> str | None:
        """The app that it is about, if that is certain: requested names may be fictitious."""
        found = namespaces(ResourceScope(a.type, a.name, a.actions, a.resource_class) for a in self.facts.granted)
        if found:
            return min(found)
        credential = self.facts.credential
        named = dict(self.facts.linked if credential is None else credential.facts).get("app")
        return None if named is None else str(named)

    def text_of_many(self, app: str | None) -> str:
        """Return the entry about this event and others with the same app and outcome, as JSON."""
        facts = {
            "at": self.at.isoformat(),
            "event": self.event,
            "actor": MANY if self.proven else UNPROVEN,
            "id": self.request_id,
            "app": app,
            "kind": self.facts.kind,
            "partial": None if self.facts.complete or self.facts.kind else True,
        }
        return ENCODER.encode({name: value for name, value in facts.items() if value is not None})

    def text_of_more(self) -> str:
        """Return the entry about this event and other requests with the same subject and outcome, as JSON."""
        credential = self.facts.credential
        facts = {
            "at": self.at.isoformat(),
            "event": self.event,
            "actor": self.actor,
            "id": self.request_id,
            "credential": None if credential is None else credential.to_json(),
            "kind": self.facts.kind,
            **{name: value for name, value in self.facts.linked if name in {"team", "app"}},
            "partial": None if self.facts.complete or self.facts.kind else True,
        }
        return bounded_json(ENCODER, {name: value for name, value in facts.items() if value is not None}, MAX_TEXT)

    def example(self) -> dict[str, str]:
        """Return a short form of this event, as one example of many."""
        asked = self.facts.use_case or unsecret(" ".join(str(scope) for scope in self.facts.asked[:1]))
        return {"id": self.request_id, "actor": self.actor[:MAX_EXAMPLE], "asked": asked[:MAX_EXAMPLE]}

    def text(self) -> str:
        """Return the entry as JSON of at most :data:`~authsvc.audit.entry.MAX_TEXT` bytes; grants are never cut.

        Their length is limited by that of one token (:data:`~authsvc.spec.scope.MAX_NAMES`).
        """
        return bounded_json(ENCODER, self.to_json(), MAX_TEXT, ("granted",))


def repeat_key(asked: AuditedRequest, outcome: Issued | Exception) -> int | None:
    """Return the :attr:`TokenEvent.key` of a fully granted token of one license; None for any other outcome.

    Nearly all tokens repeat an earlier one, and need no event.
    """
    if not isinstance(outcome, Issued) or outcome.outcome is not ISSUED_IN_FULL:
        return None
    subject, scopes = outcome.subject, asked.request.scopes
    if not isinstance(subject, LicenseSubject) or scopes.dropped:
        return None
    values = license_values(subject.license)
    return _key_of_grant(outcome.claims.subject, values, scopes.scopes, outcome.claims.access)


def _key_of_grant(
    actor: str, values: tuple[Any, ...], asked: tuple[ResourceScope, ...], granted: tuple[Access, ...]
) -> int:
    return hash((actor, values, asked, granted))


def token_event_of(asked: AuditedRequest, outcome: Issued | Exception) -> TokenEvent:
    """Return the event of a request and its outcome."""
    scopes = asked.request.scopes
    if isinstance(outcome, Issued):
        facts = Facts(
            scopes.scopes,
            scopes.dropped,
            outcome.claims.access,
            outcome.decision.refusals,
            _credential(outcome.subject, asked),
            degraded=outcome.claims.degraded,
        )
        return TokenEvent(
            *(asked.request_id, asked.at, outcome.outcome.audit_event, outcome.claims.subject, asked.client, facts),
            outcome.claims.token_id,
            _owners(outcome.subject, asked),
        )
    subject = outcome.subject.id if isinstance(outcome, Denied) else UNPROVEN
    facts = Facts(
        scopes.scopes,
        scopes.dropped,
        credential=_credential(outcome.subject, asked) if isinstance(outcome, Denied) else None,
        kind=type(outcome).__name__,
        reason=str(outcome) if isinstance(outcome, AuthsvcError) else "something went wrong on our side",
        detail=outcome.detail if isinstance(outcome, AuthsvcError) else None,
    )
    return TokenEvent(
        *(asked.request_id, asked.at, outcome_of_error(outcome).audit_event, subject, asked.client, facts),
        owners=_owners(outcome.subject, asked) if isinstance(outcome, Denied) else (),
    )


def _recorded(subject: Subject, asked: AuditedRequest) -> Subject:
    """Return ``subject``; if it is several licenses, only those for the requested apps, or all when there are none."""
    if isinstance(subject, LicensesSubject):
        return subject.for_apps(namespaces(asked.request.scopes.scopes))
    return subject


def _credential(subject: Subject, asked: AuditedRequest) -> Credential:
    return credential_of(_recorded(subject, asked), asked.at)


def _owners(subject: Subject, asked: AuditedRequest) -> tuple[tuple[str | None, str], ...]:
    match _recorded(subject, asked):
        case LicenseSubject(license_):
            return ((license_.app, license_.team),)
        case LicensesSubject(licenses):
            return tuple((license_.app, license_.team) for license_ in licenses)
        case MemberSubject(member):
            return ((None, member.team),)
        case ServiceAccountSubject(account):
            return ((None, account.team),)
