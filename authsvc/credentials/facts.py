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
    """The cache does not have the facts; the store must be asked."""


@frozen
class CredentialFacts(Generic[T]):
    """A credential and the records that its use depends on, as of one instant.

    Attributes:
        credential: the record, or None when it is gone.
        member: its owner, or the creator of a service account, if there is one.
        apps: the existing ones of the requested apps, by slug.
        used_at: when it was last used, for credentials that end when they are idle; None for others, or if never used.
    """

    credential: T | None
    member: Member | None
    apps: Mapping[str, App]
    used_at: datetime | None = None


class CredentialFactsReader(Protocol):
    """The reads of the token path: each method takes one round trip, each answer is as of one instant."""

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


class CachedFactsReader(CredentialFactsReader, Protocol):
    """Facts that are known without asking the store; every read raises NotCached when they are not."""

    def current_license(self, license_id: str) -> tuple[License, App] | None:
        """Return a license and its app as the store has them now, or None when they are not known."""
        ...


class RecentLicenses(Protocol):
    """Licenses that the store had within the last minute, for use while it is unavailable (design #13)."""

    def recall(self, license_id: str) -> tuple[License, App] | None:
        """Return a license and its app, as far as they are known, or None."""
        ...
