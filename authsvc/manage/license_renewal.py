"""Renews licenses from a file: each row names a license by its reference, and its new end.

A row whose license already has that end changes nothing, so a file may be used again, and an interrupted renewal is
simply repeated. The file is read twice, a batch at a time: every row is checked before the first license is changed.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from attrs import define, evolve, field, frozen

from authsvc.error_codes import ErrorCode
from authsvc.errors import InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.authorization import permitted
from authsvc.manage.checked_rows import CheckedRow, OnRow, ignore_row
from authsvc.manage.license_rows import ReadRenewal, RenewalRow, RowProblem
from authsvc.manage.license_writer import replace_license
from authsvc.manage.lookup import require_app
from authsvc.manage.operation import Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.row_batches import BATCH, batches, check_row_count, finish_all
from authsvc.manage.seen_texts import SeenTexts
from authsvc.manage.stores import Stores
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.records import App, License
from authsvc.tenancy.versioned import Versioned


@define
class RenewalPlan:
    """The effect of a renewal from a file.

    Attributes:
        rows: number of rows.
        changed: number of rows that give a license another end.
        unchanged: number of rows with the end that the license has.
        problems: that must be fixed first, in the order of the lines.
    """

    rows: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: list[RowProblem] = field(factory=list)


@define
class RenewalOutcome:
    """The result of a renewal.

    Attributes:
        renewed: licenses that have another end now.
        unchanged: licenses that had it already.
    """

    renewed: int = 0
    unchanged: int = 0


@frozen(eq=False, repr=False)
class LicenseRenewal:
    """One renewal of licenses of one app, which may be archived.

    Attributes:
        stores: the records.
        app: as it was found for the actor.
        batch: rows that are carried out concurrently.
    """

    stores: Stores
    app: App
    batch: int = BATCH

    @permitted(Permission.LICENSE_RENEW_CHECK)
    async def check(
        self, actor: Actor, rows: Iterable[ReadRenewal], now: datetime, on_row: OnRow = ignore_row
    ) -> RenewalPlan:
        """Return what ``rows`` would do. Nothing is written.

        Args:
            actor: the caller.
            rows: of the file.
            now: the current time.
            on_row: is called with each row without problems.

        Raises:
            InputRefused: there are too many rows.
            NotFound: there is no such app for the actor.
            StoreUnavailable: the store does not answer.
        """
        require_app(actor, self.app)
        plan, seen = RenewalPlan(), SeenTexts()
        for batch in batches(rows, self.batch):
            plan.rows += len(batch)
            check_row_count(plan.rows)
            known = await self._known([row for row in batch if isinstance(row, RenewalRow)])
            for row in batch:
                if isinstance(row, RenewalRow):
                    self._check_row(row, known.get(row.reference), seen, plan, now, on_row)
                else:
                    plan.problems += row
        return plan

    @permitted(Permission.LICENSE_RENEW)
    async def carry_out(
        self,
        actor: Actor,
        rows: Iterable[ReadRenewal],
        begin: Callable[[], Operation],
        on_progress: Callable[[int], None],
    ) -> RenewalOutcome:
        """Give the licenses their new ends; registry tokens stay the same, and new files can be downloaded.

        Args:
            actor: the caller.
            rows: the same that were checked.
            begin: begins the operation of one license, by the same actor.
            on_progress: is called with the number of further rows that are done.

        Raises:
            InputRefused: a row has become wrong since it was checked; those before it are done.
            NotFound: there is no such app for the actor.
            Conflict: a license was changed concurrently; those before are done.
            StoreUnavailable: the store does not answer; repeating the renewal continues where it ended.
        """
        require_app(actor, self.app)
        outcome = RenewalOutcome()
        for batch in batches(rows, self.batch):
            good = [row for row in batch if isinstance(row, RenewalRow)]
            known = await self._known(good)
            if len(known) < len(batch):
                raise InputRefused(
                    "the file was changed while it was read; start again", code="file_changed", field="rows"
                )
            await finish_all(self._one(row, known[row.reference].id, begin, outcome) for row in good)
            on_progress(len(batch))
        return outcome

    def _check_row(
        self,
        row: RenewalRow,
        known: License | None,
        seen: SeenTexts,
        plan: RenewalPlan,
        now: datetime,
        on_row: OnRow,
    ) -> None:
        before = seen.setdefault(row.reference, row.line)
        wrong: tuple[str, str, ErrorCode]
        if before != row.line:
            twice = f"{row.reference!r} is on line {before} already; name each license once"
            wrong = ("reference", twice, "reference_duplicated")
        elif known is None:
            unknown = f"the app {self.app.slug!r} has no license with the reference {row.reference!r}"
            wrong = ("reference", unknown, "license_not_found")
        elif known.expires_at == row.expires_at:
            plan.unchanged += 1
            on_row(CheckedRow(row.line, row.reference, "unchanged", row.expires_at, known, known.customer))
            return
        elif row.expires_at <= now:
            wrong = ("expires", f"{render_instant(row.expires_at)} is not in the future", "date_not_in_future")
        elif known.not_before is not None and row.expires_at <= known.not_before:
            start = render_instant(known.not_before)
            wrong = ("expires", f"the license begins on {start}; it must end later", "period_invalid")
        else:
            plan.changed += 1
            on_row(CheckedRow(row.line, row.reference, "changed", row.expires_at, known, known.customer))
            return
        plan.problems.append(RowProblem(row.line, *wrong))

    async def _one(
        self, row: RenewalRow, license_id: str, begin: Callable[[], Operation], outcome: RenewalOutcome
    ) -> None:
        stored: Versioned[License] | None = await self.stores.licenses.get(license_id)
        if stored is None or stored.record.expires_at == row.expires_at:
            outcome.unchanged += 1
            return
        await replace_license(self.stores, stored, evolve(stored.record, expires_at=row.expires_at), begin())
        outcome.renewed += 1

    async def _known(self, rows: list[RenewalRow]) -> dict[str, License]:
        references = [row.reference for row in rows]
        found = await self.stores.licenses.by_references(self.app.slug, references)
        return {reference: known[1] for reference, known in zip(references, found, strict=True) if known is not None}
