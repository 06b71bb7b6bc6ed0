"""What management reads and writes of credentials: members, tokens, service accounts, sign-ins, links.

As in :mod:`authsvc.store.directory`, an index is written in the same change as its record, and every method raises
StoreUnavailable when Redis does not answer.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.codec import Codec, Stored, decode_instant
from authsvc.store.connection import Connection
from authsvc.store.directory import CHANGED_MEANWHILE
from authsvc.store.transaction import Transaction
from authsvc.tenancy.machine_records import OneTimeLink, PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.records import Member

T = TypeVar("T")


class RedisCredentials:
    """The credentials of one installation."""

    def __init__(self, connection: Connection, codec: Codec) -> None:
        """Read and write through ``connection``."""
        self._connection = connection
        self._codec = codec

    # Members

    async def member(self, email: str) -> Stored[Member] | None:
        """Return the member with this canonical address."""
        member_id = await self._connection.get(keys.member_email(email))
        return None if member_id is None else await self.member_of_id(member_id.decode())

    async def member_of_id(self, member_id: str) -> Stored[Member] | None:
        """Return the member with this id, also one who was removed."""
        return await self._stored(keys.member(member_id), Member)

    async def members(self, team: str) -> list[Member]:
        """Return the members of a team, by address."""
        found = await self._listed(keys.team_members(team), keys.member, Member)
        return sorted((m for m in found if m.removed_at is None), key=lambda member: member.email)

    async def stored_members(self, team: str) -> list[Stored[Member]]:
        """Return the members of a team as they are stored, by id."""
        ids = await self._connection.read(lambda: self._connection.redis.smembers(keys.team_members(team)))
        raws = await self._connection.get_all(*(keys.member(member_id.decode()) for member_id in sorted(ids)))
        return [Stored(self._codec.decode(raw, Member), raw) for raw in raws if raw is not None]

    async def replace_member(
        self, old: Stored[Member], new: Member, entry: Entry, *, witness: Stored[Member] | None = None
    ) -> None:
        """Store a changed member, on the condition that ``witness``, another member, is unchanged.

        Raises:
            Conflict: it is no longer what ``old`` says, or the witness is not.
        """
        change = Transaction(entry)
        change.expect(keys.member(new.id), old.raw, CHANGED_MEANWHILE)
        if witness is not None:
            change.expect(keys.member(witness.record.id), witness.raw, CHANGED_MEANWHILE)
        change.put(keys.member(new.id), self._codec.encode(new), keep_life=True)
        await change.apply(self._connection)

    async def remove_member(
        self, old: Stored[Member], new: Member, entry: Entry, *, witness: Stored[Member] | None = None
    ) -> None:
        """Store a member as removed and free the address; the id stays taken; ``witness`` as above.

        Raises:
            Conflict: it is no longer what ``old`` says, or the witness is not.
        """
        change = Transaction(entry)
        if witness is not None:
            change.expect(keys.member(witness.record.id), witness.raw, CHANGED_MEANWHILE)
        change.expect(keys.member(new.id), old.raw, CHANGED_MEANWHILE)
        # Between two reads the address may have gone to somebody else, who must keep it.
        change.expect(keys.member_email(new.email), new.id.encode(), CHANGED_MEANWHILE)
        change.put(keys.member(new.id), self._codec.encode(new))
        change.remove(keys.member_email(new.email))
        change.remove(keys.pending_link(new.email))
        change.remove_from_set(keys.team_members(new.team), new.id)
        await change.apply(self._connection)

    # Personal tokens

    async def personal_token(self, token_id: str) -> Stored[PersonalToken] | None:
        """Return the token."""
        return await self._stored(keys.personal_token(token_id), PersonalToken)

    async def personal_tokens(self, member_id: str) -> list[PersonalToken]:
        """Return a member's tokens, revoked ones too, by name."""
        found = await self._listed(keys.member_tokens(member_id), keys.personal_token, PersonalToken)
        return sorted(found, key=lambda token: (token.name, token.created_at))

    async def add_personal_token(
        self, token: PersonalToken, owner: Stored[Member], namesake: PersonalToken | None, entry: Entry
    ) -> None:
        """Store a new token of ``owner``; ``namesake`` is the ended one that had its name before, if any.

        Raises:
            Conflict: the member changed, or a token of this name was made meanwhile.
        """
        change = Transaction(entry)
        name = keys.personal_token_name(token.member, token.name)
        if namesake is None:
            change.expect_absent(name, CHANGED_MEANWHILE)
        else:
            change.expect(name, namesake.id.encode(), CHANGED_MEANWHILE)
        change.expect(keys.member(token.member), owner.raw, CHANGED_MEANWHILE)
        change.expect_absent(keys.personal_token(token.id), CHANGED_MEANWHILE)
        change.put(keys.personal_token(token.id), self._codec.encode(token))
        change.put(name, token.id.encode())
        change.add_to_set(keys.member_tokens(token.member), token.id)
        await change.apply(self._connection)

    async def replace_personal_token(self, old: Stored[PersonalToken], new: PersonalToken, entry: Entry) -> None:
        """Store a changed token.

        Raises:
            Conflict: it is no longer what ``old`` says.
        """
        await self._replace(keys.personal_token(new.id), old.raw, new, entry)

    # Service accounts

    async def service_account(self, team: str, name: str) -> Stored[ServiceAccount] | None:
        """Return the service account of this name."""
        account_id = await self._connection.get(keys.service_account_name(team, name))
        if account_id is None:
            return None
        return await self._stored(keys.service_account(account_id.decode()), ServiceAccount)

    async def service_accounts(self, team: str) -> list[ServiceAccount]:
        """Return a team's service accounts, revoked ones too, by name."""
        found = await self._listed(keys.team_service_accounts(team), keys.service_account, ServiceAccount)
        return sorted(found, key=lambda account: account.name)

    async def add_service_account(self, account: ServiceAccount, entry: Entry) -> None:
        """Store a new service account.

        Raises:
            Conflict: the name is taken in the team; names are never given twice.
        """
        change = Transaction(entry)
        change.expect_absent(
            keys.service_account_name(account.team, account.name),
            f"the team {account.team!r} has or had a service account {account.name!r}; choose another name",
        )
        change.put(keys.service_account(account.id), self._codec.encode(account))
        change.put(keys.service_account_name(account.team, account.name), account.id.encode())
        change.add_to_set(keys.team_service_accounts(account.team), account.id)
        await change.apply(self._connection)

    async def replace_service_account(self, old: Stored[ServiceAccount], new: ServiceAccount, entry: Entry) -> None:
        """Store a changed service account.

        Raises:
            Conflict: it is no longer what ``old`` says.
        """
        await self._replace(keys.service_account(new.id), old.raw, new, entry)

    # Sign-ins (refresh tokens)

    async def refresh_token(self, token_id: str) -> Stored[RefreshToken] | None:
        """Return the refresh token."""
        return await self._stored(keys.refresh_token(token_id), RefreshToken)

    async def refresh_tokens(self, member_id: str) -> list[RefreshToken]:
        """Return a member's refresh tokens, newest first."""
        index = keys.member_refresh_tokens(member_id)
        ids = await self._connection.read(lambda: self._connection.redis.zrevrange(index, 0, -1))
        return await self._records(map(bytes.decode, ids), keys.refresh_token, RefreshToken)

    async def add_refresh_token(
        self, token: RefreshToken, newest: int, window: timedelta, life_seconds: int, entry: Entry
    ) -> None:
        """Store a new refresh token, forget it after ``life_seconds``, and all but the member's ``newest`` at once.

        Raises:
            Conflict: the member got ``newest`` tokens within ``window`` before this one.
        """
        change = Transaction(entry)
        index = keys.member_refresh_tokens(token.member)
        since = (token.created_at - window).timestamp()
        change.expect_fewer(index, newest, since, f"the member got {newest} refresh tokens a short time ago")
        change.put(keys.refresh_token(token.id), self._codec.encode(token), life_seconds)
        change.add_to_order(index, token.created_at.timestamp(), token.id)
        change.keep_newest(index, newest, keys.refresh_token(""))
        await change.apply(self._connection)

    async def replace_refresh_token(self, old: Stored[RefreshToken], new: RefreshToken, entry: Entry) -> None:
        """Store a changed refresh token.

        Raises:
            Conflict: it is no longer what ``old`` says.
        """
        await self._replace(keys.refresh_token(new.id), old.raw, new, entry)

    # One-time links

    async def link(self, link_id: str) -> Stored[OneTimeLink] | None:
        """Return the link, when it is the newest one for its address."""
        stored = await self._stored(keys.link(link_id), OneTimeLink)
        if stored is None:
            return None
        newest = await self._connection.get(keys.pending_link(stored.record.email))
        return stored if newest == link_id.encode() else None

    async def add_link(self, link: OneTimeLink, life_seconds: int, entry: Entry) -> None:
        """Store a new link; an older one for the same address is void from now on."""
        change = Transaction(entry)
        change.put(keys.link(link.id), self._codec.encode(link), life_seconds)
        change.put(keys.pending_link(link.email), link.id.encode(), life_seconds)
        await change.apply(self._connection)

    async def accept_invite(self, link: Stored[OneTimeLink], member: Member, entry: Entry) -> None:
        """Consume an invitation and store the new member.

        Raises:
            Conflict: the link was used or replaced meanwhile, or the address belongs to a member already.
        """
        change = self._consumed(link, entry)
        change.expect_absent(keys.member_email(member.email), f"{member.email} is a member already")
        change.put(keys.member(member.id), self._codec.encode(member))
        change.put(keys.member_email(member.email), member.id.encode())
        change.add_to_set(keys.team_members(member.team), member.id)
        await change.apply(self._connection)

    async def accept_reset(self, link: Stored[OneTimeLink], old: Stored[Member], new: Member, entry: Entry) -> None:
        """Consume a reset link and store the member with the new password.

        Raises:
            Conflict: the link was used or replaced meanwhile, or the member changed.
        """
        change = self._consumed(link, entry)
        change.expect(keys.member(new.id), old.raw, CHANGED_MEANWHILE)
        change.put(keys.member(new.id), self._codec.encode(new))
        await change.apply(self._connection)

    # When credentials were used

    async def used_at(self, credential_ids: Iterable[str]) -> dict[str, datetime]:
        """Return when each credential last logged in; one that never did is left out."""
        ids = list(credential_ids)
        raws = await self._connection.get_all(*map(keys.used, ids))
        return {
            credential_id: decode_instant(raw) for credential_id, raw in zip(ids, raws, strict=True) if raw is not None
        }

    def _consumed(self, link: Stored[OneTimeLink], entry: Entry) -> Transaction:
        change = Transaction(entry)
        void = "the link was used already, or a newer one took its place"
        change.expect(keys.link(link.record.id), link.raw, void)
        change.expect(keys.pending_link(link.record.email), link.record.id.encode(), void)
        change.remove(keys.link(link.record.id))
        change.remove(keys.pending_link(link.record.email))
        return change

    async def _replace(self, key: str, old: bytes, new: object, entry: Entry) -> None:
        change = Transaction(entry)
        change.expect(key, old, CHANGED_MEANWHILE)
        change.put(key, self._codec.encode(new), keep_life=True)
        await change.apply(self._connection)

    async def _stored(self, key: str, kind: type[T]) -> Stored[T] | None:
        raw = await self._connection.get(key)
        return None if raw is None else Stored(self._codec.decode(raw, kind), raw)

    async def _listed(self, index: str, key: Callable[[str], str], kind: type[T]) -> list[T]:
        ids = await self._connection.read(lambda: self._connection.redis.smembers(index))
        return await self._records(sorted(map(bytes.decode, ids)), key, kind)

    async def _records(self, ids: Iterable[str], key: Callable[[str], str], kind: type[T]) -> list[T]:
        raws = await self._connection.get_all(*map(key, ids))
        return [self._codec.decode(raw, kind) for raw in raws if raw is not None]
