"""The stores of members' credentials, as the use cases need them; see :mod:`authsvc.manage.stores`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from authsvc.audit.entry import Entry
    from authsvc.tenancy.machine_records import PersonalToken, RefreshToken
    from authsvc.tenancy.pages import Page
    from authsvc.tenancy.passkey import Passkey
    from authsvc.tenancy.portal_session import PortalSession
    from authsvc.tenancy.records import Member
    from authsvc.tenancy.versioned import Versioned


class PasswordChoiceStore(Protocol):
    """Counts the new passwords that were tried for a member or a link."""

    async def count(self, counted_for: str, now: datetime) -> float: ...


class PersonalTokenStore(Protocol):
    """Personal tokens, by id; lists are by name and then by age, with revoked ones."""

    async def get(self, token_id: str) -> Versioned[PersonalToken] | None: ...
    async def of_member(self, member_id: str) -> list[PersonalToken]: ...
    async def page(self, member_id: str, after: str | None, limit: int) -> Page[PersonalToken]: ...
    async def add(
        self, token: PersonalToken, owner: Versioned[Member], namesake: PersonalToken | None, entry: Entry
    ) -> None: ...
    async def replace(self, old: Versioned[PersonalToken], new: PersonalToken, entry: Entry) -> None: ...


class SignInStore(Protocol):
    """Refresh tokens, by id; lists are newest first."""

    async def get(self, token_id: str) -> Versioned[RefreshToken] | None: ...
    async def of_holder(self, holder: str) -> list[RefreshToken]: ...
    async def add(
        self, token: RefreshToken, newest: int, window: timedelta, life_seconds: int, entry: Entry
    ) -> None: ...
    async def replace(self, old: Versioned[RefreshToken], new: RefreshToken, entry: Entry) -> None: ...


class SessionStore(Protocol):
    """Sessions of the portal, by id; lists are newest first.

    ``used`` is the passkey that a session was begun with, before and after its counter was updated.
    """

    async def get(self, session_id: str) -> Versioned[PortalSession] | None: ...
    async def of_holder(self, holder: str) -> list[PortalSession]: ...
    async def add(
        self,
        session: PortalSession,
        newest: int,
        window: timedelta,
        life_seconds: int,
        entry: Entry,
        used: tuple[Versioned[Passkey], Passkey] | None = None,
    ) -> None: ...
    async def replace(self, old: Versioned[PortalSession], new: PortalSession, entry: Entry) -> None: ...


class PasskeyStore(Protocol):
    """Passkeys, by id; lists are oldest first. ``sessions`` are those that end, before and after the change."""

    async def get(self, passkey_id: str) -> Versioned[Passkey] | None: ...
    async def of_member(self, member_id: str) -> list[Passkey]: ...
    async def counts(self, member_ids: Collection[str]) -> Mapping[str, int]: ...
    async def add(self, passkey: Passkey, owner: Versioned[Member], entry: Entry) -> None: ...
    async def replace(self, old: Versioned[Passkey], new: Passkey, entry: Entry) -> None: ...
    async def remove(
        self,
        old: Versioned[Passkey],
        sessions: Collection[tuple[Versioned[PortalSession], PortalSession]],
        entry: Entry,
    ) -> None: ...
