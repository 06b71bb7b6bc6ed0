"""Activity in the management API: ``/activity``, who pushed and pulled what."""

from datetime import UTC, datetime

from attrs import asdict, frozen

from authsvc.activity.activity_filter import Resolution
from authsvc.manage.activity import ActivityQuery
from authsvc.manage.activity_csv import activity_csv
from authsvc.manage.activity_view import ActivityLine
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.spreadsheet_csv import MEDIA_TYPE as CSV
from authsvc.tenancy.pages import MAX_PAGE
from authsvc.web.api import activity_summaries
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody
from authsvc.web.api.parameters import PAGE_ERRORS, PageQuery
from authsvc.web.api.schemas import Instant
from authsvc.web.stream_sender import StreamAnswer

FILE_NAME = "activity.csv"


@frozen
class ActivityRowView:
    """What an account did with an image in one hour or day. Null means *unknown*, never *none*.

    Attributes:
        period: beginning of the hour or day.
        resolution: `hour` or `day`.
        app: slug.
        repository: full name; null if the row covers several images.
        tag: the tag in the request; null for requests by digest, and in rows of bytes and of tokens.
        digest: of the manifest or index; null in rows of bytes, of tokens and of deleted tags.
        action: `pull`, `head`, `push` or `delete`.
        subject: the account, such as `license:<id>` or `member:<id>`.
        license: id, if the account is a license.
        customer: name on that license.
        customer_id: of the license's customer.
        count: how often; 0 in rows of bytes.
        bytes: size of the requested blobs; null in all other rows.
        first_at: when it first happened in the period.
        last_at: when it last happened in the period.
        source: `registry` (its events) or `token` (issued tokens, according to the audit).
        hits: how often the cache for linked registries had it (in rows of bytes: for how many blobs); null for other
            images.
        misses: how often the cache did not have it.
        stale: how often the cache answered with the last known digest of a tag, because the linked registry could not
            be reached.
        name: address of the member or name of the service account, if that account still exists.
    """

    period: Instant
    resolution: Resolution
    app: str
    repository: str | None
    tag: str | None
    digest: str | None
    action: str
    subject: str | None
    license: str | None
    customer: str | None
    customer_id: str | None
    count: int
    bytes: int | None
    first_at: Instant
    last_at: Instant
    source: str
    hits: int | None
    misses: int | None
    stale: int | None
    name: str | None


@frozen
class ActivityListQuery(PageQuery):
    """Selects rows.

    Attributes:
        app: slug of the app.
        license: id or reference of the license.
        customer: id, reference or exact name of the customer.
        image: repository, tag or digest, such as `myapp/worker` or `myapp/worker:1.2`.
        since: periods that end after this: a date, a time or a span before now such as `7d`.
        until: periods that begin before this, in the same forms.
        resolution: `hour`, kept for 14 days, or `day`, kept for 400.
        source: `registry` or `token`.
    """

    app: str | None = None
    license: str | None = None
    customer: str | None = None
    image: str | None = None
    since: str | None = None
    until: str | None = None
    resolution: str | None = None
    source: str | None = None


def _view(row: ActivityLine) -> ActivityRowView:
    return ActivityRowView(**asdict(row, recurse=False))


async def _list(use_cases: UseCases, call: Call[ActivityListQuery, NoBody]) -> ListAnswer | StreamAnswer:
    query, as_csv = call.query, call.media_type == CSV
    wanted = ActivityQuery(
        query.app,
        query.license,
        query.customer,
        query.image,
        query.since,
        query.until,
        query.resolution,
        query.source,
        call.actor.team,
    )
    activity, limit = use_cases.activity, MAX_PAGE if as_csv else query.limit
    page = await activity.rows(call.actor, wanted, call.now, after=query.after, limit=limit)
    if as_csv:
        return StreamAnswer(activity_csv(activity, call.actor, wanted, call.now, page), FILE_NAME, CSV)
    return ListAnswer(tuple(map(_view, page.items)), page.next)


_DAY, _AT = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 2, 9, 30, tzinfo=UTC)

EXAMPLE = ActivityRowView(
    period=_DAY,
    resolution=Resolution.DAY,
    app="myapp",
    repository="myapp/worker",
    tag="1.2",
    digest=f"sha256:{'3f' * 32}",
    action="pull",
    subject="license:7h2m4k9q1wz8x3tb",
    license="7h2m4k9q1wz8x3tb",
    customer="Acme Corp",
    customer_id="43kyqh9g1mn5m42g",
    count=3,
    bytes=None,
    first_at=_AT,
    last_at=datetime(2026, 11, 2, 17, 30, tzinfo=UTC),
    source="registry",
    hits=None,
    misses=None,
    stale=None,
    name=None,
)

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/activity", "listActivity", "List who pushed and pulled what, by the hour or day"),
        *(Permission.ACTIVITY_LIST, _list, ActivityRowView),
        is_list=True,
        streams=(CSV,),
        errors=PAGE_ERRORS
        | ApiErrors(
            refused=(
                *("slug_invalid", "slug_reserved", "image_invalid", "date_invalid", "span_invalid", "period_invalid"),
                *("resolution_invalid", "activity_source_invalid"),
            ),
            not_found=("app_not_found", "license_not_found", "customer_not_found", "image_not_found"),
            conflict=("license_ambiguous",),
        ),
        answer_example=EXAMPLE,
        description=(
            "The newest periods come first in blocks of 16 days (one day by the hour), and in a block the rows of one "
            "account are together. Bytes are in separate rows, by repository.\n\nWith `Accept: text/csv` the answer "
            "has every row, as comma-separated values for a spreadsheet; `limit` is ignored then."
        ),
    ),
    *activity_summaries.ENDPOINTS,
)
