"""Licenses in Redis, with the index of each app's licenses and of the vendor's own references."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.store import keys
from authsvc.store.customers import put_choice
from authsvc.store.indexes import entries_of, id_of, instant
from authsvc.store.license_lists import LicenseLists
from authsvc.store.migration import read_progress
from authsvc.store.records import CHANGED_MEANWHILE, Records
from authsvc.tenancy.customers import SelectedCustomer
from authsvc.tenancy.license_filter import LicenseFilter
from authsvc.tenancy.pages import IndexProgress, Page
from authsvc.tenancy.records import App, License, LicenseReference
from authsvc.tenancy.versioned import Versioned

PAGE = 100
"""Records that are read at once."""


@frozen(eq=False, repr=False)
class RedisLicenses:
    """The licenses of one installation. Every method raises StoreUnavailable when Redis does not answer."""

    records: Records

    async def get(self, license_id: str) -> Versioned[License] | None:
        """Return the license."""
        return await self.records.get(keys.license_(license_id), License)

    async def page(self, wanted: LicenseFilter, after: str | None, limit: int, now: datetime) -> Page[License]:
        """Return one page of the licenses that a filter admits; :mod:`authsvc.store.license_lists` says in which order.

        Args:
            wanted: which licenses; its ``team`` is given if its ``app`` or ``apps`` is.
            after: cursor of the previous page, or None.
            limit: most items.
            now: decides on states.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
        """
        return await LicenseLists(self.records).page(wanted, after, limit, now)

    async def pages_not_ended(self, app: str, now: datetime) -> AsyncIterator[list[License]]:
        """Yield the licenses of an app that have not ended, by end, in batches that do not block Redis for long.

        Until the indexes are settled, every license of the app is among them, by creation. One that changes meanwhile
        may come twice.
        """
        settled, after, first = await self.records.are_settled(), instant(now), 0
        while True:
            if settled:
                entries = await self.records.indexes.entries(keys.index("license-ends", app), after=after, limit=PAGE)
                ids = [id_of(entry) for entry in entries]
                after = entries[-1] if entries else after
            else:
                ids = await self._ids(app, first)
                first += len(ids)
            if not ids:
                return
            yield [found.record for found in await self.records.get_all(map(keys.license_, ids), License)]

    async def _ids(self, app: str, first: int) -> list[str]:
        connection, index, last = self.records.connection, keys.app_licenses(app), first + PAGE - 1
        found = await connection.read(lambda: connection.redis.zrange(index, first, last))
        return [license_id.decode() for license_id in found]

    async def by_references(self, app: str, references: Sequence[str]) -> list[tuple[LicenseReference, License] | None]:
        """Return for each of a vendor's own keys the license that was made for it, or None."""
        connection, codec = self.records.connection, self.records.codec
        raws = await connection.get_all(*(keys.license_reference(app, text) for text in references))
        known = [codec.decode_optional(raw, LicenseReference) for raw in raws]
        names = [keys.license_(one.license) if one else keys.NONE for one in known]
        licenses = await connection.get_all(*names)
        return [
            (one, codec.decode(raw or b"", License)) if one else None for one, raw in zip(known, licenses, strict=True)
        ]

    async def with_reference(self, apps: Sequence[str], reference: str) -> list[License]:
        """Return the licenses of these apps that have exactly this reference: at most one of each."""
        connection, codec = self.records.connection, self.records.codec
        raws = await connection.get_all(*(keys.license_reference(app, reference) for app in apps))
        known = (codec.decode(raw, LicenseReference) for raw in raws if raw is not None)
        found = await self.records.get_all((keys.license_(one.license) for one in known), License)
        return [one.record for one in found]

    async def add(
        self, license_: License, app: Versioned[App], entry: Entry, customer: SelectedCustomer | None = None
    ) -> None:
        """Store a new license of ``app``, under its reference if it has one, and its customer if that is new.

        Raises:
            Conflict: the app changed meanwhile, or another license has the reference.
        """
        change, encode = self.records.change(entry, license_.id), self.records.codec.encode
        change.expect(keys.app(license_.app), app.version, CHANGED_MEANWHILE)
        change.expect_absent(keys.license_(license_.id), CHANGED_MEANWHILE)
        change.put(keys.license_(license_.id), encode(license_))
        if license_.reference is not None:
            key = keys.license_reference(license_.app, license_.reference)
            taken = f"there is a license for the reference {license_.reference!r} already"
            change.expect_absent(key, taken, code="reference_taken", field="reference")
            change.put(key, encode(LicenseReference(license_.id, license_.expires_at)))
        change.add_to_order(keys.app_licenses(license_.app), license_.issued_at.timestamp(), license_.id)
        change.index(entries_of(license_))
        if customer is not None:
            put_choice(change, self.records, customer)
        await change.apply(self.records.connection)

    async def generation_floor(self) -> int:
        """Return the lowest generation that a rotation may make; 0 if no backup was ever restored."""
        return int(await self.records.connection.get(keys.GENERATION_FLOOR) or 0)

    async def index_progress(self) -> IndexProgress:
        """Return the progress of building the indexes."""
        return await read_progress(self.records)

    async def replace(
        self, old: Versioned[License], new: License, entry: Entry, customer: SelectedCustomer | None = None
    ) -> None:
        """Store a changed license, and its customer if that is new.

        Raises:
            Conflict: it is no longer equal to ``old``.
        """
        change = self.records.replacing(keys.license_, new.id, old, new, entry)
        if customer is not None:
            put_choice(change, self.records, customer)
        await change.apply(self.records.connection)
