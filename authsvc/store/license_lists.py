"""Lists of licenses: chooses the ranges of indexes that answer a filter.

Without a filter on the state a list is by creation; across apps it is app by app when the caller is limited to some
of them. ``active``, ``expired`` and ``ends_within`` are by end, app by app; ``pending`` is by beginning; a reference
is by reference; a customer's name is by customer, and then by creation.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta

from attrs import field, frozen

from authsvc.store import keys
from authsvc.store.customers import driving_word, finds
from authsvc.store.indexes import id_of, instant
from authsvc.store.lists import STEP, KnownEntries, List, Range, never, one_range
from authsvc.store.ordered_index import end_of
from authsvc.store.records import Records, mode_query
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.license_filter import LicenseFilter
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App, License
from authsvc.tenancy.search import has_words, indexed

SCOPE = " "
"""Separates the parts of a range's name: sorts a slug before every longer one."""

AHEAD, FEW = 20, 10
"""Customers whose licenses are read together, and how many of each; further ones are read by themselves."""

_SECOND = timedelta(seconds=1)

# The list of an app's licenses that an older authsvc keeps too is in the order of creation.
_CREATED = """#!lua flags=no-writes
local rank = 0
if ARGV[1] ~= '' then
  local place = redis.call('ZRANK', KEYS[1], ARGV[1])
  if not place then return {} end
  rank = place + 1
end
return redis.call('ZRANGE', KEYS[1], rank, rank + ARGV[2] - 1)
"""


