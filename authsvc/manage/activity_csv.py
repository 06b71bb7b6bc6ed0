"""Activity as comma-separated values, page by page."""

from collections.abc import AsyncIterator
from datetime import datetime

from attrs import asdict

from authsvc.activity.export import COLUMNS
from authsvc.manage.activity import Activity, ActivityQuery
from authsvc.manage.activity_view import ActivityLine
from authsvc.manage.actor import Actor
from authsvc.spreadsheet_csv import csv_line
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.pages import MAX_PAGE, Page


async def activity_csv(
    activity: Activity, actor: Actor, wanted: ActivityQuery, now: datetime, page: Page[ActivityLine] | None = None
) -> AsyncIterator[str]:
    """Yield the heading and all selected rows, some at a time.

    Args:
        activity: lists the rows.
        actor: the caller.
        wanted: the conditions.
        now: the time from which spans are counted back.
        page: the first page, if it was read already.

    Raises:
        AuthsvcError: like :meth:`Activity.rows`.
    """
    if page is None:
        page = await activity.rows(actor, wanted, now, limit=MAX_PAGE)
    yield csv_line(COLUMNS) + "".join(map(_line, page.items))
    while page.next is not None:
        page = await activity.rows(actor, wanted, now, after=page.next, limit=MAX_PAGE)
        yield "".join(map(_line, page.items))


def _line(row: ActivityLine) -> str:
    values = asdict(row, recurse=False)
    return csv_line(render_instant(one) if isinstance(one, datetime) else one for one in map(values.get, COLUMNS))
