"""Proves who uses a browser by a passkey, and checks a new one: challenges, records and rules, as of this request."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from attrs import frozen

from authsvc.credentials.facts import CredentialFactsReader
from authsvc.credentials.passkey_challenge import (
    KEY_BYTES,
    MAX_SKEW,
    NONCE_BYTES,
    ChallengePurpose,
    PasskeyChallenge,
    day_of,
)
from authsvc.credentials.relying_party import Assertion, RelyingParty, refused
from authsvc.tenancy.passkey import CHALLENGE_LIFE, NewCredential, Passkey, PasskeyUse
from authsvc.tenancy.records import Member


class ChallengeStore(Protocol):
    """Where the keys of challenges are, and which challenges were answered."""

    async def key(self, day: int, new: bytes) -> bytes:
        """Return the key of a day, which is ``new`` when there was none."""
        ...

    async def use(self, nonce: bytes, life_seconds: int) -> bool:
        """Mark a challenge as answered; whether it was not before."""
        ...


@frozen
class ProvenPasskey:
    """A member who has used a passkey.

    Attributes:
        member: the record, as of this request; perhaps disabled.
        passkey: the record.
        sign_count: the authenticator's counter now.
    """

    member: Member
    passkey: Passkey
    sign_count: int

    @property
    def use(self) -> PasskeyUse:
        """What the session that begins with it has to know."""
        return PasskeyUse(self.passkey.id, self.sign_count)


@frozen
class PasskeyAuthenticator:
    """Asks browsers for passkeys and checks their answers.

    Attributes:
        party: the host of the public URL.
        facts: reads the records.
        challenges: of the installation.
        entropy: returns that many random bytes.
        on_use: called for every passkey that was accepted.
    """

    party: RelyingParty
    facts: CredentialFactsReader
    challenges: ChallengeStore
    entropy: Callable[[int], bytes]
    on_use: Callable[[str, datetime], None]

    async def sign_in_options(self, browser: str, now: datetime) -> str:
        """Return, as JSON, what a browser is asked in the sign-in form.

        Args:
            browser: stands for its cookie.
            now: the present.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        return self.party.request_options(await self._challenge(ChallengePurpose.SIGN_IN, browser, now))

    async def confirm_options(self, browser: str, known: Sequence[Passkey], now: datetime) -> str:
        """Return, as JSON, what a browser is asked so that its member confirms a change with one of ``known``."""
        return self.party.request_options(await self._challenge(ChallengePurpose.CONFIRM, browser, now), known)

    async def creation_options(self, browser: str, member: Member, known: Sequence[Passkey], now: datetime) -> str:
        """Return, as JSON, what a browser is asked so that an authenticator makes a passkey.

        To be called only when the member has just proven who they are.
        """
        challenge = await self._challenge(ChallengePurpose.REGISTER, browser, now)
        return self.party.creation_options(member, known, challenge)

    async def registered(self, answer: str, browser: str, now: datetime) -> NewCredential:
        """Return what an authenticator made.

        Raises:
            CredentialsRefused: the answer is not good, or not one to our question.
        """
        attestation = self.party.read_attestation(answer)
        challenge = await self._ours(attestation.challenge, ChallengePurpose.REGISTER, browser, now)
        made = self.party.registered(attestation)
        await self._use(challenge)
        return made

    async def signed_in(self, answer: str, browser: str, now: datetime) -> ProvenPasskey:
        """Return the member whose passkey signed; nobody said before who it would be.

        Raises:
            CredentialsRefused: the answer is not good, not one to our question, or of no passkey that counts.
        """
        assertion = self.party.read_assertion(answer)
        if assertion.answer.response.user_handle is None:
            raise refused("without a user handle")
        return await self._proven(assertion, ChallengePurpose.SIGN_IN, browser, now)

    async def confirmed(self, answer: str, browser: str, member: Member, now: datetime) -> None:
        """Accept a change that ``member`` confirms with a passkey of theirs.

        Raises:
            CredentialsRefused: as :meth:`signed_in`, or it is another member's.
        """
        assertion = self.party.read_assertion(answer)
        proven = await self._proven(assertion, ChallengePurpose.CONFIRM, browser, now)
        if proven.member.id != member.id:
            raise refused("of another member")

    async def _proven(
        self, assertion: Assertion, purpose: ChallengePurpose, browser: str, now: datetime
    ) -> ProvenPasskey:
        challenge = await self._ours(assertion.challenge, purpose, browser, now)
        known = await self.facts.credential(Passkey, assertion.passkey_id)
        if known is None:
            raise refused("unknown")
        facts = await self.facts.credential_facts(Passkey, known.id, known.member, ())
        passkey, member = facts.credential, facts.member
        if passkey is None or member is None or member.removed_at is not None or passkey.member != member.id:
            raise refused("of nobody")
        sign_count = self.party.verified(assertion, passkey)
        await self._use(challenge)
        if not passkey.counts_on(sign_count):
            raise refused(f"{passkey.id} of {member.id}: its counter went back, so there may be a copy of it")
        self.on_use(passkey.id, now)
        return ProvenPasskey(member, passkey, sign_count)

    async def _challenge(self, purpose: ChallengePurpose, browser: str, now: datetime) -> bytes:
        key = await self.challenges.key(day_of(now), self.entropy(KEY_BYTES))
        return PasskeyChallenge.make(key, purpose, browser, now, self.entropy(NONCE_BYTES)).raw

    async def _ours(self, raw: bytes, purpose: ChallengePurpose, browser: str, now: datetime) -> PasskeyChallenge:
        """Return a challenge that was made for this purpose and browser, and that is not too old.

        Raises:
            CredentialsRefused: it is not one of those.
        """
        challenge = PasskeyChallenge.parse(raw)
        if challenge is None or not challenge.in_time(now):
            raise refused("a challenge that is too old, or not ours")
        key = await self.challenges.key(day_of(challenge.issued_at), self.entropy(KEY_BYTES))
        if not challenge.is_ours(key, purpose, browser):
            raise refused("the challenge of another browser or page")
        return challenge

    async def _use(self, challenge: PasskeyChallenge) -> None:
        """Let a challenge be answered once.

        Raises:
            CredentialsRefused: it was answered before.
        """
        if not await self.challenges.use(challenge.nonce, int((CHALLENGE_LIFE + MAX_SKEW).total_seconds())):
            raise refused("a challenge that was answered before")
