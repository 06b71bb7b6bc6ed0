"""Sign-ins (refresh tokens) in Redis: by id, and by member in the order of their making."""

from datetime import timedelta

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.records import Records
from authsvc.tenancy.machine_records import RefreshToken
from authsvc.tenancy.versioned import Versioned


@frozen
class RedisSignIns:
    """The refresh tokens of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, token_id: str) -> Versioned[RefreshToken] | None:
        """Return the refresh token."""
        return await self.records.get(keys.refresh_token(token_id), RefreshToken)

    async def of_member(self, member_id: str) -> list[RefreshToken]:
        """Return a member's refresh tokens, newest first."""
        connection, index = self.records.connection, keys.member_refresh_tokens(member_id)
        ids = await connection.read(lambda: connection.redis.zrevrange(index, 0, -1))
        names = (keys.refresh_token(token_id.decode()) for token_id in ids)
        return [found.record for found in await self.records.get_all(names, RefreshToken)]

    async def add(self, token: RefreshToken, newest: int, window: timedelta, life_seconds: int, entry: Entry) -> None:
        """Store a new refresh token, forget it after ``life_seconds``, and all but the member's ``newest`` at once.

        Raises:
            Conflict: the member got ``newest`` tokens within ``window`` before this one.
        """
        change = self.records.change(entry, token.id)
        index = keys.member_refresh_tokens(token.member)
        since = (token.created_at - window).timestamp()
        recent = f"the member got {newest} refresh tokens a short time ago"
        change.expect_fewer(index, newest, since, recent, code="sign_ins_too_many")
        change.put(keys.refresh_token(token.id), self.records.codec.encode(token), life_seconds)
        change.add_to_order(index, token.created_at.timestamp(), token.id)
        change.keep_newest(index, newest, keys.refresh_token(""))
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[RefreshToken], new: RefreshToken, entry: Entry) -> None:
        """Store a changed refresh token.

        Raises:
            Conflict: it is no longer what ``old`` says.
        """
        await self.records.replace(keys.refresh_token, new.id, old, new, entry)
