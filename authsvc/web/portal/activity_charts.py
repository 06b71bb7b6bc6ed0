"""The charts of activity: an app's days, with refused requests, and the customers that downloaded most."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from attrs import frozen

from authsvc.activity.history import AppDay
from authsvc.audit.stored_entry import instant
from authsvc.manage.activity import Activity, AppDownloads
from authsvc.manage.audit import Audit, RefusedRequest
from authsvc.manage.permissions import Permission
from authsvc.tenancy.pages import Page
from authsvc.web.portal.answers import Visit
from authsvc.web.portal.charts import Bar, Row, bars, rows_chart

DAYS = 14
"""Days of the chart."""

OTHERS = "all others"


@frozen
class ShownDay:
    """A day of an app.

    Attributes:
        day: its activity.
        refused: number of refused requests; None when that is unknown.
    """

    day: AppDay
    refused: int | None


@frozen
class ActivityCharts:
    """The data of the charts of an app.

    Attributes:
        app: slug.
        days: oldest first; those without activity too.
        bars: of the pulls on each day, with the refusals on top.
        refused: whether the reader may see refusals.
        refused_from: since when refusals are counted, when that is later than the first day.
        refusals: the newest.
        downloads: of the customers that downloaded most.
        rows: of the chart of downloads.
    """

    app: str
    days: tuple[ShownDay, ...]
    bars: tuple[Bar, ...]
    refused: bool
    refused_from: date | None
    refusals: tuple[RefusedRequest, ...]
    downloads: AppDownloads
    rows: tuple[Row, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was pulled and nothing refused."""
        return not self.most

    @property
    def most(self) -> int:
        """The value of the highest bar, including the refusals on top."""
        return max((bar.value + bar.other for bar in self.bars), default=0)


async def charts_of(activity: Activity, audit: Audit, visit: Visit, app: str) -> ActivityCharts:
    """Return the charts of an app.

    Raises:
        NotFound: there is no such app for the reader.
    """
    page = await activity.app(visit.actor, app, visit.now, since=f"{DAYS}d")
    known = {day.start.date(): day for day in page.items}
    days = [visit.now.date() - timedelta(days=number) for number in range(DAYS - 1, -1, -1)]
    may, refusals = visit.actor.may(Permission.AUDIT_REFUSALS), Page[RefusedRequest](())
    if may:
        refusals = await audit.refusals(visit.actor, visit.now, app=app, since=f"{DAYS}d")
    counted = _by_day(refusals.items)
    # The number of refusals on the page is limited: before the oldest one, it is unknown.
    first = min(counted, default=None) if refusals.next is not None else days[0]
    shown = tuple(
        ShownDay(
            known.get(day) or AppDay(_start(day), app),
            counted.get(day, 0) if may and first is not None and day >= first else None,
        )
        for day in days
    )
    downloads = await activity.downloads(visit.actor, app, visit.now)
    sizes = [(one.customer, one.bytes) for one in downloads.customers]
    return ActivityCharts(
        app,
        shown,
        bars([(one.day.start.date().isoformat(), one.day.pulls) for one in shown], [one.refused or 0 for one in shown]),
        may,
        first if may and first != days[0] else None,
        refusals.items,
        downloads,
        rows_chart(sizes + ([(OTHERS, downloads.rest)] if downloads.rest else [])),
    )


def _by_day(refusals: Sequence[RefusedRequest]) -> dict[date, int]:
    """Return how many requests were refused on each day; repeats count on the day of the first one."""
    found: dict[date, int] = {}
    for one in refusals:
        at = instant(one.entry.facts["at"])
        if at is not None:
            found[at.date()] = found.get(at.date(), 0) + int(one.entry.facts.get("count", 1))
    return found


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)  # noqa: DTZ001  shown as a day alone
