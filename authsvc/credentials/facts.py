"""What the authenticator reads from the store about credentials, and the interface to read it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from authsvc.tenancy.machine_records import PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.portal_session import PortalSession
from authsvc.tenancy.records import App, License, Member
from authsvc.throttle import TATs

Credential = License | Passkey | PersonalToken | PortalSession | RefreshToken | ServiceAccount

T = TypeVar("T")
C = TypeVar("C", License, Passkey, PersonalToken, PortalSession, RefreshToken, ServiceAccount)


class NotCached(LookupError):
    """The cache alone cannot answer; the store can."""


@frozen
class CredentialFacts(Generic[T]):
    """A credential and what its use depends on, as of one instant.

    Attributes:
        credential: the record, or None when it is gone.
        member: who is behind it (the owner, or the creator of a service account), when there is one.
        apps: those of the apps asked for that exist, by slug.
        used_at: when it last logged in, of what ends when it was idle for long; None otherwise, or when it never did.
    """

    credential: T | None
    member: Member | None
    apps: Mapping[str, App]
    used_at: datetime | None = None


class CredentialFactsReader(Protocol):
    """What the token path reads: each method is one round trip, each answer is as of one instant."""

    async def member_by_email(self, email: str, network: str) -> tuple[Member | None, TATs]:
        """Return the member with this canonical address, and what the throttle counts for it and ``network``."""
        ...

    async def member_facts(self, member_id: str, slugs: Collection[str]) -> tuple[Member | None, Mapping[str, App]]:
        """Return the member, and those apps of the given slugs that exist."""
        ...

    async def credential(self, kind: type[C], credential_id: str) -> C | None:
        """Return the credential."""
        ...

    async def licenses(
        self, license_ids: Collection[str], slugs: Collection[str]
    ) -> tuple[Mapping[str, License], Mapping[str, App]]:
        """Return those licenses that exist, by id, and those apps of the given slugs that exist."""
        ...

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return a credential with the member behind it and those apps of the given slugs that exist."""
        ...


class RecentLicenses(Protocol):
    """What the store had within the last minute, for the time while it is unavailable (design #13)."""

    def recall(self, license_id: str) -> tuple[License, App] | None:
        """Return a license and its app, as far as they are known, or None."""
        ...
