"""From proof to subject. The shell of this room: it asks the store and waits for hashes."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol, assert_never

from authsvc.credentials.machine_secret import LICENSE_KIND, MachineSecret
from authsvc.credentials.proof import Junk, MachineProof, Nothing, PasswordProof, Proof
from authsvc.credentials.subject import LicenseSubject, MemberSubject, Subject
from authsvc.credentials.verifier import PasswordRecord, PasswordVerifier
from authsvc.errors import CredentialsRefused
from authsvc.tenancy.records import App, License, Member

SIGN_IN = "sign in with your account or license file: docker login"
REFUSED = "the user name, password, token or license file is not right; check it and sign in again"


class Standings(Protocol):
    """What the token path reads: each method is one round trip, each answer is as of one instant."""

    async def member_by_email(self, email: str) -> Member | None:
        """Return the member with this canonical address."""
        ...

    async def member_standing(self, member_id: str, slugs: Collection[str]) -> tuple[Member | None, Mapping[str, App]]:
        """Return the member, and those apps of the given slugs that exist."""
        ...

    async def license(self, license_id: str) -> License | None:
        """Return the license."""
        ...

    async def license_standing(self, license_id: str, slug: str) -> tuple[License | None, App | None]:
        """Return the license and the app it is for."""
        ...


class Authenticator:
    """Proves who is asking. Two round trips to the store, whatever the credential."""

    def __init__(self, standings: Standings, passwords: PasswordVerifier) -> None:
        """Ask ``standings`` for facts and ``passwords`` for hashes."""
        self._standings = standings
        self._passwords = passwords

    async def authenticate(self, proof: Proof, namespaces: Collection[str], now: datetime) -> Subject:
        """Return the proven subject with its facts.

        Args:
            proof: what was presented.
            namespaces: slugs of the apps that the request asks for.
            now: the request's one reading of the clock.

        Raises:
            CredentialsRefused: identity was not proven; the same sentence whether unknown or wrong.
            Overloaded: too many passwords are being checked.
            StoreUnavailable: the store did not answer.
        """
        match proof:
            case Nothing():
                raise CredentialsRefused(SIGN_IN, detail="no credentials")
            case Junk(why):
                raise _refusal(why)
            case PasswordProof():
                return await self._member(proof, namespaces, now)
            case MachineProof(secret):
                return await self._license(secret, now)
            case _:
                assert_never(proof)

    async def _member(self, proof: PasswordProof, namespaces: Collection[str], now: datetime) -> MemberSubject:
        known = await self._standings.member_by_email(proof.email)
        record = None if known is None else PasswordRecord(known.id, known.epoch, known.password_hash)
        right = await self._passwords.verify(record, proof.email, proof.password, now)
        if not right or known is None:
            raise _refusal("no such member" if known is None else f"wrong password of {known.subject}")
        member, apps = await self._standings.member_standing(known.id, namespaces)
        if member is None or member.epoch != known.epoch:
            # Changed while the password was being hashed: what was proven is no longer true (threat 50).
            raise _refusal(f"{known.subject} changed during the check")
        return MemberSubject(member, apps)

    async def _license(self, secret: MachineSecret, now: datetime) -> LicenseSubject:
        if secret.kind != LICENSE_KIND:
            raise _refusal(f"no credential of kind {secret.kind!r}")
        known = await self._standings.license(secret.id)
        if known is None or not _opens(known, secret, now):
            raise _refusal("no such license" if known is None else f"wrong or rotated token of {known.subject}")
        license_, app = await self._standings.license_standing(known.id, known.app)
        if license_ is None or app is None or not _opens(license_, secret, now):
            raise _refusal(f"{known.subject} changed during the check")
        return LicenseSubject(license_, app)


def _opens(license_: License, secret: MachineSecret, now: datetime) -> bool:
    """Whether ``secret`` is a live registry token of ``license_``."""
    live = [token for token in license_.tokens if token.ends_at is None or now < token.ends_at]
    return any(secret.has_digest(token.sha256) for token in live)


def _refusal(why: str) -> CredentialsRefused:
    return CredentialsRefused(REFUSED, detail=why)
