"""Notifications of the registry: what each version sends, and what must hold for every text."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from authsvc.spec.registry_event import EventAction, RegistryEvent, parse_notification

DIGEST = f"sha256:{'0a' * 32}"
EVENT: dict[str, Any] = {
    "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
    "timestamp": "2026-11-27T14:19:00.123456789+01:00",
    "action": "pull",
    "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": 708},
    "request": {"id": "r1", "addr": "203.0.113.7", "method": "GET", "useragent": "skopeo/1.9.3"},
    "actor": {"name": "license:L1"},
    "source": {"addr": "host:5000", "instanceID": "i1"},
}


def body(*records: object) -> bytes:
    """Return a notification."""
    return json.dumps({"events": records}).encode()


def changed(part: str, **members: object) -> dict[str, Any]:
    """Return the event with other members in one part."""
    return {**EVENT, part: {**EVENT[part], **members}}


def test_an_event_becomes_a_value() -> None:
    """Each member comes to its place; the time is UTC, to the microsecond."""
    (event,) = parse_notification(body(changed("target", repository="acme/app", tag="1.0"))).events

    assert event == RegistryEvent(
        id="320678d8-ca14-430f-8bb6-4ca139cd83f7",
        timestamp=datetime(2026, 11, 27, 13, 19, 0, 123456, UTC),
        action=EventAction.PULL,
        repository="acme/app",
        media_type="application/vnd.oci.image.manifest.v1+json",
        digest=DIGEST,
        size=708,
        tag="1.0",
        method="GET",
        address="203.0.113.7",
        user_agent="skopeo/1.9.3",
        subject="license:L1",
        request_id="r1",
        instance_id="i1",
    )


def test_a_broken_event_does_not_lose_the_others() -> None:
    """Its member is named, and those beside it are read."""
    good = changed("target", repository="acme/app")
    notification = parse_notification(body(good, changed("target", repository="Acme"), 7, good))

    assert len(notification.events) == 2
    assert notification.unusable == ("target.repository", "event")


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"events": 1}', b"\xff", b"[" * 100_000, b"1" * 10_000])
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
    events = parse_notification(body(of_index, of_image, odd)).events

    assert [(DIGEST,), (), ()] == [event.parts for event in events]
