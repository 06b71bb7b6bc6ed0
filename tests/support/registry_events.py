"""Notifications as the registry sends them, made of one event with other members."""

import json
from typing import Any

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
