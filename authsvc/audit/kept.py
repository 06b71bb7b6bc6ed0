"""An entry as it is kept: where it stands in its stream, its JSON, and the request ids behind it."""

import json
from functools import cached_property
from typing import Any

from attrs import frozen

from authsvc.audit.collapse import has_id, unpacked


@frozen(slots=False)
class Kept:
    """One entry that was read back.

    Attributes:
        cursor: the id in the stream, ``MILLISECONDS-NUMBER``; larger is later.
        text: JSON as it was written.
        ids: packed request ids; empty for a change.
        proven: whether it is of the stream that is kept; what happened before identity is in the other one.
    """

    cursor: str
    text: bytes
    ids: bytes = b""
    proven: bool = True

    @property
    def place(self) -> tuple[int, int]:
        """The cursor, to be compared."""
        milliseconds, _, number = self.cursor.partition("-")
        return int(milliseconds), int(number)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What it says; one that can not be read says so."""
        try:
            facts = json.loads(self.text)
        except ValueError:
            facts = None
        return facts if isinstance(facts, dict) else {"at": "", "event": "audit.unreadable", "actor": "", "id": ""}

    def is_about(self, request_id: str) -> bool:
        """Whether it stands for the request or the operation of this id."""
        return has_id(self.ids, request_id) or (
            request_id.encode() in self.text and request_id in {self.facts["id"], self.facts.get("last_id")}
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it is listed and exported."""
        requests = {"requests": unpacked(self.ids)} if self.ids else {}
        return {"cursor": self.cursor, **self.facts, **requests}

    def line(self) -> str:
        """Return the entry as one line of JSON."""
        return json.dumps(self.to_json(), ensure_ascii=False)
