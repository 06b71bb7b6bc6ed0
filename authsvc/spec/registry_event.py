"""Events of the registry: parses a notification (distribution "Work with notifications") into its events.

::

    POST  Content-Type: application/vnd.docker.distribution.events.v1+json   (2.x), …events.v2+json (3.x)
    {"events": [{"id", "timestamp", "action",
                 "target": {"mediaType", "digest", "size", "length", "repository", "fromRepository", "url", "tag",
                            "references": [{"mediaType", "digest", "size"}]},
                 "request": {"id", "addr", "host", "method", "useragent"},
                 "actor": {"name"}, "source": {"addr", "instanceID"}}]}

Both versions have these members; a member without a value is left out in 2.x, and may be ``""`` or ``0`` in 3.x, as in
the events of deleted tags. The members that decide what the event is about are checked by their grammar; an event
without them is unusable. The others come from clients: they may contain any character, and are cut to a bounded length.
The Content-Type is ignored: a body of a later version may still be readable, and plain JSON means the same.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from attrs import frozen

from authsvc.client import parse_address
from authsvc.spec.reference import DIGEST, MAX_NAME_LENGTH, TAG, Repository

NOTIFICATION_PATH = "/events/registry"
"""Path at which authsvc accepts notifications, on its inside listener."""

MAX_EVENTS = 500
"""Most events that are read from one notification; the registry sends one."""

MAX_REFERENCES = 1_000
"""Most references of one manifest that are read."""

INDEXES = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
"""Media types of manifests that refer to manifests, one for each platform."""

MAX_SUBJECT = 1_024
"""Longest subject, in characters; that of eight licenses is shorter."""

MAX_TEXT = 256
"""Most characters that are kept of an informational text."""

MAX_SIZE = 2**53
"""Greatest size in bytes: not every JSON parser represents greater integers exactly."""

_ID = re.compile(r"[0-9A-Za-z_.:-]{1,64}", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_METHOD = re.compile(r"[A-Z]{1,16}", re.ASCII)
_TAG = re.compile(TAG, re.ASCII)
_DIGEST = re.compile(DIGEST, re.ASCII)


class EventAction(StrEnum):
    """The action that an event reports."""

    PULL = "pull"
    PUSH = "push"
    MOUNT = "mount"
    DELETE = "delete"


class CacheUse(StrEnum):
    """How the cache of linked registries was involved in a pull."""

    MISS = "miss"
    """The cache did not have the image: a separate event in addition to that of the pull."""

    STALE = "stale"
    """A pull was answered with the last known image of its tag."""


@frozen
class RegistryEvent:
    """One event.

    Attributes:
        id: unique, the same when the event is sent again; UUID of version 4 in 2.x and 3.0, 7 from 3.1 on.
        timestamp: when the registry made it, UTC, by its own clock.
        action: what was done.
        repository: its name, in distribution's grammar.
        media_type: of the manifest, or of the blob, where it is usually ``application/octet-stream``.
        digest: of the manifest or blob; None in the event of a deleted tag.
        size: of the whole manifest or blob in bytes, even when only a part of it was downloaded.
        tag: by which a manifest was requested; None for a blob and for a request by digest.
        from_repository: the repository that a blob was mounted from.
        method: of the request; pulls by HEAD transferred nothing.
        address: of the client as the proxy in front of the registry names it, without a port.
        user_agent: the client's name as it states it; not verified, any characters.
        subject: of the token, as it was signed; None if it had none.
        request_id: the registry's own.
        instance_id: of the registry process; changes with every restart.
        parts: digests of the manifests that an index refers to; empty for anything else, and if the registry's
            configuration does not ask for references.
        cache: for an image of a linked registry; set by authsvc, never sent by a registry.
    """

    id: str
    timestamp: datetime
    action: EventAction
    repository: str
    media_type: str | None = None
    digest: str | None = None
    size: int | None = None
    tag: str | None = None
    from_repository: str | None = None
    method: str = "GET"
    address: str | None = None
    user_agent: str = ""
    subject: str | None = None
    request_id: str = ""
    instance_id: str = ""
    parts: tuple[str, ...] = ()
    cache: CacheUse | None = None


@frozen
class Notification:
    """The events of one notification.

    Attributes:
        events: the usable ones, in their order.
        unusable: for each other one, the member that is missing or wrong, such as ``target.digest``.
    """

    events: tuple[RegistryEvent, ...] = ()
    unusable: tuple[str, ...] = ()


def parse_notification(body: bytes) -> Notification:
    """Return the events in a request body.

    Raises:
        ValueError: it is not a JSON object with a list ``events``.
    """
    try:
        document = json.loads(body.decode("utf-8"))
    except RecursionError as error:
        raise ValueError("the notification is nested too deeply") from error
    records = document.get("events") if isinstance(document, dict) else None
    if not isinstance(records, list):
        raise ValueError(  # noqa: TRY004  of the caller's text, not of a type
            "a notification is a JSON object with a list 'events'"
        )
    events: list[RegistryEvent] = []
    unusable = ["events"] * max(0, len(records) - MAX_EVENTS)
    for record in records[:MAX_EVENTS]:
        try:
            events.append(_event(record))
        except _WrongMember as error:
            unusable.append(error.name)
    return Notification(tuple(events), tuple(unusable))


class _WrongMember(Exception):
    """A member that an event needs is missing or wrong."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _event(record: object) -> RegistryEvent:
    top = _EventPart.of({"event": record}, "event")
    target, request = _EventPart.of(top.values, "target"), _EventPart.of(top.values, "request")
    actor, source = (_EventPart.of(top.values, name, optional=True) for name in ("actor", "source"))
    action = _action(top)
    digest = target.matching("digest", _DIGEST)
    if digest is None and action is not EventAction.DELETE:
        raise _WrongMember(target.path("digest"))
    return RegistryEvent(
        id=top.needed("id", _ID),
        timestamp=_timestamp(top),
        action=action,
        repository=_repository(target),
        media_type=target.shortened("mediaType") or None,
        digest=digest,
        size=_size(target),
        tag=target.matching("tag", _TAG),
        from_repository=_from_repository(target),
        method=request.needed("method", _METHOD),
        address=_address(request.shortened("addr")),
        user_agent=request.shortened("useragent"),
        subject=actor.whole("name", MAX_SUBJECT),
        request_id=request.shortened("id"),
        instance_id=source.shortened("instanceID"),
        parts=_parts(target),
    )


