"""A member's passkeys: registered, listed, renamed and removed. Browsers sign in with them in :mod:`.sessions`."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import evolve, frozen

from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.credential_lookup import find_passkey, sessions_begun_with
from authsvc.manage.idempotency import repeatable
from authsvc.manage.lookup import find_member, find_member_by_id, find_team
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.tenancy.names import parse_text
from authsvc.tenancy.passkey import NewCredential, Passkey
from authsvc.tenancy.records import Member


@frozen
class PasskeyLine:
    """One row of a member's list.

    Attributes:
        passkey: the record.
        used_at: when it was last used to sign in or confirm, to about the minute; None if never.
    """

    passkey: Passkey
    used_at: datetime | None


@frozen(eq=False, repr=False)
class Passkeys:
    """Registers, lists, renames and removes the passkeys of the calling member.

    Every method raises StoreUnavailable when the store does not answer.
    """

    stores: Stores

    async def _first(self, passkey_id: str, operation: Operation) -> Passkey:
        return (await find_passkey(self.stores, operation.actor, passkey_id)).record

    async def _removed(self, _passkey_id: str, _operation: Operation) -> None:
        return None

    @permitted(Permission.PASSKEY_LIST)
    async def list(self, actor: Actor) -> tuple[PasskeyLine, ...]:
        """Return the actor's passkeys, oldest first: at most 20."""
        passkeys = await self.stores.passkeys.of_member(actor.id)
        used = await self.stores.usage.used_at([one.id for one in passkeys])
        return tuple(PasskeyLine(one, used.get(one.id)) for one in passkeys)

    @permitted(Permission.PASSKEY_COUNT)
    async def counts(self, actor: Actor, team: str, members: Sequence[Member]) -> Mapping[str, int]:
        """Return how many passkeys each of some members of a team has, by id.

        Raises:
            NotFound: there is no such team for the actor.
        """
        owner = await find_team(self.stores, actor, team)
        return await self.stores.passkeys.counts([member.id for member in members if member.team == owner.slug])

    @permitted(Permission.PASSKEY_REGISTER)
    @repeatable(_first)
    async def register(self, name: str, made: NewCredential, operation: Operation) -> Passkey:
        """Return a new passkey of the actor, who has just been authenticated.

        Args:
            name: chosen by the member.
            made: by an authenticator; it was checked.
            operation: the circumstances.

        Raises:
            InputRefused: the name is not acceptable.
            Conflict: the passkey is registered already, the actor has too many, or was changed concurrently.
        """
        title = parse_text(name, "name")
        owner = await find_member(self.stores, operation.actor, operation.actor.id)
        passkey = Passkey(
            id=made.id,
            member=owner.record.id,
            name=title,
            credential=made.credential,
            rp_id=made.rp_id,
            created_at=operation.now,
            sign_count=made.sign_count,
            synced=made.synced,
        )
        entry = operation.entry("passkey.registered", **_facts(passkey, owner.record), name=title)
        await self.stores.passkeys.add(passkey, owner, entry)
        return passkey

    @permitted(Permission.PASSKEY_RENAME)
    @repeatable(_first)
    async def rename(self, passkey_id: str, name: str, operation: Operation) -> Passkey:
        """Rename a passkey of the actor.

        Raises:
            InputRefused: the name is not acceptable.
            NotFound: the actor has no such passkey.
            Conflict: it was changed concurrently.
        """
        title = parse_text(name, "name")
        found = await find_passkey(self.stores, operation.actor, passkey_id)
        operation.require_match(found.record)
        if found.record.name == title:
            return found.record
        owner = await find_member_by_id(self.stores, operation.actor, operation.actor.id)
        renamed = evolve(found.record, name=title)
        entry = operation.entry_of_change("passkey.renamed", found.record, renamed, **_facts(renamed, owner))
        await self.stores.passkeys.replace(found, renamed, entry)
        return renamed

    @permitted(Permission.PASSKEY_REMOVE)
    @repeatable(_removed)
    async def remove(self, passkey_id: str, operation: Operation, this_session: str | None = None) -> None:
        """Remove a passkey of the actor, who has just been authenticated, and end the sessions begun with it.

        Args:
            passkey_id: of the passkey.
            operation: the circumstances.
            this_session: id of the actor's current session, which continues.

        Raises:
            NotFound: the actor has no such passkey.
            Conflict: it, or a session, was changed concurrently.
        """
        found = await find_passkey(self.stores, operation.actor, passkey_id)
        operation.require_match(found.record)
        owner = await find_member_by_id(self.stores, operation.actor, operation.actor.id)
        sessions = await sessions_begun_with(self.stores, owner, passkey_id, this_session)
        facts = {**_facts(found.record, owner), "name": found.record.name, "sessions": len(sessions)}
        ended = [(one, evolve(one.record, revoked_at=operation.now)) for one in sessions]
        await self.stores.passkeys.remove(found, ended, operation.entry("passkey.removed", **facts))


def _facts(passkey: Passkey, owner: Member) -> dict[str, object]:
    return {"passkey": passkey.id, "member": owner.id, "team": owner.team}
