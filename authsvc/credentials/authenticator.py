"""Authenticates requests: proves a subject from the presented credentials, the store's facts and password checks."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar, assert_never

from authsvc.client import Client
from authsvc.credentials.facts import CachedFactsReader, CredentialFactsReader, NotCached, RecentLicenses
from authsvc.credentials.licenses import opens
from authsvc.credentials.machine_secret import LICENSE_KIND, MachineSecret
from authsvc.credentials.machines import MachineAuthenticator, refusal
from authsvc.credentials.proof import Junk, LicensesProof, MachineProof, Nothing, PasswordProof, Proof
from authsvc.credentials.subject import LicensesSubject, LicenseSubject, MemberSubject, Subject
from authsvc.credentials.throttled_passwords import Throttle, ThrottledPasswords, throttled
from authsvc.credentials.verifier import PasswordRecord
from authsvc.errors import CredentialsRefused, WrongSecret
from authsvc.tenancy.records import App, Member

SIGN_IN = "sign in with your account or license file: docker login"

T = TypeVar("T")


def _ignore_use(_credential_id: str, _now: datetime) -> None:
    """Ignore that a credential was used."""


class Authenticator:
    """Authenticates the caller with at most two round trips to the store, for every kind of credential."""

    def __init__(
        self,
        facts_reader: CredentialFactsReader,
        passwords: ThrottledPasswords,
        throttle: Throttle,
        *,
        on_use: Callable[[str, datetime], None] = _ignore_use,
        cached: CachedFactsReader | None = None,
        recent: RecentLicenses | None = None,
    ) -> None:
        """Read facts with ``facts_reader`` and check passwords with ``passwords``.

        Args:
            facts_reader: the store.
            passwords: evaluates passwords.
            throttle: counts unknown machine secrets.
            on_use: called for every machine credential that signed in.
            cached: facts that are known without asking the store; None for no cache.
            recent: licenses to accept while the store is unavailable; None to accept none.
        """
        self._facts = facts_reader
        self._passwords = passwords
        self._throttle = throttle
        self._on_use = on_use
        self._machines = MachineAuthenticator(facts_reader, recent)
        self._cached = cached
        self._cached_machines = None if cached is None else MachineAuthenticator(cached)

    async def authenticate(self, proof: Proof, namespaces: Collection[str], client: Client, now: datetime) -> Subject:
        """Return the proven subject with its facts.

        Args:
            proof: the presented credentials.
            namespaces: slugs of the apps in the request.
            client: the sender of the request.
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
                raise refusal(why) if message is None else CredentialsRefused(message, detail=why)
            case PasswordProof():
                return await self._by_password(proof, namespaces, client, now)
            case MachineProof(secret):
                known = self._cached_license(secret, now)
                if known is not None:
                    return known
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
            raise refusal("no such member" if known is None else f"wrong password of {known.subject}")
        member, apps = await self._member_facts(known, namespaces)
        if member is None or member.epoch != known.epoch or member.removed_at is not None:
            # The member was changed while the password was being hashed: the proof is no longer valid (threat 50).
            raise refusal(f"{known.subject} changed during the check")
        return MemberSubject(member, apps)

    async def _counted(
        self, secret: MachineSecret, answer: Awaitable[Subject], client: Client, now: datetime
    ) -> Subject:
        """Return the result of ``answer``, which is always awaited; count a wrong secret against ``secret``."""
        try:
            return await answer
        except WrongSecret as error:
            over = await self._throttle.count_machine(secret.id, client.network, client.method, now)
            if over > 0:
                what = "unknown tokens or license files from this network"
                raise throttled(over, what, error.detail or "") from None
            raise

    def _cached_license(self, secret: MachineSecret, now: datetime) -> LicenseSubject | None:
        """Return the license that the cached facts prove, or None: most requests, so they pass no coroutine."""
        if self._cached is None or secret.kind != LICENSE_KIND:
            return None
        found = self._cached.current_license(secret.id)
        if found is None or not opens(secret, found[0], now):
            return None
        self._on_use(secret.id, now)
        return LicenseSubject(*found)

    async def _by_secret(self, secret: MachineSecret, namespaces: Collection[str], now: datetime) -> Subject:
        if secret.kind == LICENSE_KIND:  # the cached facts do not prove it
            subject = await self._machines.one(secret, namespaces, now)
        else:
            subject = await self._proven(lambda machines: machines.one(secret, namespaces, now))
        self._on_use(secret.id, now)
        return subject

    async def _by_licenses(
        self, secrets: Sequence[MachineSecret], namespaces: Collection[str], now: datetime
    ) -> LicensesSubject:
        subject = await self._proven(lambda machines: machines.several(secrets, namespaces, now))
        for license_ in subject.licenses:
            if license_.app in namespaces or not namespaces:  # the others are not needed for this request
                self._on_use(license_.id, now)
        return subject

    async def _proven(self, ask: Callable[[MachineAuthenticator], Awaitable[T]]) -> T:
        """Return the subject that the cached facts prove, else the one that the store proves.

        A secret is never refused on the word of the cache: so a secret that was just created is known, and a wrong one
        costs the same whether its id is cached or unknown.
        """
        if self._cached_machines is not None:
            with suppress(NotCached, WrongSecret):
                return await ask(self._cached_machines)
        return await ask(self._machines)

    async def _member_facts(
        self, known: Member, namespaces: Collection[str]
    ) -> tuple[Member | None, Mapping[str, App]]:
        if self._cached is not None:
            with suppress(NotCached):
                member, apps = await self._cached.member_facts(known.id, namespaces)
                if member is not None and member.epoch == known.epoch:
                    return member, apps
        return await self._facts.member_facts(known.id, namespaces)
