"""Compares what is counted in a store with what a made-up history says."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from authsvc.activity.activity_filter import ActivityFilter, Resolution
from authsvc.activity.history import ActivityRow, AppDay
from authsvc.activity.kinds import ActivityKind
from authsvc.store.activity_accounts import RedisActivityAccounts
from authsvc.store.activity_rows import RedisActivityRows
from authsvc.store.codec import Codec
from authsvc.store.records import Records
from tests.support.activity import Recording
from tests.support.activity_history import Expected, Row
from tests.support.builders import NOW


async def all_rows(rows: RedisActivityRows, **wanted: Any) -> list[ActivityRow]:
    """Return every row of a filter, read page by page."""
    filter_ = ActivityFilter(**{"since": NOW - timedelta(days=20), "until": NOW + timedelta(minutes=1), **wanted})
    found: list[ActivityRow] = []
    after = None
    while True:
        page = await rows.page(filter_, after, 100)
        assert len(page.items) <= 100
        found += page.items
        if page.next is None:
            return found
        assert page.next != after
        after = page.next


def key(row: ActivityRow) -> Row:
    """Return what tells a row apart from others."""
    assert row.image is not None
    assert row.subject is not None
    image = row.image
    return row.start, row.app, image.repository, image.tag, image.digest, row.kind.value, row.subject


def amount(row: ActivityRow) -> int:
    """Return what a row adds up."""
    if row.kind is ActivityKind.DOWNLOAD:
        assert row.size is not None
        assert row.count == 0
        return row.size
    assert row.size is None
    return row.count


def readers(store: Recording) -> tuple[RedisActivityRows, RedisActivityAccounts]:
    """Return what reads rows and summaries of a store."""
    records = Records(store.connection, Codec())
    rows = RedisActivityRows(records, store.images)
    return rows, RedisActivityAccounts(records, store.images, rows)


async def check(store: Recording, expected: Expected, resolution: Resolution) -> None:
    """Compare everything that is counted with what is expected."""
    rows, accounts = readers(store)
    for app in ("acme", "globex"):
        found = await all_rows(rows, app=app, team=f"{app}-team", resolution=resolution)
        counted = Counter({key(row): amount(row) for row in found})
        assert len(counted) == len(found), "a row was shown twice"
        assert {row: n for row, n in expected.rows.items() if row[1] == app} == counted
        assert {row: ends for row, ends in expected.ends.items() if row[1] == app} == {
            key(row): (row.first_at, row.last_at) for row in found
        }
        days = (await accounts.days(app, NOW - timedelta(days=20), NOW)).items
        assert {start: _day(start, app, counts) for (start, at), counts in expected.days.items() if at == app} == {
            day.start: day for day in days
        }
    for (app, subject), times in expected.pulled.items():
        (account,) = await accounts.accounts([(app, subject)], NOW)
        assert account is not None
        assert (min(times), max(times)) == (account.first_pull, account.last_pull)
        assert expected.pulls[app, subject] == account.pulls
        assert expected.sizes[app, subject] == account.size
        assert expected.networks[app, subject] == account.networks
        assert not account.more_images
        assert not account.more_networks


def _day(start: datetime, app: str, counts: Counter[str]) -> AppDay:
    return AppDay(start, app, counts["pull"], counts["head"], counts["push"], counts["delete"], counts["size"])
