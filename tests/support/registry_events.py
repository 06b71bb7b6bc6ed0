"""Notifications as the registry sends them, made of one event with other members."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

Record = dict[str, Any]

DIGEST = f"sha256:{'0a' * 32}"

EVENT: dict[str, Any] = {
    "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
    "timestamp": "2026-11-27T14:19:00.123456789+01:00",
    "action": "pull",
    "target": {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": DIGEST,
        "size": 708,
        "repository": "acme/app",
        "tag": "1.0",
    },
    "request": {"id": "r1", "addr": "203.0.113.7", "method": "GET", "useragent": "skopeo/1.9.3"},
    "actor": {"name": "license:L1"},
    "source": {"addr": "host:5000", "instanceID": "i1"},
}


def notification(*records: object) -> bytes:
    """Return the body of a notification."""
    return json.dumps({"events": records}).encode()


def changed(part: str | None = None, **members: object) -> dict[str, Any]:
    """Return the event with other members, at the top or in one part."""
    return {**EVENT, **members} if part is None else {**EVENT, part: {**EVENT[part], **members}}


def random_events(chance: Random, repository: str, subject: str, count: int, now: datetime) -> list[Record]:
    """Return different pulls, heads and pushes of 50 tags, one a second until now."""
    events = []
    for number in range(count):
        action, method = chance.choice((("pull", "GET"), ("pull", "GET"), ("pull", "HEAD"), ("push", "PUT")))
        events.append(
            {
                **changed("target", repository=repository, tag=f"t{number % 50}"),
                "id": f"{repository.replace('/', '.')}-{number}",
                "timestamp": (now - timedelta(seconds=count - number)).isoformat(),
                "action": action,
                "request": {**EVENT["request"], "method": method},
                "actor": {"name": subject},
            }
        )
    return events


def disordered(chance: Random, events: Sequence[Record]) -> list[Record]:
    """Return events by their time, but for a fifth of them, which are anywhere."""
    ordered = sorted(events, key=lambda event: (event["timestamp"], chance.random()))
    places = sorted(chance.sample(range(len(ordered)), len(ordered) // 5))
    moved = [ordered[place] for place in places]
    chance.shuffle(moved)
    for place, event in zip(places, moved, strict=True):
        ordered[place] = event
    return ordered


def split_at_random(chance: Random, events: Sequence[Record], most: int) -> list[list[Record]]:
    """Return the events in groups of 1 to ``most``."""
    groups, place = [], 0
    while place < len(events):
        size = chance.randint(1, most)
        groups.append(list(events[place : place + size]))
        place += size
    return groups
