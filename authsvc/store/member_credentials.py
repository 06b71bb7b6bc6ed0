"""Refresh tokens and portal sessions in Redis: by id and by member, newest first."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.error_codes import ErrorCode
from authsvc.store import keys, passkey_keys
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.tenancy.machine_records import RefreshToken
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.portal_session import PortalSession
from authsvc.tenancy.versioned import Versioned

UsedPasskey = tuple[Versioned[Passkey], Passkey]
"""A passkey as it was read, and its record after the use."""


class MemberCredential(Protocol):
    """What a member signed in with."""

    @property
    def id(self) -> str: ...
    @property
    def holder(self) -> str: ...
    @property
    def created_at(self) -> datetime: ...


T = TypeVar("T", bound=MemberCredential)


@frozen(eq=False, repr=False)
class RedisMemberCredentials(Generic[T]):
    """The credentials of one kind. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        records: of the installation.
        kind: of the records.
        key: makes the key of an id.
        index: makes the key of the credentials of one holder.
        too_many: error message when a member makes too many at a time.
    """

    records: Records
    kind: type[T]
    key: Callable[[str], str]
    index: Callable[[str], str]
    too_many: tuple[str, ErrorCode]

    async def get(self, credential_id: str) -> Versioned[T] | None:
        """Return the credential."""
        return await self.records.get(self.key(credential_id), self.kind)

    async def of_holder(self, holder: str) -> list[T]:
        """Return the credentials of one holder, newest first."""
        connection, index = self.records.connection, self.index(holder)
        ids = await connection.read(lambda: connection.redis.zrevrange(index, 0, -1))
        names = (self.key(credential_id.decode()) for credential_id in ids)
        return [found.record for found in await self.records.get_all(names, self.kind)]

    async def add(
        self,
        credential: T,
        newest: int,
        window: timedelta,
        life_seconds: int,
        entry: Entry,
        used: UsedPasskey | None = None,
    ) -> None:
        """Store a new credential for ``life_seconds``, and remove all but the holder's ``newest`` at once.

        Args:
            credential: to be stored.
            newest: number of a holder's credentials that stay.
            window: in which no more than that are made.
            life_seconds: after which it is forgotten.
            entry: of the audit.
            used: the passkey of the sign-in, before and after its counter was updated.

        Raises:
            Conflict: the holder got ``newest`` credentials within ``window`` before this one, or the passkey was
                changed or removed.
        """
        change = self.records.change(entry, credential.id)
        index = self.index(credential.holder)
        sentence, code = self.too_many
        change.expect_fewer(index, newest, (credential.created_at - window).timestamp(), sentence, code=code)
        change.put(self.key(credential.id), self.records.codec.encode(credential), life_seconds)
        change.add_to_order(index, credential.created_at.timestamp(), credential.id)
        change.forget_after(index, life_seconds)
        change.keep_newest(index, newest, self.key(""))
        if used is not None:
            old, new = used
            change.expect(passkey_keys.passkey(new.id), old.version, CHANGED_MEANWHILE)
            change.put(passkey_keys.passkey(new.id), self.records.codec.encode_change(old.version, new))
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[T], new: T, entry: Entry) -> None:
        """Store a changed credential.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        await self.records.replace(self.key, new.id, old, new, entry)


def refresh_tokens(records: Records) -> RedisMemberCredentials[RefreshToken]:
    """Return the refresh tokens of one installation."""
    too_many: tuple[str, ErrorCode] = "the member got too many refresh tokens a short time ago", "sign_ins_too_many"
    return RedisMemberCredentials(records, RefreshToken, keys.refresh_token, keys.member_refresh_tokens, too_many)


def portal_sessions(records: Records) -> RedisMemberCredentials[PortalSession]:
    """Return the portal sessions of one installation."""
    sentence = "this account has signed in too often within an hour; try again later"
    too_many: tuple[str, ErrorCode] = sentence, "sessions_too_many"
    return RedisMemberCredentials(records, PortalSession, keys.portal_session, keys.holder_sessions, too_many)
