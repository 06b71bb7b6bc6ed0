"""One-time links in Redis: by id, and the newest one of each address."""

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.members import put_new_member, remove_passkeys
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.store.transaction import Transaction
from authsvc.tenancy.machine_records import OneTimeLink
from authsvc.tenancy.records import Member
from authsvc.tenancy.versioned import Versioned

VOID = "the link was used already, or a newer one took its place"


@frozen
class RedisLinks:
    """The links of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, link_id: str) -> Versioned[OneTimeLink] | None:
        """Return the link, when it is the newest one for its address."""
        found = await self.records.get(keys.link(link_id), OneTimeLink)
        if found is None:
            return None
        newest = await self.records.connection.get(keys.pending_link(found.record.email))
        return found if newest == link_id.encode() else None

    async def add(self, link: OneTimeLink, life_seconds: int, entry: Entry) -> None:
        """Store a new link; an older one for the same address is void from now on."""
        change = self.records.change(entry, link.id)
        change.put(keys.link(link.id), self.records.codec.encode(link), life_seconds)
        change.put(keys.pending_link(link.email), link.id.encode(), life_seconds)
        await change.apply(self.records.connection)

    async def accept_invite(self, link: Versioned[OneTimeLink], member: Member, entry: Entry) -> None:
        """Consume an invitation and store the new member.

        Raises:
            Conflict: the link was used or replaced meanwhile, or the address belongs to a member already.
        """
        change = self._consuming(link, entry, member.id)
        put_new_member(change, self.records, member)
        await change.apply(self.records.connection)

    async def accept_reset(
        self, link: Versioned[OneTimeLink], old: Versioned[Member], new: Member, entry: Entry
    ) -> None:
        """Consume a reset link and store the member with the new password, and without passkeys.

        Raises:
            Conflict: the link was used or replaced meanwhile, or the member changed.
        """
        change = self._consuming(link, entry, new.id)
        change.expect(keys.member(new.id), old.version, CHANGED_MEANWHILE)
        change.put(keys.member(new.id), self.records.codec.encode_change(old.version, new))
        remove_passkeys(change, new.id)
        await change.apply(self.records.connection)

    def _consuming(self, link: Versioned[OneTimeLink], entry: Entry, member_id: str) -> Transaction:
        change = self.records.change(entry, member_id)
        change.expect(keys.link(link.record.id), link.version, VOID, code="link_void")
        change.expect(keys.pending_link(link.record.email), link.record.id.encode(), VOID, code="link_void")
        change.remove(keys.link(link.record.id))
        change.remove(keys.pending_link(link.record.email))
        return change
