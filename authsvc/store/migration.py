"""Adds index entries and customers to the records of an older authsvc, during operation (design #18).

A pass goes through every record that has entries, in small steps: each step writes the entries of some records, on the
condition that these are unchanged, in one script. So a step may be repeated, two replicas may do the same one, and a
record that is changed meanwhile is read again. The place that a pass has reached is in Redis; an interrupted pass
continues from there.

Lists rely on the indexes once a pass has ended at whose start no worker of an older authsvc was running. They stop
doing so when such a worker runs again, or has run: an older authsvc writes records without entries. A pass every day,
and one after each start, finds what an older command line has written later.
"""

import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

from attrs import evolve, frozen

from authsvc.credentials.machine_secret import ID_BYTES, new_id
from authsvc.errors import StoreUnavailable
from authsvc.store import keys
from authsvc.store.indexes import entries_of
from authsvc.store.ordered_index import INDEX_FUNCTIONS
from authsvc.store.records import Records
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.pages import IndexProgress
from authsvc.tenancy.records import App, License, Member, Team

T = TypeVar("T")

STEP = 30
"""Records of one step: one to two milliseconds of Redis."""

NEWEST = 100
"""How many of the newest licenses of an app tell whether an older authsvc has created any."""

ATTEMPTS = 5
"""How often a record that changes under a step is read again; the next pass finds it otherwise."""

LEASE_SECONDS = 10
"""Duration of the lease of the worker that migrates, which renews it with every step."""

_INDEX = (
    INDEX_FUNCTIONS
    + """
local changed = {}
for number, item in ipairs(cjson.decode(ARGV[1])) do
  if redis.call('GET', item.key) == item.old then
    if item.new ~= item.old then redis.call('SET', item.key, item.new, 'KEEPTTL') end
    for _, entry in ipairs(item.entries) do index_add(entry[1], entry[2]) end
  else
    changed[#changed + 1] = number - 1
  end
end
if #changed == 0 then redis.call('HSET', KEYS[1], 'place', ARGV[2], 'done', ARGV[3]) end
return changed
"""
)

# This prevents a second customer with the same name, by a command or another replica at the same moment.
_CUSTOMERS = (
    INDEX_FUNCTIONS
    + """
local ids = {}
for number, item in ipairs(cjson.decode(ARGV[1])) do
  local found = index_find(item.index, item.name)
  if found then
    ids[number] = string.sub(found, #item.name + 1)
  else
    redis.call('SET', item.key, item.record)
    for _, entry in ipairs(item.entries) do index_add(entry[1], entry[2]) end
    ids[number] = item.id
  end
end
return ids
"""
)


@frozen
class MigrationStep:
    """The records of one step.

    Attributes:
        place: position that is stored when the step is done: the pass continues after it.
        kind: of the records.
        names: of the records.
        key: makes a record's key of its name.
    """

    place: str
    kind: type[object]
    names: Sequence[str]
    key: Callable[[str], str]


