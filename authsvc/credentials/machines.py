"""Authenticates machine secrets: of licenses, personal tokens, service accounts and refresh tokens."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from authsvc.credentials.facts import C, CredentialFacts, CredentialFactsReader, RecentLicenses
from authsvc.credentials.licenses import REFUSED, LicenseAuthenticator
from authsvc.credentials.machine_secret import (
    LICENSE_KIND,
    PERSONAL_KIND,
    REFRESH_KIND,
    SERVICE_KIND,
    MachineSecret,
)
from authsvc.credentials.subject import LicensesSubject, MemberSubject, ServiceAccountSubject, Subject
from authsvc.errors import CredentialsRefused, WrongSecret
from authsvc.tenancy.machine_records import PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.records import Member, live_tokens

T = TypeVar("T")


class MachineAuthenticator:
    """Finds the subject of a machine secret with at most two reads of facts, for every kind of credential."""

    def __init__(self, facts_reader: CredentialFactsReader, recent: RecentLicenses | None = None) -> None:
        """Use ``facts_reader``; while it is unavailable, accept the licenses of ``recent``, or none."""
        self._facts = facts_reader
        self._licenses = LicenseAuthenticator(facts_reader, recent)

    async def one(self, secret: MachineSecret, namespaces: Collection[str], now: datetime) -> Subject:
        """Return the subject that ``secret`` belongs to.

        Raises:
            CredentialsRefused: there is none; a WrongSecret when the secret is wrong.
            NotCached: the reader has only a cache, and the cache does not have the facts.
            StoreUnavailable: the store did not answer.
        """
        match secret.kind:
            case kind if kind == LICENSE_KIND:
                return await self._licenses.one(secret, namespaces, now)
            case kind if kind == PERSONAL_KIND:
                return await self._personal_token(secret, namespaces)
            case kind if kind == SERVICE_KIND:
                return await self._service_account(secret, namespaces, now)
            case kind if kind == REFRESH_KIND:
                return await self._refresh_token(secret, namespaces, now)
            case kind:
                raise refusal(f"a secret of kind {kind!r} cannot sign in")

    async def several(
        self, secrets: Sequence[MachineSecret], namespaces: Collection[str], now: datetime
    ) -> LicensesSubject:
        """Return all licenses that ``secrets`` belong to.

        Raises:
            WrongSecret: there are none.
            NotCached: as above.
            StoreUnavailable: the store did not answer.
        """
        return await self._licenses.several(secrets, namespaces, now)

    async def _personal_token(self, secret: MachineSecret, namespaces: Collection[str]) -> MemberSubject:
        known = await self._opened(PersonalToken, secret, lambda token: [token.sha256])
        facts = await self._facts.credential_facts(PersonalToken, known.id, known.member, namespaces)
        token = _still(facts, secret, lambda record: [record.sha256])
        return MemberSubject(_owner(facts), facts.apps, token)

    async def _refresh_token(self, secret: MachineSecret, namespaces: Collection[str], now: datetime) -> MemberSubject:
        known = await self._opened(RefreshToken, secret, lambda token: [token.sha256])
        facts = await self._facts.credential_facts(RefreshToken, known.id, known.member, namespaces)
        token = _still(facts, secret, lambda record: [record.sha256])
        member = _owner(facts)
        if token.revoked_at is not None or token.epoch != member.epoch or token.ended(facts.used_at, now):
            raise CredentialsRefused(
                "your sign-in has ended; sign in again with your password: docker login",
                detail=f"refresh token {token.id} of {member.subject} ended",
            )
        return MemberSubject(member, facts.apps, token)

    async def _service_account(
        self, secret: MachineSecret, namespaces: Collection[str], now: datetime
    ) -> ServiceAccountSubject:
        known = await self._opened(ServiceAccount, secret, lambda account: _digests(account, now))
        facts = await self._facts.credential_facts(ServiceAccount, known.id, known.creator, namespaces)
        account = _still(facts, secret, lambda record: _digests(record, now))
        if account.creator is not None and facts.member is None:
            raise refusal(f"the creator of {account.subject} is gone")
        return ServiceAccountSubject(account, facts.apps, facts.member)

    async def _opened(self, kind: type[C], secret: MachineSecret, digests: Callable[[C], Iterable[str]]) -> C:
        """Return the credential that ``secret`` belongs to."""
        known = await self._facts.credential(kind, secret.id)
        if known is None or not any(secret.has_digest(digest) for digest in digests(known)):
            raise refusal(f"{'no' if known is None else 'wrong or rotated secret of'} {kind.__name__} {secret.id}")
        return known


def _still(facts: CredentialFacts[T], secret: MachineSecret, digests: Callable[[T], Iterable[str]]) -> T:
    """Return the credential of ``facts``, if ``secret`` belongs to it at that instant too (threat 50)."""
    record = facts.credential
    if record is None or not any(secret.has_digest(digest) for digest in digests(record)):
        raise refusal(f"{type(record).__name__} {secret.id} changed during the check")
    return record


def _digests(record: ServiceAccount, now: datetime) -> list[str]:
    return [token.sha256 for token in live_tokens(record.tokens, now)]


def _owner(facts: CredentialFacts[T]) -> Member:
    member = facts.member
    if member is None or member.removed_at is not None:
        raise refusal("the member of the token no longer exists")
    return member


def refusal(why: str) -> WrongSecret:
    """Return the error for credentials that prove nothing; ``why`` is for the log."""
    return WrongSecret(REFUSED, detail=why)
