"""Members of teams: their roles, limits and passwords.

Every change that reduces rights raises the member's epoch, which ends remembered passwords, sign-ins and sessions at
once.
"""

from collections.abc import Sequence
from typing import Any

from attrs import evolve, frozen

from authsvc.audit.entry import Entry
from authsvc.counts import counted
from authsvc.credentials.machine_secret import ID_BYTES, is_id, new_id
from authsvc.errors import Conflict, InputRefused, LastOwner, PermissionDenied
from authsvc.manage.actor import Actor, Person
from authsvc.manage.authorization import permitted
from authsvc.manage.confirmation import EndedAccess, mark_of, require
from authsvc.manage.idempotency import repeatable
from authsvc.manage.lookup import (
    find_apps_of,
    find_member,
    find_member_by_id,
    find_team,
    parse_member,
)
from authsvc.manage.new_passwords import PasswordHasher, hashed_for
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.redaction import Secret
from authsvc.tenancy.names import parse_email
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size
from authsvc.tenancy.records import Member, Role
from authsvc.tenancy.versioned import Versioned

MAX_NAMED = 10
"""Most service accounts that are named before a change ends them; all are counted."""


@frozen(eq=False, repr=False)
class Members:
    """Adds, changes and removes members. A ``member`` is named by id or e-mail address.

    Every method raises StoreUnavailable when the store does not answer, and Conflict when what it changes was changed
    concurrently.

    Attributes:
        stores: the records.
        hasher: hashes new passwords.
    """

    stores: Stores
    hasher: PasswordHasher

    async def _first(self, member_id: str, operation: Operation) -> Member:
        return await find_member_by_id(self.stores, operation.actor, member_id)

    @permitted(Permission.MEMBER_ADD)
    @repeatable(_first)
    async def add(
        self, email: str, team: str, role: str, apps: Sequence[str], password: Secret, operation: Operation
    ) -> Member:
        """Return a new member.

        Args:
            email: as typed.
            team: slug.
            role: one of :class:`Role`.
            apps: slugs to limit the member to; empty for no limit.
            password: as typed.
            operation: the circumstances.

        Raises:
            InputRefused: something is not acceptable, the password for instance.
            NotFound: there is no such team or app.
            Conflict: the address belongs to a member already.
        """
        canonical, rank = parse_email(email), parse_role(role)
        owner = await find_team(self.stores, operation.actor, team)
        limits = await find_apps_of(self.stores, apps, owner.slug)
        password_hash = await hashed_for(
            canonical, password, canonical, owner.slug, self.stores, self.hasher, operation
        )
        member = new_member(canonical, owner.slug, rank, limits, password_hash, operation)
        entry = operation.entry("member.added", **facts_of(member), role=str(member.role))
        await self.stores.members.add(member, entry)
        return member

    @permitted(Permission.MEMBER_LIST)
    async def list(self, actor: Actor, team: str, *, after: str | None = None, limit: int = MAX_PAGE) -> Page[Member]:
        """Return one page of the members of a team, by address.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such team.
        """
        owner = await find_team(self.stores, actor, team)
        return await self.stores.members.page(owner.slug, after, page_size(limit))

    @permitted(Permission.MEMBER_SHOW)
    async def show(self, actor: Actor, member: str) -> Member:
        """Return one member; by id even a removed one, since the audit may name it.

        Raises:
            InputRefused: it is neither an id nor an address.
            NotFound: there is no such member for the actor.
        """
        if is_id(member):
            return await find_member_by_id(self.stores, actor, member)
        return (await find_member(self.stores, actor, member)).record

    @permitted(Permission.MEMBER_ACT_AS)
    async def person(self, actor: Actor, member: str) -> Person:
        """Return the member on whose behalf the operator acts.

        Raises:
            InputRefused: it is neither an id nor an address.
            NotFound: there is no such member, or no longer.
            Conflict: the member is disabled.
        """
        found = (await find_member(self.stores, actor, member)).record
        if found.disabled_at is not None:
            raise Conflict(f"{found.email} is disabled; nobody can act as a disabled member", code="member_disabled")
        return Person(found.id, found.email, found.team)

    @permitted(Permission.MEMBER_DISABLE)
    @repeatable(_first)
    async def disable(
        self, member: str, operation: Operation, confirmed: str | None = None, *, force: bool = False
    ) -> Member:
        """Refuse the account and its tokens from now on; its sign-ins end permanently.

        Raises:
            NotFound: there is no such member for the actor.
            LastOwner: the team would have no owner; the operator may ``force`` it.
            ConfirmationNeeded: service accounts that the member made would be refused as well.
        """
        stored = await find_member(self.stores, operation.actor, member)
        operation.require_match(stored.record)
        if stored.record.disabled_at is not None:
            return stored.record
        changed = at_next_epoch(stored.record, disabled_at=operation.now)
        witness = await self._another_owner(stored.record, changed, operation, force=force)
        require(await self._ends("disabling", stored.record, operation), confirmed)
        entry = operation.entry_of_change("member.disabled", stored.record, changed, **facts_of(changed))
        return await self._replace(stored, changed, entry, witness)

    @permitted(Permission.MEMBER_ENABLE)
    @repeatable(_first)
    async def enable(self, member: str, operation: Operation) -> Member:
        """Undo :meth:`disable`; sign-ins and sessions stay ended.

        Raises:
            NotFound: there is no such member for the actor.
        """
        stored = await find_member(self.stores, operation.actor, member)
        operation.require_match(stored.record)
        if stored.record.disabled_at is None:
            return stored.record
        return await self._change(stored, evolve(stored.record, disabled_at=None), "member.enabled", operation)

    @permitted(Permission.MEMBER_SET_ROLE)
    @repeatable(_first)
    async def set_role(
        self, member: str, role: str, apps: Sequence[str] | None, operation: Operation, *, force: bool = False
    ) -> Member:
        """Change a member's role, and the limits unless ``apps`` is None; an empty list removes the limits.

        Raises:
            InputRefused: there is no such role.
            NotFound: there is no such member for the actor, or the team has no such app.
            LastOwner: the team would have no owner; the operator may ``force`` it.
        """
        stored = await find_member(self.stores, operation.actor, member)
        operation.require_match(stored.record)
        team = stored.record.team
        limits = stored.record.apps if apps is None else await find_apps_of(self.stores, apps, team)
        changed = at_next_epoch(stored.record, role=parse_role(role), apps=limits)
        facts: dict[str, Any] = {
            "role": role,
            "apps": limits,
            "role_before": str(stored.record.role),
            "apps_before": stored.record.apps,
        }
        return await self._change(stored, changed, "member.role_set", operation, force=force, **facts)

    @permitted(Permission.MEMBER_SET_PASSWORD)
    @repeatable(_first)
    async def set_password(self, member: str, password: Secret, operation: Operation) -> Member:
        """Set a new password; the old one and the sign-ins made with it end at once, personal tokens stay.

        The member's passkeys stay, too, unless the operator sets the password: then an attacker who knew the old one
        may have registered a passkey.

        Raises:
            InputRefused: the password is not acceptable.
            NotFound: there is no such member for the actor.
            PermissionDenied: it is another member's.
            Throttled: too many passwords were tried for the account.
            Overloaded: too many new passwords wait to be hashed.
        """
        operation.actor.require_self(parse_member(member), Permission.MEMBER_SET_PASSWORD)
        stored = await find_member(self.stores, operation.actor, member)
        operation.require_match(stored.record)
        of = stored.record
        password_hash = await hashed_for(of.id, password, of.email, of.team, self.stores, self.hasher, operation)
        changed = at_next_epoch(of, password_hash=password_hash)
        return await self._change(
            stored, changed, "member.password_set", operation, forget_passkeys=operation.actor.is_operator
        )

    @permitted(Permission.MEMBER_REMOVE)
    @repeatable(_first)
    async def remove(
        self, member: str, operation: Operation, confirmed: str | None = None, *, force: bool = False
    ) -> Member:
        """End the membership: every credential ends, and the address is free for a new account with a new id.

        Raises:
            NotFound: there is no such member for the actor.
            LastOwner: the team would have no owner; the operator may ``force`` it.
            ConfirmationNeeded: service accounts that the member made would end as well.
        """
        stored = await find_member(self.stores, operation.actor, member)
        operation.require_match(stored.record)
        removed = at_next_epoch(stored.record, removed_at=operation.now)
        witness = await self._another_owner(stored.record, removed, operation, force=force)
        require(await self._ends("removing", stored.record, operation), confirmed)
        entry = operation.entry_of_change("member.removed", stored.record, removed, **facts_of(removed))
        await self.stores.members.remove(stored, removed, entry, witness=witness)
        return removed

    async def _change(
        self,
        old: Versioned[Member],
        new: Member,
        event: str,
        operation: Operation,
        *,
        force: bool = False,
        forget_passkeys: bool = False,
        **facts: object,
    ) -> Member:
        witness = await self._another_owner(old.record, new, operation, force=force)
        entry = operation.entry_of_change(event, old.record, new, **facts_of(new), **facts)
        return await self._replace(old, new, entry, witness, forget_passkeys=forget_passkeys)

    async def _replace(
        self,
        old: Versioned[Member],
        new: Member,
        entry: Entry,
        witness: Versioned[Member] | None,
        *,
        forget_passkeys: bool = False,
    ) -> Member:
        await self.stores.members.replace(old, new, entry, witness=witness, forget_passkeys=forget_passkeys)
        return new

    async def _ends(self, what: str, member: Member, operation: Operation) -> EndedAccess | None:
        """Return which service accounts end with their creator; None when there are no active ones."""
        if member.disabled_at is not None:  # the accounts are refused already
            return None
        accounts = await self.stores.service_accounts.of_team(member.team)
        made = [account for account in accounts if account.creator == member.id and account.in_force(operation.now)]
        if not made:
            return None
        named = ", ".join(account.name for account in made[:MAX_NAMED]) + (", …" if len(made) > MAX_NAMED else "")
        number = counted(len(made), "service account")
        mark = mark_of(what, member.id, [account.id for account in made])
        return EndedAccess(f"{what} {member.email} ends {number} that this member made: {named}", mark)

    async def _another_owner(
        self, old: Member, new: Member, operation: Operation, *, force: bool
    ) -> Versioned[Member] | None:
        """Return another owner who manages the team when ``old`` no longer does; None when none is needed.

        The change is made on condition that this owner is unchanged. So when two owners take the role from each other
        at the same moment, only one succeeds.

        Raises:
            PermissionDenied: an actor other than the operator wants to force it.
            LastOwner: there is none.
        """
        if force and not operation.actor.is_operator:
            raise PermissionDenied("only the operator of the installation can leave a team without an owner")
        if force or not old.manages_team or new.manages_team:
            return None
        for other in await self.stores.members.of_team(old.team):
            if other.record.id != old.id and other.record.manages_team:
                return other
        raise LastOwner(
            f"{old.email} is the last owner of the team {old.team} who can manage all of it; "
            "make another member an owner first"
        )


def parse_role(text: str) -> Role:
    """Return the role.

    Raises:
        InputRefused: there is no such role.
    """
    if text not in list(Role):
        raise InputRefused(f"{text[:40]!r} is not a role; use {', '.join(Role)}", code="role_invalid", field="role")
    return Role(text)


def new_member(
    email: str, team: str, role: Role, apps: tuple[str, ...] | None, password_hash: Secret, operation: Operation
) -> Member:
    """Return the record of a new member."""
    return Member(
        id=new_id(operation.entropy(ID_BYTES)),
        email=email,
        team=team,
        role=role,
        apps=apps,
        password_hash=password_hash,
        epoch=1,
        created_at=operation.now,
    )


def at_next_epoch(member: Member, **changes: Any) -> Member:
    """Return the member changed, at the next epoch."""
    return evolve(member, epoch=member.epoch + 1, **changes)


def facts_of(member: Member) -> dict[str, object]:
    """Return the facts about a member for the audit."""
    return {"member": member.id, "team": member.team}