@frozen(eq=False, repr=False)
class Migration:
    """Passes over the records of one installation. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        records: of the installation.
        entropy: returns that many random bytes.
    """

    records: Records
    entropy: Callable[[int], bytes]

    async def run(
        self, *, settles: Callable[[], Awaitable[bool]], clock: Callable[[], datetime]
    ) -> AsyncGenerator[float, None]:
        """Make a pass, or continue one; yield the seconds that each step took, so that the caller can pause.

        Args:
            settles: whether no older authsvc writes: asked when a pass begins at its first record.
            clock: the current time, for the record of the pass.
        """
        state = await self._state()
        if "place" not in state:
            state = {
                "place": "[]",
                "settles": str(int(await settles())),
                "done": "0",
                "total": str(await self._total()),
            }
            await self._save(state)
        done = int(state["done"])
        async for batch in self._batches(json.loads(state["place"])):
            began = time.perf_counter()
            done += len(batch.names) if batch.kind is License else 0
            await self._step(batch, done)
            yield time.perf_counter() - began
        settled = {"settled": "1"} if state["settles"] == "1" else {}
        await self._save({"ended_at": clock().isoformat(), **settled}, "place", "settles")

    async def lease(self, holder: str) -> bool:
        """Whether ``holder``, a random name, has the migration to itself for :data:`LEASE_SECONDS` from now."""
        connection, key = self.records.connection, keys.MIGRATION_LEASE
        if await connection.run(connection.redis.set(key, holder, nx=True, ex=LEASE_SECONDS)):
            return True
        if await connection.read(lambda: connection.redis.get(key)) != holder.encode():
            return False
        # It may have ended and gone to another in between; two at once do no harm.
        return bool(await connection.run(connection.redis.expire(key, LEASE_SECONDS)))

    async def unsettle(self) -> None:
        """Make lists not use the indexes until the end of the next pass."""
        await self._save({}, "settled")

    async def older_wrote(self) -> bool:
        """Whether an older authsvc created one of the newest licenses of an app: it has no customer."""
        connection = self.records.connection
        for team in await self._names(keys.TEAMS):
            for app in await self._names(keys.team_apps(team)):
                index = keys.app_licenses(app)
                ids = await connection.read(lambda: connection.redis.zrange(index, -NEWEST, -1))  # noqa: B023
                raws = await connection.get_all(*(keys.license_(license_id.decode()) for license_id in ids))
                found = (self.records.readable(raw, License) for raw in raws if raw is not None)
                if any(license_ is not None and license_.customer_id is None for license_ in found):
                    return True
        return False

    async def _batches(self, place: list[str]) -> AsyncIterator[MigrationStep]:
        """Yield what is behind ``place``: first everything small, team by team, then the licenses of each app."""
        part, first_team, first_app, after = (*place, *("",) * (4 - len(place)))
        teams = await self._names(keys.TEAMS)
        if part in {"", "small"}:
            for team in (team for team in teams if team >= first_team):
                async for batch in self._small(team):
                    yield batch
            first_team = first_app = after = ""
        for team in (team for team in teams if team >= first_team):
            for app in await self._names(keys.team_apps(team)):
                if team == first_team and app < first_app:
                    continue
                resumed = after if (team, app) == (first_team, first_app) else ""
                async for ids in self._licenses(app, resumed):
                    yield MigrationStep(_place("licenses", team, app, ids[-1]), License, ids, keys.license_)

    async def _small(self, team: str) -> AsyncIterator[MigrationStep]:
        place = _place("small", team)
        members = await self._names(keys.team_members(team))
        accounts = await self._names(keys.team_service_accounts(team))
        yield MigrationStep(place, Team, [team], keys.team)
        for names, kind, key in (
            (await self._names(keys.team_apps(team)), App, keys.app),
            (members, Member, keys.member),
            (accounts, ServiceAccount, keys.service_account),
        ):
            for some in _portions(names):
                yield MigrationStep(place, kind, some, key)
        for member in members:
            for some in _portions(await self._names(keys.member_tokens(member))):
                yield MigrationStep(place, PersonalToken, some, keys.personal_token)

    async def _licenses(self, app: str, after: str) -> AsyncIterator[list[str]]:
        connection, index = self.records.connection, keys.app_licenses(app)
        rank = 0
        if after:
            found = await connection.read(lambda: connection.redis.zrank(index, after))
            rank = 0 if found is None else found + 1
        while True:
            ids = await connection.read(lambda: connection.redis.zrange(index, rank, rank + STEP - 1))  # noqa: B023
            if not ids:
                return
            yield [license_id.decode() for license_id in ids]
            rank += len(ids)

    async def _step(self, step: MigrationStep, done: int) -> None:
        names = list(step.names)
        for _ in range(ATTEMPTS):
            raws = await self.records.connection.get_all(*map(step.key, names))
            found = [(name, raw) for name, raw in zip(names, raws, strict=True) if raw is not None]
            # None is of a newer authsvc, which has written its entries.
            read = [(name, raw, self.records.readable(raw, step.kind)) for name, raw in found]
            customers = await self._customers([one for _, _, one in read if isinstance(one, License)])
            items = [self._item(step.key(name), raw, one, customers) for name, raw, one in read if one is not None]
            changed = await self._write(items, step.place, done)
            if not changed:
                return
            names = [name for number, (name, _, _) in enumerate(one for one in read if one[2]) if number in changed]
        await self._save({"place": step.place, "done": str(done)})

    def _item(self, key: str, raw: bytes, record: object, customers: Mapping[tuple[str, str], str]) -> dict[str, Any]:
        """Return the data to be written for a record."""
        new = raw
        if isinstance(record, License) and record.customer_id is None:
            record = evolve(record, customer_id=customers[record.team, record.customer.strip()])
            new = self.records.codec.encode_change(raw, record)
        return {"key": key, "old": raw.decode(), "new": new.decode(), "entries": sorted(entries_of(record))}

    async def _customers(self, licenses: Iterable[License]) -> dict[tuple[str, str], str]:
        """Return the ids of the customers that licenses were made out to, by team and name; create missing ones."""
        first: dict[tuple[str, str], License] = {}
        for license_ in licenses:
            if license_.customer_id is None:
                first.setdefault((license_.team, license_.customer.strip()), license_)
        if not first:
            return {}
        items = []
        for (team, name), license_ in first.items():
            customer = Customer(new_id(self.entropy(ID_BYTES)), team, name, license_.issued_at)
            items.append(
                {
                    "index": keys.index("customer-keys", team),
                    "name": keys.customer_name(name),
                    "id": customer.id,
                    "key": keys.customer(customer.id),
                    "record": self.records.codec.encode(customer).decode(),
                    "entries": sorted(entries_of(customer)),
                }
            )
        connection = self.records.connection
        script = connection.redis.register_script(_CUSTOMERS)
        ids: list[bytes] = await connection.run(script(keys=[], args=[json.dumps(items)]))
        return {named: found.decode() for named, found in zip(first, ids, strict=True)}

    async def _write(self, items: list[dict[str, Any]], place: str, done: int) -> set[int]:
        """Write the entries of records that are unchanged, and the place if all are; return the others' numbers."""
        connection = self.records.connection
        script = connection.redis.register_script(_INDEX)
        arguments: list[str | int] = [json.dumps(items), place, done]
        return set(await connection.run(script(keys=[keys.MIGRATION], args=arguments)))

    async def _names(self, names: str) -> list[str]:
        connection = self.records.connection
        return sorted(map(bytes.decode, await connection.read(lambda: connection.redis.smembers(names))))

    async def _total(self) -> int:
        connection, total = self.records.connection, 0
        for team in await self._names(keys.TEAMS):
            for app in await self._names(keys.team_apps(team)):
                index = keys.app_licenses(app)
                total += await connection.read(lambda: connection.redis.zcard(index))  # noqa: B023
        return total

    async def _state(self) -> dict[str, str]:
        connection = self.records.connection
        found = await connection.read(lambda: connection.redis.hgetall(keys.MIGRATION))
        return {name.decode(): value.decode() for name, value in found.items()}

    async def _save(self, fields: dict[str, str], *removed: str) -> None:
        connection = self.records.connection
        async with connection.redis.pipeline(transaction=True) as change:
            if fields:
                _ = change.hset(keys.MIGRATION, mapping=cast("Mapping[Any, Any]", fields))
            if removed:
                _ = change.hdel(keys.MIGRATION, *removed)
            await connection.run(change.execute())


async def read_progress(records: Records) -> IndexProgress:
    """Return the progress of building the indexes.

    Raises:
        StoreUnavailable: Redis does not answer, or the state is damaged.
    """
    connection = records.connection
    names = ("settled", "done", "total", "ended_at")
    settled, done, total, ended_at = await connection.read(lambda: connection.redis.hmget(keys.MIGRATION, names))
    try:
        ended = None if ended_at is None else datetime.fromisoformat(ended_at.decode())
        return IndexProgress(settled == b"1", int(done or 0), int(total or 0), ended)
    except ValueError as error:
        raise StoreUnavailable("a stored record is damaged", detail=f"migration: {error!r}") from error


def _place(*parts: str) -> str:
    return json.dumps(parts)


def _portions(names: Sequence[str]) -> Iterable[Sequence[str]]:
    return (names[start : start + STEP] for start in range(0, len(names), STEP))
