"""Events: what is sent of one, and which two are the same."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.webhooks.event import MAX_BODY, SELECTABLE, EventType, WebhookEvent, event_id

AT = datetime(2026, 11, 27, 21, 30, 5, 123456, UTC)


def event(**data: object) -> WebhookEvent:
    """Return an event with this data."""
    return WebhookEvent("evt_1", EventType.ENDING, AT, "acme", "shop", data)


def test_a_body() -> None:
    """Type, time of what happened, and data, as Standard Webhooks has them."""
    assert event(license="l1", days=7).body() == (
        b'{"type":"license.ending","timestamp":"2026-11-27T21:30:05Z","data":{"license":"l1","days":7}}'
    )


def test_times_are_in_utc() -> None:
    """Whatever the zone of the instant."""
    at = AT.astimezone(timezone(timedelta(hours=5)))
    body = WebhookEvent("evt_1", EventType.TEST, at, "acme", None, {}).body()
    assert json.loads(body)["timestamp"] == "2026-11-27T21:30:05Z"


@pytest.mark.parametrize("data", [{"customer": "x" * 30_000}, {f"n{n}": "ü" * 200 for n in range(100)}])
def test_a_body_is_bounded(data: dict[str, object]) -> None:
    """What is too long is cut and says so; it stays JSON of the same form."""
    body = event(**data).body()
    assert len(body) <= MAX_BODY
    assert json.loads(body)["data"]["cut"]


IDS = st.lists(st.text(max_size=5), max_size=3).map(tuple)


@given(IDS, IDS)
def test_ids_are_unambiguous(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Two events have one id exactly when all parts are equal."""
    assert (event_id(EventType.DENIED, *one) == event_id(EventType.DENIED, *other)) == (one == other)


def test_ids_of_two_types_differ() -> None:
    """The type is a part of the id."""
    assert len({event_id(one, "l1") for one in EventType}) == len(EventType)


def test_a_test_cannot_be_chosen() -> None:
    """Every other type can."""
    assert set(EventType) - set(SELECTABLE) == {EventType.TEST}
