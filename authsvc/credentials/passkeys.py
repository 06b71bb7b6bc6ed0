"""Authenticates members by passkeys, and checks new passkeys: challenges, records and rules, as of this request."""

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

from authsvc.credentials.facts import CredentialFactsReader
from authsvc.credentials.passkey_challenge import (
    KEY_BYTES,
    MAX_SKEW,
    NONCE_BYTES,
    ChallengePurpose,
    PasskeyChallenge,
    day_of,
    refused,
)
from authsvc.tenancy.passkey import CHALLENGE_LIFE, NewCredential, Passkey, PasskeyUse
from authsvc.tenancy.records import Member

if TYPE_CHECKING:
    from authsvc.credentials.relying_party import Assertion, RelyingParty


class ChallengeStore(Protocol):
    """Stores the keys of challenges, and which challenges were answered."""

    async def key(self, day: int, new: bytes) -> bytes:
        """Return the key of a day; store ``new`` as the key when there is none."""
        ...

    async def use(self, nonce: bytes, life_seconds: int) -> bool:
        """Mark a challenge as answered; return whether it was not answered before."""
        ...


def any_passkey_options(host: str, challenge: bytes) -> str:
    """Return the options for ``navigator.credentials.get`` with any passkey for ``host``, as JSON (WebAuthn §5.5)."""
    text = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
    return json.dumps({"challenge": text, "rpId": host, "userVerification": "required"})


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
        """The use of the passkey, for the session that begins with it."""
        return PasskeyUse(self.passkey.id, self.sign_count)


@frozen(eq=False, repr=False)
class PasskeyAuthenticator:
    """Makes challenges for browsers and checks their answers.

    Attributes:
        host: that passkeys are made for: the host of the public URL.
        party: returns what makes further requests and checks answers, for this host. Nothing else needs the library,
            so it can be imported with the first of them.
        facts: reads the records.
        challenges: of the installation.
        entropy: returns the given number of random bytes.
        on_use: called for every passkey that was accepted.
    """

    host: str
    party: "Callable[[], Awaitable[RelyingParty]]"
    facts: CredentialFactsReader
    challenges: ChallengeStore
    entropy: Callable[[int], bytes]
    on_use: Callable[[str, datetime], None]

    async def sign_in_options(self, browser: str, now: datetime) -> str:
        """Return the options of the browser's request in the sign-in form, as JSON.

        Args:
            browser: identifies its cookie.
            now: the current time.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        return any_passkey_options(self.host, await self._challenge(ChallengePurpose.SIGN_IN, browser, now))

    async def confirm_options(self, browser: str, known: Sequence[Passkey], now: datetime) -> str:
        """Return the options of the request by which a member confirms a change with one of ``known``, as JSON."""
        challenge = await self._challenge(ChallengePurpose.CONFIRM, browser, now)
        return (await self.party()).request_options(challenge, known)

    async def creation_options(self, browser: str, member: Member, known: Sequence[Passkey], now: datetime) -> str:
        """Return the options of the request by which an authenticator makes a passkey, as JSON.

        Must be called only when the member has just been authenticated.
        """
        challenge = await self._challenge(ChallengePurpose.REGISTER, browser, now)
        return (await self.party()).creation_options(member, known, challenge)

    async def registered(self, answer: str, browser: str, now: datetime) -> NewCredential:
        """Return the new credential of an authenticator.

        Raises:
            CredentialsRefused: the answer is invalid, or does not belong to one of our challenges.
        """
        party = await self.party()
        attestation = party.read_attestation(answer)
        challenge = await self._ours(attestation.challenge, ChallengePurpose.REGISTER, browser, now)
        made = party.registered(attestation)
        await self._use(challenge)
        return made

    async def signed_in(self, answer: str, browser: str, now: datetime) -> ProvenPasskey:
        """Return the member whose passkey signed; the sign-in form does not ask for a name.

        Raises:
            CredentialsRefused: the answer is invalid, or does not belong to one of our challenges or to a valid
                passkey.
        """
        party = await self.party()
        assertion = party.read_assertion(answer)
        if assertion.answer.response.user_handle is None:
            raise refused("without a user handle")
        return await self._proven(party, assertion, ChallengePurpose.SIGN_IN, browser, now)

    async def confirmed(self, answer: str, browser: str, member: Member, now: datetime) -> None:
        """Accept a change that ``member`` confirms with a passkey of theirs.

        Raises:
            CredentialsRefused: as in :meth:`signed_in`, or the passkey is another member's.
        """
        party = await self.party()
        proven = await self._proven(party, party.read_assertion(answer), ChallengePurpose.CONFIRM, browser, now)
        if proven.member.id != member.id:
            raise refused("of another member")

    async def _proven(
        self, party: "RelyingParty", assertion: "Assertion", purpose: ChallengePurpose, browser: str, now: datetime
    ) -> ProvenPasskey:
        challenge = await self._ours(assertion.challenge, purpose, browser, now)
        known = await self.facts.credential(Passkey, assertion.passkey_id)
        if known is None:
            raise refused("unknown")
        facts = await self.facts.credential_facts(Passkey, known.id, known.member, ())
        passkey, member = facts.credential, facts.member
        if passkey is None or member is None or member.removed_at is not None or passkey.member != member.id:
            raise refused("of nobody")
        sign_count = party.verified(assertion, passkey)
        await self._use(challenge)
        if not passkey.counts_on(sign_count):
            raise refused(f"{passkey.id} of {member.id}: its counter went back, so there may be a copy of it")
        self.on_use(passkey.id, now)
        return ProvenPasskey(member, passkey, sign_count)

    async def _challenge(self, purpose: ChallengePurpose, browser: str, now: datetime) -> bytes:
        key = await self.challenges.key(day_of(now), self.entropy(KEY_BYTES))
        return PasskeyChallenge.make(key, purpose, browser, now, self.entropy(NONCE_BYTES)).raw

    async def _ours(self, raw: bytes, purpose: ChallengePurpose, browser: str, now: datetime) -> PasskeyChallenge:
        """Return the challenge if it was made for this purpose and browser, and is not too old.

        Raises:
            CredentialsRefused: it is not such a challenge.
        """
        challenge = PasskeyChallenge.parse(raw)
        if challenge is None or not challenge.in_time(now):
            raise refused("a challenge that is too old, or not ours")
        key = await self.challenges.key(day_of(challenge.issued_at), self.entropy(KEY_BYTES))
        if not challenge.is_ours(key, purpose, browser):
            raise refused("the challenge of another browser or page")
        return challenge

    async def _use(self, challenge: PasskeyChallenge) -> None:
        """Mark a challenge as answered, which succeeds only once.

        Raises:
            CredentialsRefused: it was answered before.
        """
        if not await self.challenges.use(challenge.nonce, int((CHALLENGE_LIFE + MAX_SKEW).total_seconds())):
            raise refused("a challenge that was answered before")