@frozen(eq=False, repr=False)
class LicenseLists:
    """Reads pages of licenses. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        records: of the installation.
    """

    records: Records

    async def page(self, wanted: LicenseFilter, after: str | None, limit: int, now: datetime) -> Page[License]:
        """Return one page.

        Until the indexes are settled lists are by creation, app by app, and every filter applies while they are read;
        a list that began this way ends this way.

        Args:
            wanted: which licenses; its ``team`` is given if its ``app`` or ``apps`` is.
            after: cursor of the previous page, or None.
            limit: most items.
            now: time for which states are determined.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        settled = await self.records.list_mode(wanted.query, after)
        query = _Query(self.records, wanted, now, indexed_all=settled)
        listed: List[License] = List(self.records, License, keys.license_)
        return await listed.page(mode_query(wanted.query, settled=settled), query.ranges, after, limit, query.keeps)


@frozen(eq=False, repr=False)
class _Query:
    records: Records
    wanted: LicenseFilter
    now: datetime
    indexed_all: bool = field(kw_only=True)
    apps: dict[str, App | None] = field(factory=dict)

    async def keeps(self, license_: License, _entry: str) -> bool:
        if not self.wanted.is_within_scope(license_):
            return False
        app = await self._app(license_.app)
        shown = app is not None and self.wanted.admits(license_, app, self.now)
        return shown and (self.indexed_all or has_words(license_.customer, self.wanted.customer))

    async def ranges(self, first: str) -> AsyncIterator[Range]:
        """Yield the ranges that hold every license wanted, each once, from the one with the name ``first`` on."""
        wanted = self.wanted
        began, _, rest = first.partition(SCOPE)
        whole_team = wanted.app is None and wanted.apps is None
        async for team in self._teams(began):
            resumed = rest if team == began else ""
            if self.indexed_all and (wanted.customer or wanted.customer_id is not None):
                parts = self._of_customers(team, resumed)
            elif self.indexed_all and whole_team and wanted == wanted.scope:
                parts = one_range(Range(team, keys.index("team-licenses", team)))
            else:
                parts = self._of_apps(team, resumed)
            async for part in parts:
                yield part

    async def _of_apps(self, team: str, first: str) -> AsyncIterator[Range]:
        async for slug in self._slugs(team, first):
            part = await self._of_app(f"{team}{SCOPE}{slug}", slug)
            if part is not None:
                yield part

    async def _of_app(self, name: str, slug: str) -> Range | None:
        """Return the range of an app that holds every license wanted: the smallest that an index has."""
        app = await self._app(slug)
        if app is None:
            return None
        by_creation = Range(name, keys.app_licenses(slug), read=lambda after, limit: self._created(slug, after, limit))
        return self._smallest(name, app) or by_creation if self.indexed_all else by_creation

    def _smallest(self, name: str, app: App) -> Range | None:
        wanted, ends, now = self.wanted, keys.index("license-ends", app.slug), instant(self.now)
        if app.archived_at is not None and wanted.state is not None:
            # Those that would be active or pending are archived, wherever in the indexes they are.
            return never(name) if wanted.state in {"active", "pending"} else None
        if wanted.reference is not None:
            prefix = indexed(wanted.reference)
            return Range(name, keys.index("license-references", app.slug), prefix, end_of(prefix))
        if wanted.ends_within is not None:
            return Range(name, ends, now, instant(self.now + wanted.ends_within + _SECOND).encode())
        ranges = {
            "active": Range(name, ends, now),
            "expired": Range(name, ends, "", instant(self.now + _SECOND).encode()),
            "pending": Range(name, keys.index("license-starts", app.slug), now),
            "revoked": Range(name, keys.index("licenses-revoked", app.slug)),
            "archived": Range(name, keys.index("licenses-archived", app.slug)),
        }
        return None if wanted.state is None else ranges[wanted.state]

    async def _of_customers(self, team: str, first: str) -> AsyncIterator[Range]:
        """Yield the licenses of each customer wanted, once, however many of the name's words begin so."""
        index = keys.index("customer-licenses", team)
        if self.wanted.customer_id is not None:
            chosen = self.wanted.customer_id
            yield Range(f"{team}{SCOPE}{chosen}", index, chosen, end_of(chosen))
            return
        longest = driving_word(self.wanted.customer)
        words_index, after = keys.index("customer-words", team), first or longest
        found = [first] if first else []
        while True:
            raws = await self.records.connection.get_all(*(keys.customer(id_of(entry)) for entry in found))
            customers = (None if raw is None else self.records.readable(raw, Customer) for raw in raws)
            wanted = [
                customer is not None and finds(customer, self.wanted.customer, entry)
                for entry, customer in zip(found, customers, strict=True)
            ]
            for start in range(0, len(found), AHEAD):
                some = list(zip(found, wanted, strict=True))[start : start + AHEAD]
                known = await self._first_entries(index, [id_of(entry) for entry, shown in some if shown])
                for entry, shown in some:
                    name, chosen = f"{team}{SCOPE}{entry}", id_of(entry)
                    yield (Range(name, index, chosen, end_of(chosen), first=known[chosen]) if shown else never(name))
            found = await self.records.indexes.entries(words_index, after=after, before=end_of(longest), limit=STEP)
            if not found:
                return
            after = found[-1]

    async def _first_entries(self, index: str, customers: Sequence[str]) -> dict[str, KnownEntries]:
        """Return the first licenses of each customer, by two commands."""
        if not customers:
            return {}
        found = await self.records.indexes.beginnings(index, customers, FEW)
        entries = [entry for each in found for entry in each]
        raws = await self.records.connection.get_all(*(keys.license_(id_of(entry)) for entry in entries))
        stored = dict(zip(entries, raws, strict=True))
        return {
            chosen: KnownEntries(each, len(each) < FEW, stored) for chosen, each in zip(customers, found, strict=True)
        }

    async def _created(self, slug: str, after: str, limit: int) -> list[str]:
        connection = self.records.connection
        script = connection.redis.register_script(_CREATED)
        found = await connection.read(lambda: script(keys=[keys.app_licenses(slug)], args=[after, limit]))
        return [license_id.decode() for license_id in found]

    async def _app(self, slug: str) -> App | None:
        if slug not in self.apps:
            found = await self.records.get(keys.app(slug), App)
            self.apps[slug] = None if found is None else found.record
        return self.apps[slug]

    def _teams(self, first: str) -> AsyncIterator[str]:
        chosen = None if self.wanted.team is None else [self.wanted.team]
        return self._names(chosen, keys.TEAMS, keys.index("teams"), first)

    def _slugs(self, team: str, first: str) -> AsyncIterator[str]:
        wanted = self.wanted
        chosen = [wanted.app] if wanted.app is not None else None if wanted.apps is None else sorted(wanted.apps)
        return self._names(chosen, keys.team_apps(team), keys.index("apps", team), first)

    async def _names(self, chosen: Iterable[str] | None, names: str, index: str, first: str) -> AsyncIterator[str]:
        """Yield slugs in order, from ``first`` on: the chosen ones, or all of the set ``names`` or the ``index``."""
        if chosen is None and not self.indexed_all:
            connection = self.records.connection
            members = await connection.read(lambda: connection.redis.smembers(names))
            chosen = sorted(map(bytes.decode, members))
        if chosen is not None:
            for slug in chosen:
                if slug >= first:
                    yield slug
            return
        found = [first] if first else []
        while True:
            for slug in found:
                yield slug
            after = found[-1] if found else first
            found = await self.records.indexes.entries(index, after=after, limit=STEP)
            if not found:
                return
