"""Totals of a long history, with repeated events and events out of order, against a count of its own."""

import random
from datetime import timedelta

import pytest

from authsvc.activity.activity_filter import Resolution
from authsvc.activity.image_name import ImageName
from tests.support.activity import INITECH, recording
from tests.support.activity_history import History, Row, digest_of
from tests.support.activity_totals import all_rows, check, key, readers
from tests.support.builders import NOW


@pytest.mark.parametrize("resolution", list(Resolution))
async def test_totals_are_exact(resolution: Resolution) -> None:
    """5,000 deliveries, 30 % of them repeated and 20 % out of order, from two teams' licenses and people."""
    period = timedelta(seconds=resolution.seconds)
    history = History(random.Random(resolution.value), NOW, period)
    sent = history.deliveries(5_000)
    async with recording() as store:
        results = [await store.sink.record([one], NOW) for one in sent]
        assert history.expected.events == sum(one.accepted for one in results)
        assert len(sent) == sum(one.accepted + one.duplicate + one.ignored + one.dropped for one in results)
        await check(store, history.expected, resolution)


async def test_notifications_with_many_events_count_the_same() -> None:
    """In one call, with repetitions within it."""
    history = History(random.Random(7), NOW)
    sent = history.deliveries(600)
    async with recording() as store:
        for start in range(0, len(sent), 200):
            await store.sink.record(sent[start : start + 200], NOW)
        await check(store, history.expected, Resolution.DAY)


async def test_the_rows_of_an_image_a_license_and_an_app_are_the_same_rows() -> None:
    """A filter leaves rows out, and changes none."""
    history = History(random.Random(3), NOW)
    async with recording() as store:
        await store.sink.record(history.events(400), NOW)
        rows, _ = readers(store)
        everything = {key(row) for row in await all_rows(rows)}
        of_license = await all_rows(rows, app="acme", license_id="c000000000000001")
        assert {row for row in everything if row[6] == "license:c000000000000001"} == {key(row) for row in of_license}
        of_customer = await all_rows(rows, team="acme-team", customer_id=INITECH.id)
        subjects = {"license:c000000000000001", "license:c000000000000004"}
        assert {row for row in everything if row[6] in subjects} == {key(row) for row in of_customer}
        since = NOW - timedelta(days=3)
        newer = await all_rows(rows, app="acme", since=since)
        assert {row for row in everything if row[1] == "acme" and row[0] > since - timedelta(days=1)} == {
            key(row) for row in newer
        }
        for app in ("acme", "globex"):
            assert {row for row in everything if row[1] == app} == {key(row) for row in await all_rows(rows, app=app)}
        team = await all_rows(rows, team="acme-team")
        assert {row for row in everything if row[1] == "acme"} == {key(row) for row in team}
        for image in ("acme/web", "acme/web:v1", f"globex/db@{digest_of(2)}", "proxy/acme/hub/nginx", "acme/none:v1"):
            name = ImageName.parse(image)
            of_image = await all_rows(rows, image=name)
            assert {row for row in everything if _is_of(name, row)} == {key(row) for row in of_image}


def _is_of(image: ImageName, row: Row) -> bool:
    same = image.tag in {None, row[3]} and image.digest in {None, row[4]}
    # Downloads are of the repository as a whole, and shown with it.
    return image.repository == row[2] and same
