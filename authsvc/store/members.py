"""Members in Redis: by id, by address, and by team."""

from functools import partial

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys, passkey_keys
from authsvc.store.indexes import entries_of
from authsvc.store.link_keys import team_links
from authsvc.store.lists import SetList
from authsvc.store.records import CHANGED_MEANWHILE, Records, ends_access
from authsvc.store.transaction import Transaction
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import Member
from authsvc.tenancy.versioned import Versioned


@frozen(eq=False, repr=False)
class RedisMembers:
    """The members of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, member_id: str) -> Versioned[Member] | None:
        """Return the member with this id, even a removed one."""
        return await self.records.get(keys.member(member_id), Member)

    async def by_email(self, email: str) -> Versioned[Member] | None:
        """Return the member with this canonical address; an unknown address takes as many reads."""
        member_id = await self.records.connection.get(keys.member_email(email))
        return await self.records.get(keys.NONE if member_id is None else keys.member(member_id.decode()), Member)

    async def of_team(self, team: str) -> list[Versioned[Member]]:
        """Return the members of a team, by address."""
        found = await self.records.of_set(keys.team_members(team), keys.member, Member)
        return sorted((one for one in found if one.record.removed_at is None), key=lambda one: one.record.email)

    async def page(self, team: str, after: str | None, limit: int) -> Page[Member]:
        """Return one page of the members of a team, by address.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        listed = SetList(self.records, Member, keys.member, partial(keys.index, "members"), keys.team_members)
        return await listed.page(team, "members", after, limit)

    async def add(self, member: Member, entry: Entry) -> None:
        """Store a new member of an existing team.

        Raises:
            Conflict: the address belongs to a member already, of this team or another one.
        """
        change = self.records.change(entry, member.id)
        put_new_member(change, self.records, member)
        change.remove(keys.pending_link(member.email))  # an invitation must not outlive a membership given by hand
        change.remove_from_order(team_links(member.team), member.email)
        await change.apply(self.records.connection)

    async def replace(
        self,
        old: Versioned[Member],
        new: Member,
        entry: Entry,
        *,
        witness: Versioned[Member] | None = None,
        forget_passkeys: bool = False,
    ) -> None:
        """Store a changed member, on the condition that ``witness``, another member, is unchanged.

        With ``forget_passkeys`` the member has none afterwards.

        Raises:
            Conflict: it is no longer equal to ``old``, or the witness is not.
        """
        change = self._changing(old, new, witness, entry)
        change.put(keys.member(new.id), self.records.codec.encode_change(old.version, new), keep_life=True)
        change.index(entries_of(new), entries_of(old.record))
        if forget_passkeys:
            remove_passkeys(change, new.id)
        await change.apply(self.records.connection)

    async def remove(
        self, old: Versioned[Member], new: Member, entry: Entry, *, witness: Versioned[Member] | None = None
    ) -> None:
        """Store a member as removed and free the address; the id stays taken; ``witness`` as above.

        Raises:
            Conflict: it is no longer equal to ``old``, or the witness is not.
        """
        change = self._changing(old, new, witness, entry)
        # Between two reads the address may have gone to another member, who must keep it.
        change.expect(keys.member_email(new.email), new.id.encode(), CHANGED_MEANWHILE)
        change.put(keys.member(new.id), self.records.codec.encode_change(old.version, new))
        change.remove(keys.member_email(new.email))
        change.remove(keys.pending_link(new.email))
        change.remove_from_order(team_links(new.team), new.email)
        change.remove_from_set(keys.team_members(new.team), new.id)
        remove_passkeys(change, new.id)
        change.index(entries_of(new), entries_of(old.record))
        await change.apply(self.records.connection)

    def _changing(
        self, old: Versioned[Member], new: Member, witness: Versioned[Member] | None, entry: Entry
    ) -> Transaction:
        change = self.records.change(entry, old.record.id)
        for seen in (old, witness):
            if seen is not None:
                change.expect(keys.member(seen.record.id), seen.version, CHANGED_MEANWHILE)
        change.ends_access = ends_access(old.record, new)
        return change


def remove_passkeys(change: Transaction, member_id: str) -> None:
    """Add to ``change`` the removal of all passkeys of a member, including one that is registered concurrently."""
    change.keep_newest(passkey_keys.member_passkeys(member_id), 0, passkey_keys.passkey(""))


def put_new_member(change: Transaction, records: Records, member: Member) -> None:
    """Add to ``change`` that ``member`` joins, refused when the address belongs to a member already."""
    change.expect_absent(
        keys.member_email(member.email), f"{member.email} is a member already", code="email_taken", field="email"
    )
    change.put(keys.member(member.id), records.codec.encode(member))
    change.put(keys.member_email(member.email), member.id.encode())
    change.add_to_set(keys.team_members(member.team), member.id)
    change.index(entries_of(member))
