"""Events that come with time: what counts, to the second, and which two are one."""

from datetime import timedelta

import pytest
from attrs import evolve

from authsvc.tenancy.records import License
from authsvc.upstreams.health import UpstreamHealth
from authsvc.webhooks.watched_events import FAILING_FOR, is_failing, license_ending
from tests.support.builders import NOW, make_app, make_license

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
APP = make_app()
OLD = NOW - 300 * DAY


def ends_in(left: timedelta, issued_ago: timedelta = 300 * DAY) -> License:
    """Return a license that ends so long after the present."""
    return make_license(expires_at=NOW + left, issued_at=NOW - issued_ago)


@pytest.mark.parametrize(
    ("license_", "reported"),
    [
        (ends_in(7 * DAY), True),
        (ends_in(7 * DAY + SECOND), False),
        (ends_in(6 * DAY), True),
        (ends_in(SECOND), True),
        (ends_in(timedelta(0)), False),
        (ends_in(7 * DAY, issued_ago=timedelta(0)), False),
        (ends_in(7 * DAY - SECOND, issued_ago=timedelta(0)), False),
        (ends_in(7 * DAY, issued_ago=SECOND), True),
        (evolve(ends_in(7 * DAY), revoked_at=OLD), False),
        (evolve(ends_in(7 * DAY), archived_at=OLD), False),
        (evolve(ends_in(7 * DAY), not_before=NOW + DAY), True),
    ],
)
def test_when_seven_days_are_left(license_: License, *, reported: bool) -> None:
    """From that second on, while the license is in force or will be, and had more time when it was made."""
    event = license_ending(license_, APP, 7, NOW)
    assert (event is not None) is reported
    if event is not None:
        assert event.at == license_.expires_at - 7 * DAY


def test_nothing_of_an_archived_app() -> None:
    """Its licenses pull nothing."""
    assert license_ending(ends_in(7 * DAY), make_app(archived_at=OLD), 7, NOW) is None


def test_which_events_are_one() -> None:
    """Those of one license, end and number of days, whenever they are noticed."""
    first = license_ending(ends_in(DAY), APP, 7, NOW)
    assert first == license_ending(ends_in(DAY), APP, 7, NOW + SECOND)
    others = [license_ending(ends_in(DAY), APP, 1, NOW), license_ending(ends_in(2 * DAY), APP, 7, NOW)]
    ids = {event.id for event in [first, *others] if event is not None}
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("health", "failing"),
    [
        (UpstreamHealth(), False),
        (UpstreamHealth(None, NOW, "upstream_refused"), True),
        (UpstreamHealth(NOW - FAILING_FOR, NOW, "upstream_refused"), True),
        (UpstreamHealth(NOW - FAILING_FOR + SECOND, NOW, "upstream_refused"), False),
        (UpstreamHealth(NOW - FAILING_FOR, NOW, "upstream_unavailable"), False),
        (UpstreamHealth(NOW, NOW - DAY, "upstream_refused"), False),
    ],
)
def test_when_a_credential_fails(health: UpstreamHealth, *, failing: bool) -> None:
    """When the registry refused it last, and gave nothing for a while."""
    assert is_failing(health, NOW) is failing