@frozen
class _EventPart:
    """One object of an event with its members; ``""`` and ``null`` count as missing."""

    name: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, parent: Mapping[str, Any], name: str, *, optional: bool = False) -> Self:
        found = parent.get(name)
        if found is None and optional:
            return cls(name, {})
        if not isinstance(found, dict):
            raise _WrongMember(name)
        return cls(name, found)

    def path(self, member: str) -> str:
        return member if self.name == "event" else f"{self.name}.{member}"

    def whole(self, member: str, limit: int) -> str | None:
        """Return a text that must not be cut."""
        text = self.values.get(member)
        if text is None or text == "":
            return None
        if not isinstance(text, str) or len(text) > limit:
            raise _WrongMember(self.path(member))
        return _encodable(text)

    def matching(self, member: str, pattern: re.Pattern[str]) -> str | None:
        """Return a text that must match a grammar, or None."""
        text = self.whole(member, MAX_TEXT)
        if text is not None and not pattern.fullmatch(text):
            raise _WrongMember(self.path(member))
        return text

    def needed(self, member: str, pattern: re.Pattern[str]) -> str:
        """Return a required text that must match a grammar."""
        text = self.matching(member, pattern)
        if text is None:
            raise _WrongMember(self.path(member))
        return text

    def shortened(self, member: str) -> str:
        """Return the beginning of an informational text; empty for anything that is not a text."""
        text = self.values.get(member)
        return _encodable(text[:MAX_TEXT]) if isinstance(text, str) else ""


def _encodable(text: str) -> str:
    """Return ``text`` with a question mark for each half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _action(top: _EventPart) -> EventAction:
    try:
        return EventAction(top.whole("action", MAX_TEXT) or "")
    except ValueError as error:
        raise _WrongMember("action") from error


def _timestamp(top: _EventPart) -> datetime:
    """Return a time of RFC 3339, to the microsecond; Go writes up to nine digits and any offset."""
    try:
        return datetime.fromisoformat(top.needed("timestamp", _TIME)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _WrongMember("timestamp") from error


def _repository(target: _EventPart) -> str:
    name = target.whole("repository", MAX_NAME_LENGTH)
    try:
        return str(Repository.parse(name or ""))
    except ValueError as error:
        raise _WrongMember(target.path("repository")) from error


def _from_repository(target: _EventPart) -> str | None:
    try:
        return str(Repository.parse(target.shortened("fromRepository")))
    except ValueError:
        return None


def _size(target: _EventPart) -> int | None:
    """Return the size: of blobs 2.x gives it in ``size`` and ``length``, of manifests too."""
    for member in ("size", "length"):
        size = target.values.get(member)
        if size is None or size == 0:
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= MAX_SIZE:
            raise _WrongMember(target.path(member))
        return size
    return None


def _address(text: str) -> str | None:
    """Return the address in ``addr``: that of a forwarding header as it is, that of a connection with its port."""
    address = parse_address(text) or parse_address(text.rpartition(":")[0].strip("[]"))
    return None if address is None else str(address)


def _parts(target: _EventPart) -> tuple[str, ...]:
    """Return the digests of the manifests in an index; references that are not of the grammar are left out."""
    references = target.values.get("references")
    if target.shortened("mediaType") not in INDEXES or not isinstance(references, list):
        return ()
    found = (one.get("digest") for one in references[:MAX_REFERENCES] if isinstance(one, dict))
    return tuple(digest for digest in found if isinstance(digest, str) and _DIGEST.fullmatch(digest))
