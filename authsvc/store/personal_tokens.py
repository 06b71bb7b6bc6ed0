"""Personal tokens in Redis: by id, by name, and by member."""

from functools import partial

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.indexes import entries_of
from authsvc.store.lists import SetList
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.tenancy.machine_records import PersonalToken
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import Member
from authsvc.tenancy.versioned import Versioned


@frozen(eq=False, repr=False)
class RedisPersonalTokens:
    """The personal tokens of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, token_id: str) -> Versioned[PersonalToken] | None:
        """Return the token."""
        return await self.records.get(keys.personal_token(token_id), PersonalToken)

    async def of_member(self, member_id: str) -> list[PersonalToken]:
        """Return a member's tokens, revoked ones too, by name and then by age."""
        found = await self.records.of_set(keys.member_tokens(member_id), keys.personal_token, PersonalToken)
        return sorted((one.record for one in found), key=lambda token: (token.name, token.created_at))

    async def page(self, member_id: str, after: str | None, limit: int) -> Page[PersonalToken]:
        """Return one page of a member's tokens, revoked ones too, by name and then by age.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        index = partial(keys.index, "personal-tokens")
        listed = SetList(self.records, PersonalToken, keys.personal_token, index, keys.member_tokens)
        return await listed.page(member_id, "tokens", after, limit)

    async def add(
        self, token: PersonalToken, owner: Versioned[Member], namesake: PersonalToken | None, entry: Entry
    ) -> None:
        """Store a new token of ``owner``; ``namesake`` is the ended one that had its name before, if any.

        Raises:
            Conflict: the member changed, or a token of this name was made meanwhile.
        """
        change = self.records.change(entry, token.id)
        name = keys.personal_token_name(token.member, token.name)
        if namesake is None:
            change.expect_absent(name, CHANGED_MEANWHILE)
        else:
            change.expect(name, namesake.id.encode(), CHANGED_MEANWHILE)
        change.expect(keys.member(token.member), owner.version, CHANGED_MEANWHILE)
        change.expect_absent(keys.personal_token(token.id), CHANGED_MEANWHILE)
        change.put(keys.personal_token(token.id), self.records.codec.encode(token))
        change.put(name, token.id.encode())
        change.add_to_set(keys.member_tokens(token.member), token.id)
        change.index(entries_of(token))
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[PersonalToken], new: PersonalToken, entry: Entry) -> None:
        """Store a changed token.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        await self.records.replace(keys.personal_token, new.id, old, new, entry)
