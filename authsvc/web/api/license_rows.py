"""Many licenses in one request of the management API: ``/licenses/import`` and ``/licenses/renew``.

A request has at most :data:`MAX_ROWS` rows, so that it is answered within seconds. Importing or renewing the same rows
again changes nothing, so a request whose answer was lost can be sent again.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable

from attrs import evolve, field, frozen

from authsvc.error_codes import ErrorCode
from authsvc.errors import Conflict, FieldProblem, InputRefused
from authsvc.manage.license_import import Changed, LicenseImport, Plan
from authsvc.manage.license_rows import (
    LICENSE_ROWS,
    RENEWAL_ROWS,
    ROW,
    Read,
    ReadRenewal,
    RowProblem,
    read_jsonl,
)
from authsvc.manage.operation import OPERATION_ID_LENGTH, BatchKind, Operation, RowBatch
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.tenancy.records import LicenseType
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.arguments import render_answer
from authsvc.web.api.endpoint import AnyCall, Call, Endpoint, ObjectAnswer
from authsvc.web.api.license_endpoints import PERIOD, SIGNED, TERMS
from authsvc.web.api.licenses import FieldValue
from authsvc.web.api.schemas import Day, Email, Line, Slug
from authsvc.web.row_deadline import end_in_time

MAX_ROWS = 100
"""Most rows of one request: a new license needs an operation of the key service, which limits them per worker."""


@frozen
class LicenseRowBody:
    """One of several licenses to be created.

    Attributes:
        customer: name of the customer, who is created if unknown.
        expires: `2027-01-31` (00:00 UTC at its start) or `2027-01-31T12:00:00Z`.
        type: for reports only.
        not_before: when it begins, in the forms of `expires`; at once if left out.
        repositories: patterns relative to the app; the whole app if left out.
        fields: for the vendor's own software.
        contact: whom the customer asks.
        reference: the vendor's own key for the license; the customer's name if left out.
        customer_reference: the vendor's own key for the customer.
        customer_email: set if the customer has no address yet.
    """

    customer: Line
    expires: Day
    type: LicenseType = LicenseType.PAID
    not_before: Day | None = None
    repositories: tuple[Line, ...] | None = None
    fields: dict[str, FieldValue] = field(factory=dict)
    contact: Line | None = None
    reference: Line | None = None
    customer_reference: Line | None = None
    customer_email: Email | None = None


@frozen
class LicenseImportBody:
    """Licenses to be created.

    Attributes:
        app: slug of the app.
        rows: at most 100, each with a different reference.
    """

    app: Slug
    rows: tuple[LicenseRowBody, ...]


@frozen
class RenewalRowBody:
    """A new end of a license.

    Attributes:
        reference: of the license.
        expires: `2027-01-31` (00:00 UTC at its start) or `2027-01-31T12:00:00Z`.
    """

    reference: Line
    expires: Day


@frozen
class LicenseRenewalBody:
    """Licenses and their new ends.

    Attributes:
        app: slug of the app.
        rows: at most 100, each for a different license.
    """

    app: Slug
    rows: tuple[RenewalRowBody, ...]


@frozen
class PreviewQuery:
    """Whether it is a dry run.

    Attributes:
        dry_run: whether to check everything and change nothing.
    """

    dry_run: bool = False


@frozen
class ImportQuery(PreviewQuery):
    """Whether it is a dry run, and what to do with rows that differ from their licenses.

    Attributes:
        skip_changed: whether to skip rows that differ from the existing license with their reference; otherwise such a
            row causes the whole request to be refused.
    """

    skip_changed: bool = False


@frozen
class ChangedRowView:
    """A skipped row, which differs from the existing license with its reference.

    Attributes:
        row: its number, from 0.
        license: id of the license, which stays as it is.
        members: names of the members that differ.
    """

    row: int
    license: str
    members: tuple[str, ...]


@frozen
class ImportView:
    """The result of an import, or of its dry run.

    Attributes:
        dry_run: whether nothing was changed.
        created: licenses that were (or would be) created.
        existing: licenses that existed already.
        changed: rows that differ from their licenses.
    """

    dry_run: bool
    created: int
    existing: int
    changed: tuple[ChangedRowView, ...]


@frozen
class RenewalView:
    """The result of a renewal, or of its dry run.

    Attributes:
        dry_run: whether nothing was changed.
        renewed: licenses that got (or would get) a new end.
        unchanged: licenses that had this end already.
    """

    dry_run: bool
    renewed: int
    unchanged: int


async def _import(use_cases: UseCases, call: Call[ImportQuery, LicenseImportBody]) -> ObjectAnswer:
    query, rows = call.query, _lines(call.body.rows)
    work = LicenseImport(use_cases.licenses, await use_cases.licenses.open_app(call.actor, call.body.app))

    def read() -> Iterable[Read]:
        return read_jsonl(rows, LICENSE_ROWS)

    plan = await work.check(call.actor, read(), call.now)
    _require_good(plan.problems)
    if plan.changed and not query.skip_changed:
        raise _differ(plan.changed)
    if query.dry_run:
        return ObjectAnswer(_imported(plan, plan.new, dry_run=True))
    outcome = await work.carry_out(
        call.actor,
        read(),
        _operations(call, "import", plan.rows),
        end_in_time(plan.rows, asyncio.get_running_loop().time),
    )
    return ObjectAnswer(_imported(plan, outcome.created, dry_run=False))


async def _renew(use_cases: UseCases, call: Call[PreviewQuery, LicenseRenewalBody]) -> ObjectAnswer:
    rows = _lines(call.body.rows)
    work = use_cases.renewal(await use_cases.teams.app(call.actor, call.body.app))

    def read() -> Iterable[ReadRenewal]:
        return read_jsonl(rows, RENEWAL_ROWS)

    plan = await work.check(call.actor, read(), call.now)
    _require_good(plan.problems)
    if call.query.dry_run:
        return ObjectAnswer(RenewalView(dry_run=True, renewed=plan.changed, unchanged=plan.unchanged))
    outcome = await work.carry_out(call.actor, read(), _operations(call, "renewal", plan.rows), _ignore_progress)
    return ObjectAnswer(RenewalView(dry_run=False, renewed=outcome.renewed, unchanged=outcome.unchanged))


def _lines(rows: tuple[object, ...]) -> list[str]:
    """Return the rows as lines of a file, the form that the use cases read.

    Raises:
        InputRefused: there are none, or too many.
    """
    if not rows:
        raise InputRefused("rows is empty; send at least one row", code="argument_missing", field="rows")
    if len(rows) > MAX_ROWS:
        raise InputRefused(
            f"a request has at most {MAX_ROWS} rows, not {len(rows)}; split it", code="rows_too_many", field="rows"
        )
    return [json.dumps(render_answer(row)) for row in rows]


def _operations(call: AnyCall, kind: BatchKind, rows: int) -> Callable[[], Operation]:
    """Return a function that begins the operation of one license; each has its own id."""
    batch = RowBatch(kind, rows)

    def begin() -> Operation:
        new = secrets.token_hex(OPERATION_ID_LENGTH // 2)
        return evolve(call.operation, operation_id=new, request_hash="", batch=batch)

    return begin


def _require_good(problems: list[RowProblem]) -> None:
    if problems:
        found = [FieldProblem(_place(one.line, one.column), one.code, one.text) for one in problems]
        sentence = f"{found[0].field}: {found[0].detail}"
        raise InputRefused(_and_more(sentence, found), code=found[0].code, errors=found)


def _differ(changed: list[Changed]) -> Conflict:
    code: ErrorCode = "license_differs"
    found = [
        FieldProblem(
            _place(one.line, ROW), code, f"{', '.join(one.columns)}: differs from license {one.license}, which it made"
        )
        for one in changed
    ]
    return Conflict(_and_more(f"{found[0].field}: {found[0].detail}", found), code=code, errors=found)


def _and_more(sentence: str, found: list[FieldProblem]) -> str:
    return sentence if len(found) == 1 else f"{sentence} (and {len(found) - 1} more)"


def _place(line: int, column: str) -> str:
    """Return the path of a member: the rows are numbered from 0, as in JSON."""
    name = column.replace("field.", "fields.", 1)
    return f"rows.{line - 1}" if column == ROW else f"rows.{line - 1}.{name}"


def _imported(plan: Plan, created: int, *, dry_run: bool) -> ImportView:
    changed = tuple(ChangedRowView(one.line - 1, one.license, one.columns) for one in plan.changed)
    return ImportView(dry_run, created, plan.rows - created, changed)


def _ignore_progress(_rows: int) -> None:
    """Ignore the progress: the client waits for the whole result."""


ROWS = ApiErrors(
    not_found=("app_not_found",),
    refused=(
        *("rows_too_many", "reference_duplicated", "value_missing", "text_expected", "file_changed"),
        "row_unreadable",  # it has more than fits into a line of a file
        *("slug_invalid", "slug_reserved"),
    ),
)
"""Errors of every endpoint that takes rows."""

EXAMPLE_ROW = {"customer": "Acme Corp", "expires": "2027-11-27", "reference": "order-1001"}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("POST", "/licenses/import", "importLicenses", "Create many licenses"),
        *(Permission.LICENSE_IMPORT, _import, ImportView, Permission.LICENSE_IMPORT_CHECK),
        is_repeatable=False,
        errors=ROWS
        | TERMS
        | SIGNED
        | PERIOD
        | ApiErrors(refused=("email_invalid", "reference_conflict"), conflict=("app_archived", "license_differs")),
        request_example={"app": "myapp", "rows": [EXAMPLE_ROW]},
        answer_example=ImportView(dry_run=False, created=1, existing=0, changed=()),
        description=(
            "Every row is checked before the first license is created. Importing the same rows again creates only "
            "what is missing, so a request whose answer was lost can be sent again."
        ),
    ),
    Endpoint(
        *("POST", "/licenses/renew", "renewLicenses", "Give many licenses another end"),
        *(Permission.LICENSE_RENEW, _renew, RenewalView, Permission.LICENSE_RENEW_CHECK),
        is_repeatable=False,
        errors=ROWS | PERIOD | ApiErrors(refused=("license_not_found", "license_too_long")),
        request_example={"app": "myapp", "rows": [{"reference": "order-1001", "expires": "2028-11-27"}]},
        answer_example=RenewalView(dry_run=False, renewed=1, unchanged=0),
        description="Every row is checked before the first license is changed. Registry tokens stay the same; the new "
        "files can be downloaded. Renewing with the same rows again changes nothing.",
    ),
)
