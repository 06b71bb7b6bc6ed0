"""A stored audit entry: its cursor in the stream, its JSON and its request ids.

Every entry in the stream can be read, so that a bad one does not hide its neighbours: an entry that is too long is
truncated, and one of unknown form is shown as ``audit.unreadable``.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from attrs import evolve, frozen

from authsvc.audit.entry import ENCODER
from authsvc.audit.request_ids import has_id, packed, unpacked
from authsvc.bounded_json import CUT
from authsvc.printable import printable_json

UNREADABLE = "audit.unreadable"

TRUNCATED = "truncated"
"""Member with the number of bytes of an entry that are not shown."""

MAX_SHOWN = 200
"""Most characters that are shown of an unreadable entry."""

MAX_DEPTH = 20
"""Most levels of nesting that are read; our entries have five, and Python's JSON parser fails at a thousand."""

_NOBODY: Mapping[str, str] = {"at": "", "event": "", "actor": "", "id": ""}
"""The first members of every entry, in their order."""

_DECODER = json.JSONDecoder()

_CURSOR = re.compile(r"[0-9]{1,15}-[0-9]{1,10}", re.ASCII)


@frozen(slots=False)
class StoredEntry:
    """One entry that was read.

    Attributes:
        cursor: the id in the stream, ``MILLISECONDS-NUMBER``; larger is later.
        text: JSON as it was written, or its beginning.
        ids: packed request ids; empty for a change.
        proven: whether it is from the stream of changes and of events with proven identity; other events are in another
            stream.
        length: bytes of the whole JSON.
        size: bytes of the budget that it takes.
        team: slug of the team that it belongs to; empty for none, and for entries of an older version.
    """

    cursor: str
    text: bytes
    ids: bytes = b""
    proven: bool = True
    length: int = 0
    size: int = 0
    team: str = ""

    @classmethod
    def of_line(cls, line: bytes) -> "StoredEntry":
        """Return the entry in a line of an exported file, which :meth:`line` made.

        Raises:
            ValueError: it is not one.
        """
        members = _members_of(line)
        cursor, requests, team = members.pop("cursor"), members.pop("requests", ()), members.get("team")
        ids = b"".join(map(packed, map(str, requests))) if isinstance(requests, list) else b""
        text = ENCODER.encode(members).encode()
        return cls(cursor, text, ids, length=len(text), team=team if isinstance(team, str) else "")

    @property
    def position(self) -> tuple[int, int]:
        """The cursor in comparable form."""
        return position_of(self.cursor)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Its members; an entry that cannot be read has the event :data:`UNREADABLE`."""
        missing = self.length - len(self.text)
        facts = _parsed(self.text, truncated=missing > 0)
        if facts is None or not _is_readable(facts):
            shown = self.text[: 4 * MAX_SHOWN].decode("utf-8", "replace")[:MAX_SHOWN]
            return {**_NOBODY, "event": UNREADABLE, "text": shown}
        if "asked" not in facts and "granted" in facts:  # nothing was refused, so both are equal
            facts["asked"] = facts["granted"]
        if facts.get("count", 1) > 1 and "addresses" not in facts and facts.get("address"):
            facts["addresses"] = [facts["address"]]
        return {**_NOBODY, **facts, **({TRUNCATED: missing} if missing > 0 else {})}

    def without(self, name: str) -> "StoredEntry":
        """Return the entry without one of its members."""
        facts = {key: value for key, value in self.facts.items() if key != name}
        text = ENCODER.encode(facts).encode()
        return evolve(self, text=text, length=len(text))

    def is_about(self, request_id: str) -> bool:
        """Whether it is about the request or the operation with this id."""
        return has_id(self.ids, request_id) or (
            request_id.encode() in self.text
            and request_id in {self.facts["id"], self.facts.get("last_id"), self.facts.get("request_id")}
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it is listed and exported."""
        team = {"team": self.team} if self.team else {}
        requests = {"requests": unpacked(self.ids)} if self.ids else {}
        return {"cursor": self.cursor, **self.facts, **team, **requests}

    def line(self) -> str:
        """Return the entry as one line of JSON."""
        return printable_json(self.to_json(), None)


def cursor_of_line(line: bytes) -> str:
    """Return the cursor of the entry in a line of an exported file.

    Raises:
        ValueError: the line is not an entry.
    """
    return str(_members_of(line)["cursor"])


def _members_of(line: bytes) -> dict[str, Any]:
    try:
        members = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(members, dict) or not _CURSOR.fullmatch(str(members.get("cursor"))):
        raise ValueError("without a cursor")
    return members


def position_of(cursor: str) -> tuple[int, int]:
    """Return a cursor in comparable form."""
    milliseconds, _, number = cursor.partition("-")
    return int(milliseconds), int(number)


def instant(text: object) -> datetime | None:
    """Return the aware instant in ``text``, or None when there is none, or one outside the usable range."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo is not None and 1970 <= at.year < 9999 else None  # noqa: PLR2004  no sum of it overflows


def _parsed(text: bytes, *, truncated: bool) -> dict[str, Any] | None:
    """Return an object's members, only the complete ones if it is truncated; None if it is not an object."""
    written = text.decode("utf-8", "replace")
    try:
        facts = _whole_members(written) if truncated else json.loads(written)
    except (ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or not _is_shallow(facts, MAX_DEPTH):
        return None
    if "\\ud" in written.lower():  # half of a character, which no terminal or file takes; headers may hold any byte
        facts = json.loads(json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace"))
    return facts


def _is_shallow(value: object, depth: int) -> bool:
    if isinstance(value, dict):
        return depth > 0 and all(_is_shallow(one, depth - 1) for one in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_is_shallow(one, depth - 1) for one in value)
    return True


def _whole_members(text: str) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    index = 1
    try:
        while text[index - 1] in "{,":
            name, index = _DECODER.raw_decode(text, _after_blanks(text, index))
            index = _after_blanks(text, index)
            if text[index] != ":" or not isinstance(name, str):
                break
            value, index = _DECODER.raw_decode(text, _after_blanks(text, index + 1))
            facts[name] = value
            index = _after_blanks(text, index) + 1
    except (ValueError, IndexError, RecursionError):
        pass
    return facts


def _after_blanks(text: str, index: int) -> int:
    while text[index] in " \t\r\n":
        index += 1
    return index


def _is_readable(facts: Mapping[str, Any]) -> bool:
    """Whether all members that are read elsewhere have the expected form."""
    return (
        "event" in facts
        and all(isinstance(facts[name], kind) for kind, names in _FORMS for name in names if name in facts)
        and all(isinstance(one, dict) and one.keys() >= _REFUSAL for one in facts.get("refused", ()))
        and _are_objects(facts.get("credential", {}).get("licenses", []))
        and _are_objects(facts.get("examples", []))
    )


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


_REFUSAL = frozenset({"scope", "action", "reason"})

_FORMS: Sequence[tuple[type, Sequence[str]]] = (
    (str, ("at", "event", "actor", "id", "last_at", "last_id")),
    (list, ("asked", "granted", "refused", "addresses")),
    (dict, ("credential", CUT)),
    (int, ("count",)),
)
