"""Service accounts in Redis: by id, by name, and by team."""

from functools import partial

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.indexes import entries_of
from authsvc.store.lists import SetList
from authsvc.store.records import Records
from authsvc.tenancy.machine_records import ServiceAccount
from authsvc.tenancy.pages import Page
from authsvc.tenancy.versioned import Versioned


@frozen(eq=False, repr=False)
class RedisServiceAccounts:
    """The service accounts of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, account_id: str) -> Versioned[ServiceAccount] | None:
        """Return the service account with this id."""
        return await self.records.get(keys.service_account(account_id), ServiceAccount)

    async def by_name(self, team: str, name: str) -> Versioned[ServiceAccount] | None:
        """Return the service account of this name."""
        account_id = await self.records.connection.get(keys.service_account_name(team, name))
        if account_id is None:
            return None
        return await self.get(account_id.decode())

    async def of_team(self, team: str) -> list[ServiceAccount]:
        """Return a team's service accounts, revoked ones too, by name."""
        found = await self.records.of_set(keys.team_service_accounts(team), keys.service_account, ServiceAccount)
        return sorted((one.record for one in found), key=lambda account: account.name)

    async def page(self, team: str, after: str | None, limit: int) -> Page[ServiceAccount]:
        """Return one page of a team's service accounts, by name, without revoked ones.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        index = partial(keys.index, "service-accounts")
        listed = SetList(self.records, ServiceAccount, keys.service_account, index, keys.team_service_accounts)
        return await listed.page(team, "accounts", after, limit, lambda account: account.revoked_at is None)

    async def add(self, account: ServiceAccount, entry: Entry) -> None:
        """Store a new service account.

        Raises:
            Conflict: the name is taken in the team; names are never reused.
        """
        change = self.records.change(entry, account.id)
        change.expect_absent(
            keys.service_account_name(account.team, account.name),
            f"the team {account.team!r} has or had a service account {account.name!r}; choose another name",
            code="name_taken",
            field="name",
        )
        change.put(keys.service_account(account.id), self.records.codec.encode(account))
        change.put(keys.service_account_name(account.team, account.name), account.id.encode())
        change.add_to_set(keys.team_service_accounts(account.team), account.id)
        change.index(entries_of(account))
        await change.apply(self.records.connection)

    async def replace(self, old: Versioned[ServiceAccount], new: ServiceAccount, entry: Entry) -> None:
        """Store a changed service account.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        await self.records.replace(keys.service_account, new.id, old, new, entry)
