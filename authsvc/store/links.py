"""One-time links in Redis: by id, the newest one of each address, and the addresses of each team."""

from datetime import datetime
from math import inf, nextafter

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.link_keys import team_links
from authsvc.store.members import put_new_member, remove_passkeys
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.store.transaction import Transaction
from authsvc.tenancy.machine_records import MAX_TEAM_LINKS, OneTimeLink
from authsvc.tenancy.records import Member
from authsvc.tenancy.versioned import Versioned

VOID = "the link was used already, or a newer one took its place"


@frozen(eq=False, repr=False)
class RedisLinks:
    """The links of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, link_id: str) -> Versioned[OneTimeLink] | None:
        """Return the link if it is the newest one for its address."""
        found = await self.records.get(keys.link(link_id), OneTimeLink)
        if found is None:
            return None
        newest = await self.records.connection.get(keys.pending_link(found.record.email))
        return found if newest == link_id.encode() else None

    async def of_team(self, team: str, now: datetime) -> list[Versioned[OneTimeLink]]:
        """Return the links of a team that were neither used nor replaced and have not ended; the first to end first."""
        connection, index = self.records.connection, team_links(team)
        emails = await connection.read(lambda: connection.redis.zrange(index, 0, -1))
        newest = await connection.get_all(*(keys.pending_link(email.decode()) for email in emails))
        names = (keys.link(link_id.decode()) for link_id in newest if link_id is not None)
        found = await self.records.get_all(names, OneTimeLink)
        # The newest link of an address may be one of another team.
        return [one for one in found if one.record.team == team and now < one.record.expires_at]

    async def add(self, link: OneTimeLink, life_seconds: int, entry: Entry) -> None:
        """Store a new link; an older one for the same address becomes void.

        Raises:
            Conflict: the team has as many links as it may have.
        """
        change, of_team = self.records.change(entry, link.id), team_links(link.team)
        change.expect_fewer(
            of_team,
            MAX_TEAM_LINKS,
            nextafter(link.created_at.timestamp(), inf),  # a link that ends now does not count
            f"the team {link.team} has {MAX_TEAM_LINKS} open links, which is the limit; take one back first",
            "links_too_many",
        )
        change.put(keys.link(link.id), self.records.codec.encode(link), life_seconds)
        change.put(keys.pending_link(link.email), link.id.encode(), life_seconds)
        change.add_to_order(of_team, link.expires_at.timestamp(), link.email)
        change.keep_newest(of_team, MAX_TEAM_LINKS, keys.NONE)  # the others have ended
        change.forget_after(of_team, life_seconds)
        await change.apply(self.records.connection)

    async def accept_invite(self, link: Versioned[OneTimeLink], member: Member, entry: Entry) -> None:
        """Use up an invitation and store the new member.

        Raises:
            Conflict: the link was used or replaced meanwhile, or the address belongs to a member already.
        """
        change = self._consuming(link, entry, member.id)
        put_new_member(change, self.records, member)
        await change.apply(self.records.connection)

    async def accept_reset(
        self, link: Versioned[OneTimeLink], old: Versioned[Member], new: Member, entry: Entry
    ) -> None:
        """Use up a reset link and store the member with the new password, and without passkeys.

        Raises:
            Conflict: the link was used or replaced meanwhile, or the member changed.
        """
        change = self._consuming(link, entry, new.id)
        change.expect(keys.member(new.id), old.version, CHANGED_MEANWHILE)
        change.put(keys.member(new.id), self.records.codec.encode_change(old.version, new))
        remove_passkeys(change, new.id)
        await change.apply(self.records.connection)

    async def remove(self, link: Versioned[OneTimeLink], entry: Entry) -> None:
        """Revoke a link, even when the memory of Redis is full.

        Raises:
            Conflict: it was used or replaced meanwhile.
        """
        change = self._consuming(link, entry, link.record.id)
        change.ends_access = True
        await change.apply(self.records.connection)

    def _consuming(self, link: Versioned[OneTimeLink], entry: Entry, member_id: str) -> Transaction:
        change = self.records.change(entry, member_id)
        change.expect(keys.link(link.record.id), link.version, VOID, code="link_void")
        change.expect(keys.pending_link(link.record.email), link.record.id.encode(), VOID, code="link_void")
        change.remove(keys.link(link.record.id))
        change.remove(keys.pending_link(link.record.email))
        change.remove_from_order(team_links(link.record.team), link.record.email)
        return change
