"""Passkeys in Redis: by id, and by member, oldest first."""

from collections.abc import Collection, Mapping

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys, passkey_keys
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.tenancy.passkey import MAX_PASSKEYS, Passkey
from authsvc.tenancy.portal_session import PortalSession
from authsvc.tenancy.records import Member
from authsvc.tenancy.versioned import Versioned

TOO_MANY = f"an account has {MAX_PASSKEYS} passkeys at most; remove one that is not used"
TAKEN = "this passkey is registered already"


@frozen(eq=False, repr=False)
class RedisPasskeys:
    """The passkeys of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, passkey_id: str) -> Versioned[Passkey] | None:
        """Return the passkey."""
        return await self.records.get(passkey_keys.passkey(passkey_id), Passkey)

    async def of_member(self, member_id: str) -> list[Passkey]:
        """Return the passkeys of a member, oldest first."""
        connection, index = self.records.connection, passkey_keys.member_passkeys(member_id)
        ids = await connection.read(lambda: connection.redis.zrange(index, 0, -1))
        names = (passkey_keys.passkey(passkey_id.decode()) for passkey_id in ids)
        return [found.record for found in await self.records.get_all(names, Passkey)]

    async def counts(self, member_ids: Collection[str]) -> Mapping[str, int]:
        """Return how many passkeys each of some members has."""
        connection, ids = self.records.connection, list(member_ids)

        async def ask() -> list[int]:
            pipeline = connection.redis.pipeline(transaction=False)
            for member_id in ids:
                pipeline.zcard(passkey_keys.member_passkeys(member_id))  # type: ignore[unused-awaitable]
            return list(await pipeline.execute())

        return dict(zip(ids, await connection.read(ask) if ids else [], strict=True))

    async def add(self, passkey: Passkey, owner: Versioned[Member], entry: Entry) -> None:
        """Store a new passkey of ``owner``.

        Raises:
            Conflict: the member changed, has too many, or the passkey is registered already.
        """
        change = self.records.change(entry, passkey.id)
        change.expect_absent(passkey_keys.passkey(passkey.id), TAKEN, code="passkey_taken")
        change.expect(keys.member(passkey.member), owner.version, CHANGED_MEANWHILE)
        index = passkey_keys.member_passkeys(passkey.member)
        change.expect_fewer(index, MAX_PASSKEYS, 0, TOO_MANY, code="passkeys_too_many")
        change.put(passkey_keys.passkey(passkey.id), self.records.codec.encode(passkey))
        change.add_to_order(index, passkey.created_at.timestamp(), passkey.id)
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[Passkey], new: Passkey, entry: Entry) -> None:
        """Store a changed passkey.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        await self.records.replace(passkey_keys.passkey, new.id, old, new, entry)

    async def remove(
        self,
        old: Versioned[Passkey],
        sessions: Collection[tuple[Versioned[PortalSession], PortalSession]],
        entry: Entry,
    ) -> None:
        """Forget a passkey, and store ``sessions`` as ended.

        Raises:
            Conflict: one of them is no longer what it was.
        """
        change, passkey = self.records.change(entry, old.record.id), old.record
        change.expect(passkey_keys.passkey(passkey.id), old.version, CHANGED_MEANWHILE)
        for before, after in sessions:
            change.expect(keys.portal_session(after.id), before.version, CHANGED_MEANWHILE)
            ended = self.records.codec.encode_change(before.version, after)
            change.put(keys.portal_session(after.id), ended, keep_life=True)
        change.remove(passkey_keys.passkey(passkey.id))
        change.remove_from_order(passkey_keys.member_passkeys(passkey.member), passkey.id)
        change.ends_access = True
        await change.apply(self.records.connection)
