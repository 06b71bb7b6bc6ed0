"""Imports licenses from a file; an import can be repeated.

Each row has a reference, the vendor's own key for it. Its license and the record that the reference has one are written
in one transaction, so an import that was interrupted is simply repeated: existing licenses stay, missing ones are made,
and none is made twice. A row that differs from what was imported for its reference is reported, never applied. The file
is read twice, a batch at a time: every row is checked before the first license is made.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Protocol

from attrs import define, field, frozen

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.errors import Conflict, InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.checked_rows import CheckedRow, OnRow, RowEffect, ignore_row
from authsvc.manage.license_customer import known_customer
from authsvc.manage.license_rows import LicenseRow, Read, RowProblem, changed_columns
from authsvc.manage.licenses import Licenses
from authsvc.manage.lookup import require_app
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.row_batches import BATCH, batches, check_row_count, finish_all
from authsvc.manage.seen_texts import SeenTexts, text_digest
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.records import App, License, LicenseReference
from authsvc.tenancy.terms import LicenseTerms
from authsvc.tenancy.versioned import Versioned

Known = tuple[LicenseReference, License]


class FileSink(Protocol):
    """Stores license files, one for each license."""

    def obstacle(self, license_: License) -> str | None:
        """Return why the file of this license cannot be stored, or None."""
        ...

    async def put(self, license_: License, text: Callable[[], Awaitable[str]]) -> str:
        """Store the file unless it exists; return ``written``, ``kept`` or ``outdated``."""
        ...


@frozen
class Changed:
    """A row that differs from the license that was made for its reference.

    Attributes:
        line: on which the row begins.
        reference: the vendor's own key.
        license: id of the license, which is not changed.
        columns: in which they differ.
    """

    line: int
    reference: str
    license: str
    columns: tuple[str, ...]


@define
class Plan:
    """The effect of importing a file.

    Attributes:
        rows: number of rows.
        new: number of rows that make a license.
        problems: that must be fixed first, in the order of the lines.
        changed: rows that differ from their license, which an import does not change.
    """

    rows: int = 0
    new: int = 0
    problems: list[RowProblem] = field(factory=list)
    changed: list[Changed] = field(factory=list)


@define
class ImportOutcome:
    """The result of an import.

    Attributes:
        created: licenses that were made.
        existing: rows whose license existed already.
        files: how many files were ``written``, ``kept``, or ``outdated`` and left alone.
    """

    created: int = 0
    existing: int = 0
    files: dict[str, int] = field(factory=lambda: {"written": 0, "kept": 0, "outdated": 0})


@frozen(eq=False, repr=False)
class LicenseImport:
    """One import into one app.

    Attributes:
        licenses: the use cases of single licenses.
        app: open for new licenses.
        sink: stores the files, or None.
        batch: rows that are carried out concurrently.
    """

    licenses: Licenses
    app: Versioned[App]
    sink: FileSink | None = None
    batch: int = BATCH

    @permitted(Permission.LICENSE_IMPORT_CHECK)
    async def check(self, actor: Actor, rows: Iterable[Read], now: datetime, on_row: OnRow = ignore_row) -> Plan:
        """Return what importing ``rows`` would do. Nothing is written.

        Args:
            actor: the caller.
            rows: of the file.
            now: the current time.
            on_row: is called with each row that can be parsed, even if there is a problem with its customer.

        Raises:
            InputRefused: there are too many rows.
            NotFound: there is no such app for the actor.
            StoreUnavailable: the store does not answer.
        """
        require_app(actor, self.app.record)
        plan, seen, named = Plan(), SeenTexts(), SeenTexts()
        for batch in batches(rows, self.batch):
            plan.rows += len(batch)
            check_row_count(plan.rows)
            good = [row for row in batch if isinstance(row, LicenseRow)]
            known = await self._known([row.reference for row in good])
            new = [row for row in good if row.reference not in known]
            for problems in await asyncio.gather(*(self._customer_problem(row, named) for row in new)):
                plan.problems += problems
            customers = await self._customers(known)
            for row in batch:
                if isinstance(row, LicenseRow):
                    self._check_row(actor, row, known.get(row.reference), customers, seen, plan, now, on_row)
                else:
                    plan.problems += row
        return plan

    @permitted(Permission.LICENSE_IMPORT)
    async def carry_out(
        self,
        actor: Actor,
        rows: Iterable[Read],
        begin: Callable[[], Operation],
        on_progress: Callable[[int], None],
    ) -> ImportOutcome:
        """Make the licenses that are missing and hand their files to the sink.

        Args:
            actor: the caller.
            rows: the checked ones.
            begin: begins the operation of one license, by the same actor.
            on_progress: is called with the number of further rows that are done.

        Raises:
            InputRefused: a row has become wrong since it was checked; those before it are done.
            NotFound: there is no such app for the actor.
            Conflict: the app was changed meanwhile; those before are done.
            StoreUnavailable: the store does not answer; repeating the import continues where it ended.
        """
        require_app(actor, self.app.record)
        outcome = ImportOutcome()
        for batch in batches(rows, self.batch):
            good = [row for row in batch if isinstance(row, LicenseRow)]
            if len(good) < len(batch):
                raise InputRefused(
                    "the file was changed while it was imported; import it again", code="file_changed", field="rows"
                )
            known = await self._known([row.reference for row in good])
            for turn in _turns(good):
                await finish_all(self._one(actor, row, known.get(row.reference), begin, outcome) for row in turn)
            on_progress(len(batch))
        return outcome

    def _check_row(
        self,
        actor: Actor,
        row: LicenseRow,
        known: Known | None,
        customers: dict[str, Customer],
        seen: SeenTexts,
        plan: Plan,
        now: datetime,
        on_row: OnRow,
    ) -> None:
        before = seen.setdefault(row.reference, row.line)
        if before != row.line:
            twice = f"{row.reference!r} is on line {before} already; give each row a reference of its own"
            plan.problems.append(RowProblem(row.line, "reference", twice, "reference_duplicated"))
            return
        if known is None:
            plan.new += 1
            try:
                self.licenses.check(actor, self.app, row.terms, now)
            except InputRefused as error:
                column = "expires" if row.terms.expires_at <= now else "row"
                plan.problems.append(RowProblem(row.line, column, str(error).removeprefix(f"{column}: "), error.code))
            else:
                on_row(CheckedRow(row.line, row.reference, "new", row.terms.expires_at, customer=row.terms.customer))
            return
        reference, license_ = known
        customer = customers.get(license_.customer_id or "")
        columns = changed_columns(row.terms, _terms_of(license_, customer), reference.expires_at)
        if columns:
            plan.changed.append(Changed(row.line, row.reference, license_.id, tuple(columns)))
        effect: RowEffect = "changed" if columns else "unchanged"
        end, customer_name = row.terms.expires_at, row.terms.customer
        on_row(CheckedRow(row.line, row.reference, effect, end, license_, customer_name, tuple(columns)))
        obstacle = None if self.sink is None else self.sink.obstacle(license_)
        if obstacle:
            plan.problems.append(RowProblem(row.line, "row", obstacle, "file_unusable"))

    async def _customers(self, known: dict[str, Known]) -> dict[str, Customer]:
        """Return the customers of existing licenses, by id."""
        ids = {license_.customer_id for _, license_ in known.values() if license_.customer_id is not None}
        found = await asyncio.gather(*(self.licenses.stores.customers.get(one) for one in ids))
        return {one.record.id: one.record for one in found if one is not None}

    async def _customer_problem(self, row: LicenseRow, named: SeenTexts) -> list[RowProblem]:
        """Return the problem with the customer of a row; ``named`` are the references of the previous customers."""
        terms = row.terms
        if terms.customer_reference is None:
            return []
        reference = text_digest(terms.customer_reference)
        if named.setdefault(terms.customer, reference) != reference:
            twice = f"the customer {terms.customer!r} has another reference in a row before"
            return [RowProblem(row.line, "customer_reference", twice, "reference_conflict")]
        try:
            names = (terms.customer, terms.customer_reference, terms.customer_email)
            await known_customer(self.licenses.stores, self.app.record.team, *names)
        except Conflict as error:
            return [RowProblem(row.line, "customer_reference", str(error), error.code)]
        return []

    async def _one(
        self, actor: Actor, row: LicenseRow, known: Known | None, begin: Callable[[], Operation], outcome: ImportOutcome
    ) -> None:
        license_, token = (known[1], None) if known else await self._created(row, begin())
        if token is None:
            outcome.existing += 1
        else:
            outcome.created += 1
        if self.sink is not None:
            stored = await self.sink.put(license_, lambda: self.licenses.file_of(actor, license_, token))
            outcome.files[stored] += 1

    async def _created(self, row: LicenseRow, operation: Operation) -> tuple[License, MachineSecret | None]:
        """Make the license of a row, or return that of the reference, without token, if another process was faster."""
        try:
            return await self.licenses.create_in(self.app, row.terms, operation, row.reference)
        except Conflict:
            known = (await self._known([row.reference])).get(row.reference)
            if known is None:
                raise
            return known[1], None

    async def _known(self, references: list[str]) -> dict[str, Known]:
        found = await self.licenses.stores.licenses.by_references(self.app.record.slug, references)
        return {reference: known for reference, known in zip(references, found, strict=True) if known is not None}


def _terms_of(license_: License, customer: Customer | None) -> LicenseTerms:
    return LicenseTerms(
        license_.customer,
        license_.expires_at,
        license_.type,
        license_.not_before,
        license_.repositories,
        license_.fields,
        license_.contact,
        None if customer is None else customer.reference,
        None if customer is None else customer.email,
    )


def _turns(rows: Iterable[LicenseRow]) -> list[list[LicenseRow]]:
    """Return groups of rows to be done concurrently, with the same customers as if the rows were done one by one.

    A row waits for the first row with each description of its customer.
    """
    turns: list[list[LicenseRow]] = []
    described: dict[tuple[str, str | None, str | None], int] = {}
    for row in rows:
        own = (row.terms.customer, row.terms.customer_reference, row.terms.customer_email)
        if own in described:
            turn = described[own] + 1
        else:
            same = (described[one] + 1 for one in described if one[0] == own[0] or (one[1] and one[1] == own[1]))
            turn = described[own] = max(same, default=0)
        turns += [[] for _ in range(len(turns), turn + 1)]
        turns[turn].append(row)
    return turns
