"""Issues registry tokens: the numbered steps from a token request to its response."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from attrs import frozen
from msgspec import Struct

from authsvc.batch_signer import BatchSigner
from authsvc.client import Client
from authsvc.credentials.proof import Proof, classify
from authsvc.credentials.subject import LicensesSubject, LicenseSubject, MemberSubject, Subject
from authsvc.decision import Decision, DenialReason
from authsvc.errors import STORE_AWAY, AccountDenied, CredentialsRefused, StoreUnavailable
from authsvc.outcomes import ISSUED_DEGRADED, ISSUED_EMPTY, ISSUED_IN_FULL, ISSUED_IN_PART, Outcome
from authsvc.policy import decide, namespaces
from authsvc.redaction import Secret
from authsvc.refusal_sentences import denial_sentence
from authsvc.signing.jws import Signer
from authsvc.spec.claims import Claims
from authsvc.spec.scope import ResourceScope
from authsvc.spec.token_request import TokenRequest
from authsvc.spec.token_response import MIN_EXPIRES_IN, TokenResponse
from authsvc.tenancy.records import Member

ISSUER = "authsvc"
"""The ``iss`` of every registry token, and the ``issuer`` in the registry's configuration."""

EARLY = timedelta(seconds=30)
"""By how much ``expires_in`` understates a token's life, so that clients renew before the registry refuses."""


class SignInIssuer(Protocol):
    """Issues refresh tokens."""

    async def keep(self, member: Member, client: str | None, now: datetime) -> Secret | None:
        """Return a new refresh token for ``member``, or None if they got too many within a short time."""
        ...


class RequestAuthenticator(Protocol):
    """Authenticates the sender of a request."""

    async def authenticate(self, proof: Proof, namespaces: frozenset[str], client: Client, now: datetime) -> Subject:
        """Return the proven subject."""
        ...


DEGRADED_LIFE = timedelta(seconds=60)
"""Lifetime of a token that is issued while the store is unavailable (design #13)."""


@frozen
class Lifetimes:
    """How long tokens live.

    Attributes:
        pull: of a token that only pulls.
        push: of a token that may push or delete.
    """

    pull: timedelta = timedelta(minutes=5)
    push: timedelta = timedelta(minutes=15)


class Issued(Struct, frozen=True):
    """A token and how it came about.

    Attributes:
        response: what the client gets.
        subject: of the request; with several licenses, all that were proven.
        decision: what was granted and what was not.
        claims: of the token; with several licenses, its subject names those that granted something.
    """

    response: TokenResponse
    subject: Subject
    decision: Decision
    claims: Claims

    @property
    def outcome(self) -> Outcome:
        """Its row in the table of outcomes."""
        if self.claims.degraded:
            return ISSUED_DEGRADED
        if not self.decision.refusals:
            return ISSUED_IN_FULL
        return ISSUED_IN_PART if self.claims.access else ISSUED_EMPTY


class Denied(AccountDenied):
    """The account may not be used; holds the subject and the reason for the log and for webhooks."""

    def __init__(self, message: str, subject: Subject, reason: DenialReason) -> None:
        """Keep the sentence, the subject, and the fact that forbids the use."""
        super().__init__(message, detail=f"{subject.id} was denied")
        self.subject = subject
        self.reason = reason


def decided(subject: Subject, requested: tuple[ResourceScope, ...], now: datetime) -> Decision:
    """Return what ``subject`` gets of ``requested``.

    Raises:
        Denied: the account may not be used now.
        StoreUnavailable: nothing is granted, but a license that could not be checked might have granted something.
    """
    decision = decide(subject, requested, now)
    if decision.unanswered:
        raise StoreUnavailable(STORE_AWAY, detail=f"not covered by what {subject.id} was seen to grant lately")
    if decision.account is not None:
        raise Denied(denial_sentence(decision.account), decision.holder(subject), decision.account.reason)
    return decision


class Issuance:
    """Issues registry tokens for one service."""

    def __init__(
        self,
        authenticator: RequestAuthenticator,
        signer: Signer,
        *,
        service: str,
        lifetimes: Lifetimes,
        new_token_id: Callable[[], str],
        sign_ins: SignInIssuer | None = None,
    ) -> None:
        """Issue tokens whose audience is always ``service``; without ``sign_ins`` no refresh token is issued."""
        self._authenticator = authenticator
        self._signer = BatchSigner(signer)
        self._service = service
        self._lifetimes = lifetimes
        self._new_token_id = new_token_id
        self._sign_ins = sign_ins

    async def issue(self, request: TokenRequest, client: Client, now: datetime) -> Issued:
        """Return the token for ``request``.

        Raises:
            CredentialsRefused: identity was not proven, or the token is requested for another service.
            AccountDenied: identity is proven, but the account may not be used now.
            Throttled: too many wrong secrets came before.
            Overloaded: too many passwords are being checked.
            StoreUnavailable: the store did not answer.
            SignerUnavailable: there is no valid signing certificate.
        """
        # 1. Refuse requests for another registry (threat 5).
        if request.service is not None and request.service != self._service:
            raise CredentialsRefused(
                f"this server issues tokens for {self._service} only; the registry asked for another service",
                detail=f"service {request.service[:200]!r}",
            )
        # 2. Authenticate the sender.
        requested = request.scopes.scopes
        proof = classify(request.presented)
        subject = await self._authenticator.authenticate(proof, namespaces(requested), client, now)
        degraded = isinstance(subject, LicenseSubject | LicensesSubject) and subject.stale
        # 3. Decide what it may do.
        decision = decided(subject, requested, now)
        # 4. Limit the lifetime: never beyond the end of the right itself.
        life = self._lifetimes.push if decision.pushes else self._lifetimes.pull
        life = min(life, DEGRADED_LIFE) if degraded else life
        expires_at = now + life if decision.ends_at is None else min(now + life, decision.ends_at)
        # 5. Sign the token.
        claims = Claims(
            issuer=ISSUER,
            subject=decision.holder(subject).id,
            audience=self._service,
            issued_at=now,
            expires_at=expires_at,
            token_id=self._new_token_id(),
            access=decision.access,
            degraded=degraded,
        )
        token = Secret(await self._signer.sign(claims.to_json()))
        expires_in = max(MIN_EXPIRES_IN, int((expires_at - now - EARLY).total_seconds()))
        # 6. Issue a refresh token, but only for a member's password (design #8).
        refresh_token = None
        if self._sign_ins is not None and request.offline and isinstance(subject, MemberSubject) and not subject.by:
            refresh_token = await self._sign_ins.keep(subject.member, request.client_id, now)
        return Issued(TokenResponse(token, expires_in, now, refresh_token), subject, decision, claims)
