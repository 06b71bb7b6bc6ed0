"""Authenticates requests: from what was presented to a proven subject, with the store's facts and password checks."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import TypeVar, assert_never

from authsvc.client import Client
from authsvc.credentials.facts import C, CredentialFacts, CredentialFactsReader
from authsvc.credentials.licenses import REFUSED, LicenseAuthenticator
from authsvc.credentials.machine_secret import (
    LICENSE_KIND,
    PERSONAL_KIND,
    REFRESH_KIND,
    SERVICE_KIND,
    MachineSecret,
)
from authsvc.credentials.proof import Junk, LicensesProof, MachineProof, Nothing, PasswordProof, Proof
from authsvc.credentials.recent import RecentLicenses
from authsvc.credentials.subject import LicensesSubject, MemberSubject, ServiceAccountSubject, Subject
from authsvc.credentials.throttled_passwords import Throttle, ThrottledPasswords, throttled
from authsvc.credentials.verifier import PasswordRecord
from authsvc.errors import CredentialsRefused, WrongSecret
from authsvc.tenancy.machine_records import PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.records import Member, live_tokens

SIGN_IN = "sign in with your account or license file: docker login"

T = TypeVar("T")


def _ignore_use(_credential_id: str, _now: datetime) -> None:
    """Forget that a credential was used."""


class Authenticator:
    """Proves who is asking. Two round trips to the store, whatever the credential."""

    def __init__(
        self,
        facts_reader: CredentialFactsReader,
        passwords: ThrottledPasswords,
        throttle: Throttle,
        *,
        on_use: Callable[[str, datetime], None] = _ignore_use,
        recent: RecentLicenses | None = None,
    ) -> None:
        """Ask ``facts_reader`` for facts and ``passwords`` whether one is right.

        Args:
            facts_reader: the store.
            passwords: evaluates passwords.
            throttle: counts unknown machine secrets.
            on_use: called for every machine credential that signed in.
            recent: licenses to believe in while the store is unavailable; None to believe in none.
        """
        self._facts = facts_reader
        self._passwords = passwords
        self._throttle = throttle
        self._on_use = on_use
        self._licenses = LicenseAuthenticator(facts_reader, recent)

    async def authenticate(self, proof: Proof, namespaces: Collection[str], client: Client, now: datetime) -> Subject:
        """Return the proven subject with its facts.

        Args:
            proof: what was presented.
            namespaces: slugs of the apps that the request asks for.
            client: where the request comes from.
            now: the request's one reading of the clock.

        Raises:
            CredentialsRefused: identity was not proven; the same sentence whether unknown or wrong.
            Throttled: too many wrong secrets came before.
            Overloaded: too many passwords are being checked.
            StoreUnavailable: the store did not answer.
        """
        match proof:
            case Nothing():
                raise CredentialsRefused(SIGN_IN, detail="no credentials")
            case Junk(why, message):
                raise _refusal(why) if message is None else CredentialsRefused(message, detail=why)
            case PasswordProof():
                return await self._by_password(proof, namespaces, client, now)
            case MachineProof(secret):
                return await self._counted(secret, self._by_secret(secret, namespaces, now), client, now)
            case LicensesProof(secrets):
                return await self._counted(secrets[0], self._by_licenses(secrets, namespaces, now), client, now)
            case _:
                assert_never(proof)

    async def _by_password(
        self, proof: PasswordProof, namespaces: Collection[str], client: Client, now: datetime
    ) -> MemberSubject:
        known, counted = await self._facts.member_by_email(proof.email, client.network)
        record = None if known is None else PasswordRecord(known.id, known.epoch, known.password_hash)
        right = await self._passwords.verify(record, proof.email, proof.password, client, counted, now)
        if not right or known is None:
            raise _refusal("no such member" if known is None else f"wrong password of {known.subject}")
        member, apps = await self._facts.member_facts(known.id, namespaces)
        if member is None or member.epoch != known.epoch or member.removed_at is not None:
            # Changed while the password was being hashed: what was proven is no longer true (threat 50).
            raise _refusal(f"{known.subject} changed during the check")
        return MemberSubject(member, apps)

    async def _counted(
        self, secret: MachineSecret, answer: Awaitable[Subject], client: Client, now: datetime
    ) -> Subject:
        """Return ``answer``, which is always looked for; when nothing was opened, count that for ``secret``."""
        try:
            return await answer
        except WrongSecret as error:
            over = await self._throttle.count_machine(secret.id, client.network, client.method, now)
            if over > 0:
                what = "unknown tokens or license files from this network"
                raise throttled(over, what, error.detail or "") from None
            raise

    async def _by_secret(self, secret: MachineSecret, namespaces: Collection[str], now: datetime) -> Subject:
        match secret.kind:
            case kind if kind == LICENSE_KIND:
                subject: Subject = await self._licenses.one(secret, namespaces, now)
            case kind if kind == PERSONAL_KIND:
                subject = await self._personal_token(secret, namespaces)
            case kind if kind == SERVICE_KIND:
                subject = await self._service_account(secret, namespaces, now)
            case kind if kind == REFRESH_KIND:
                subject = await self._refresh_token(secret, namespaces, now)
            case kind:
                raise _refusal(f"a secret of kind {kind!r} signs nobody in")
        self._on_use(secret.id, now)
        return subject

    async def _by_licenses(
        self, secrets: Sequence[MachineSecret], namespaces: Collection[str], now: datetime
    ) -> LicensesSubject:
        subject = await self._licenses.several(secrets, namespaces, now)
        for license_ in subject.licenses:
            if license_.app in namespaces or not namespaces:  # the others only came along
                self._on_use(license_.id, now)
        return subject

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
            raise _refusal(f"the creator of {account.subject} is gone")
        return ServiceAccountSubject(account, facts.apps, facts.member)

    async def _opened(self, kind: type[C], secret: MachineSecret, digests: Callable[[C], Iterable[str]]) -> C:
        """Return the credential that ``secret`` opens."""
        known = await self._facts.credential(kind, secret.id)
        if known is None or not any(secret.has_digest(digest) for digest in digests(known)):
            raise _refusal(f"{'no' if known is None else 'wrong or rotated secret of'} {kind.__name__} {secret.id}")
        return known


def _still(facts: CredentialFacts[T], secret: MachineSecret, digests: Callable[[T], Iterable[str]]) -> T:
    """Return the credential of ``standing``, which ``secret`` must open at that instant too (threat 50)."""
    record = facts.credential
    if record is None or not any(secret.has_digest(digest) for digest in digests(record)):
        raise _refusal(f"{type(record).__name__} {secret.id} changed during the check")
    return record


def _digests(record: ServiceAccount, now: datetime) -> list[str]:
    return [token.sha256 for token in live_tokens(record.tokens, now)]


def _owner(facts: CredentialFacts[T]) -> Member:
    member = facts.member
    if member is None or member.removed_at is not None:
        raise _refusal("the member behind the token is gone")
    return member


def _refusal(why: str) -> WrongSecret:
    return WrongSecret(REFUSED, detail=why)
