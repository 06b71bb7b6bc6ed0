"""Notifications of the registry: what each version sends, and what must hold for every text."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import asdict
from hypothesis import example, given
from hypothesis import strategies as st

from authsvc.spec.registry_event import (
    MAX_EVENTS,
    MAX_SIZE,
    MAX_SUBJECT,
    MAX_TEXT,
    EventAction,
    RegistryEvent,
    parse_notification,
)
from tests.support.registry_events import DIGEST, EVENT, changed, notification
from tests.support.vectors import cases, name_of

TEXTS = st.text(st.characters(), max_size=400)  # lone surrogates too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read(record: object) -> RegistryEvent:
    """Return the one event of a notification."""
    (event,) = parse_notification(notification(record)).events
    return event


@pytest.mark.parametrize("case", cases("registry_events.json", "notification"), ids=name_of)
def test_examples(case: dict[str, Any]) -> None:
    """What each version sends becomes the values that it means; a member that is left out has its default."""
    parsed = parse_notification(json.dumps(case["notification"]).encode())

    expected = [
        RegistryEvent(**{**means, "timestamp": datetime.fromisoformat(means["timestamp"])}) for means in case["means"]
    ]
    assert list(parsed.events) == expected
    assert parsed.unusable == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-27T14:19:00.123456789+01:00", datetime(2026, 11, 27, 13, 19, 0, 123456, UTC)),
        ("2026-11-27T14:19:00Z", datetime(2026, 11, 27, 14, 19, tzinfo=UTC)),
        ("2026-11-27T14:19:00.5Z", datetime(2026, 11, 27, 14, 19, 0, 500_000, UTC)),
    ],
)
def test_times_are_utc(text: str, expected: datetime) -> None:
    """Go writes no, some or nine digits of a second, and any offset."""
    timestamp = read(changed(timestamp=text)).timestamp

    assert (timestamp, timestamp.utcoffset()) == (expected, expected.utcoffset())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("@", None),
        ("", None),
        ("client.example", None),
        (7, None),
    ],
)
def test_addresses(text: object, expected: str | None) -> None:
    """An address comes with or without a port; on a unix socket without a proxy there is none."""
    assert read(changed("request", addr=text)).address == expected


@pytest.mark.parametrize(
    ("record", "member"),
    [
        (7, "event"),
        ([], "event"),
        (changed(id=""), "id"),
        (changed(id="a" * 65), "id"),
        (changed(id="a\n"), "id"),
        (changed(id="ä"), "id"),
        (changed(id=7), "id"),
        (changed(timestamp=None), "timestamp"),
        (changed(timestamp="2026-11-27"), "timestamp"),
        (changed(timestamp="2026-11-27T14:19:00"), "timestamp"),
        (changed(timestamp="2026-13-27T14:19:00Z"), "timestamp"),
        (changed(timestamp="0001-01-01T00:00:00+14:00"), "timestamp"),
        (changed(timestamp=1_790_000_000), "timestamp"),
        (changed(action="copy"), "action"),
        (changed(action=None), "action"),
        (changed(action=["pull"]), "action"),
        (changed(target=None), "target"),
        (changed(target=[]), "target"),
        (changed("target", repository=None), "target.repository"),
        (changed("target", repository="Acme/App"), "target.repository"),
        (changed("target", repository="acme//app"), "target.repository"),
        (changed("target", repository="acme/app\n"), "target.repository"),
        (changed("target", repository="a/" * 128 + "a"), "target.repository"),
        (changed("target", digest=None), "target.digest"),
        (changed("target", digest="sha256:0a"), "target.digest"),
        (changed("target", tag=".."), "target.tag"),
        (changed("target", tag="a" * 129), "target.tag"),
        (changed("target", size=-1), "target.size"),
        (changed("target", size=True), "target.size"),
        (changed("target", size=1.5), "target.size"),
        (changed("target", size="708"), "target.size"),
        (changed("target", size=MAX_SIZE + 1), "target.size"),
        (changed("target", size=0, length=-1), "target.length"),
        (changed(request=None), "request"),
        (changed("request", method=""), "request.method"),
        (changed("request", method="get"), "request.method"),
        (changed(actor=7), "actor"),
        (changed("actor", name=7), "actor.name"),
        (changed("actor", name="x" * (MAX_SUBJECT + 1)), "actor.name"),
    ],
)
def test_a_broken_event_does_not_lose_the_others(record: object, member: str) -> None:
    """What decides whose event it is must be right; the member is named, and the events beside it are read."""
    parsed = parse_notification(notification(EVENT, record, changed(id="second")))

    assert [event.id for event in parsed.events] == [EVENT["id"], "second"]
    assert parsed.unusable == (member,)


def test_more_events_than_are_read() -> None:
    """The first ones count, and the others are named."""
    parsed = parse_notification(notification(*(changed(id=f"e{number}") for number in range(MAX_EVENTS + 2))))

    assert [event.id for event in parsed.events] == [f"e{number}" for number in range(MAX_EVENTS)]
    assert parsed.unusable == ("events", "events")


def test_what_may_be_missing() -> None:
    """An event needs an id, a time, an action, a repository, a method and, but for deletes, a digest."""
    least = {
        **{name: EVENT[name] for name in ("id", "timestamp")},
        "action": "delete",
        "target": {"repository": "acme/app"},
        "request": {"method": "DELETE"},
    }
    event = read(least)

    assert event.action is EventAction.DELETE
    assert (event.digest, event.tag, event.size, event.media_type, event.subject) == (None,) * 5
    assert (event.address, event.user_agent, event.request_id, event.instance_id) == (None, "", "", "")


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"events": 1}', b'{"events": {}}', b"null", b"\xff", b"[" * 100_000, b"1" * 10_000],
)
def test_what_is_no_notification(text: bytes) -> None:
    """A text that has no events is refused as a whole."""
    with pytest.raises(ValueError, match=r"."):
        parse_notification(text)


def test_an_index_names_the_manifests_in_it() -> None:
    """References of anything else, and those that are not of the grammar, are left out."""
    references = [{"digest": DIGEST}, {"digest": "sha256:x"}, {}, 7]
    index = "application/vnd.oci.image.index.v1+json"
    of_index = changed("target", repository="acme/app", mediaType=index, references=references)
    of_image = changed("target", repository="acme/app", references=references)
    odd = changed("target", repository="acme/app", mediaType=index, references={"digest": DIGEST})
    events = parse_notification(notification(of_index, of_image, odd)).events

    assert [(DIGEST,), (), ()] == [event.parts for event in events]


def test_no_events() -> None:
    """An envelope may be empty: Go leaves no list out."""
    assert parse_notification(b'{"events": []}').events == ()


@given(st.binary())
@example(b'\xef\xbb\xbf{"events": []}')
@example(b'{"events": [{"id": NaN}]}')
def test_any_bytes(text: bytes) -> None:
    """Bytes are a notification or refused, and nothing else happens."""
    with contextlib.suppress(ValueError):
        parse_notification(text)


@given(part=st.sampled_from([None, "target", "request", "actor", "source"]), name=st.data(), value=JSON)
def test_any_member(part: str | None, name: st.DataObject, value: Any) -> None:
    """Whatever stands in one member, the event is read or unusable, and everything that is read has its bounds."""
    member = name.draw(st.sampled_from(sorted(EVENT if part is None else EVENT[part])))
    parsed = parse_notification(notification(changed(part, **{member: value})))

    assert len(parsed.events) + len(parsed.unusable) == 1
    for event in parsed.events:
        assert event.timestamp.tzinfo is UTC
        assert event.size is None or 0 < event.size <= MAX_SIZE
        assert len(event.subject or "") <= MAX_SUBJECT
        texts = [text for name, text in asdict(event).items() if isinstance(text, str) and name != "subject"]
        assert max(map(len, texts)) <= MAX_TEXT
        assert all(text.encode() for text in texts if text)


@given(agent=TEXTS, subject=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_SUBJECT))
@example(agent="\x1b[31m\x00\u202e\ud800", subject="license:L1\n\x1b")
def test_odd_characters_are_data(agent: str, subject: str) -> None:
    """Control characters neither end an event nor change another member; half a surrogate pair becomes a mark."""
    event = read({**EVENT, "request": {**EVENT["request"], "useragent": agent}, "actor": {"name": subject}})

    assert event.subject == subject
    assert event.user_agent == "".join("?" if "\ud800" <= c <= "\udfff" else c for c in agent[:MAX_TEXT])
    assert (event.id, event.repository, event.tag) == (EVENT["id"], "acme/app", "1.0")
