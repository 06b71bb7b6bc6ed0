"""An audit entry, and its greatest length."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from authsvc.bounded_json import bounded_json

MAX_ENTRY = 8 * 1024
"""Most bytes of an entry, including its request ids."""

MAX_TEXT = 7 * 1024
"""Most bytes of its JSON; the remaining bytes are for request ids."""

ON_BEHALF_OF = "on_behalf_of"
"""Key of the member for whom the operator acted: ``{"member": id, "email": address, "team": slug}``."""

BATCH = "batch"
"""Key of the batch that a change was part of: ``{"kind": "import" or "renewal", "rows": number, "file": name}``."""

REQUEST_ID = "request_id"
"""Key of the id of the HTTP request that made a change."""

ENCODER = json.JSONEncoder(separators=(",", ":"))


@frozen
class Entry:
    """An event to be recorded.

    Attributes:
        id: the request's or operation's id: an operation that is sent twice has one id.
        at: aware.
        event: a constant ``noun.verb`` of docs/logs.md.
        actor: of the event: a subject, or ``system:authsvc``.
        facts: JSON values, never a secret.
        request_hash: identifies the request of a change with an idempotency key; it is not written.
    """

    id: str
    at: datetime
    event: str
    actor: str
    facts: Mapping[str, Any] = field(factory=dict)
    request_hash: str = ""

    @property
    def team(self) -> str:
        """Slug of the team that it belongs to; empty when it belongs to none."""
        return str(self.facts.get("team") or "")

    def to_json(self) -> dict[str, Any]:
        """Return the line as it is stored, listed and exported."""
        return {"at": self.at.isoformat(), "event": self.event, "actor": self.actor, "id": self.id, **self.facts}

    def text(self) -> str:
        """Return the line as JSON of at most :data:`MAX_TEXT` bytes."""
        return bounded_json(ENCODER, self.to_json(), MAX_TEXT)


ChangeLog = Callable[[Entry], None]
"""Writes a change to the log after it was made."""
