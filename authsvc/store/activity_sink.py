"""Records events of the registry in Redis: each once, and durably before the registry gets its answer.

A call takes two round trips at most: the apps and licenses that are not known yet, then one script for each
:data:`MAX_STEP` events. An event that is sent again is recognised, so a call that failed midway is repeated as a whole.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field

from authsvc.activity.attribution import ActivityEvent, NotCounted, attributed, needed_apps, needed_licenses
from authsvc.activity.event_sink import RecordedEvents
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import DAYS_KEPT, HOURS_KEPT
from authsvc.client import block_of
from authsvc.errors import STORE_AWAY, StoreRefused, StoreUnavailable
from authsvc.spec.registry_event import CacheUse, EventAction, RegistryEvent
from authsvc.store import keys
from authsvc.store.activity_layout import (
    DAY,
    ERA_DAYS,
    HOUR,
    KIND_LETTERS,
    era_of,
    image_hash,
    is_license,
    seconds,
    short_digest,
    short_subject,
)
from authsvc.store.activity_script import RECORD
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.tenancy.records import App, License

MAX_STEP = 25
"""Most events of one script, which blocks Redis for about two milliseconds. The registry sends them one by one."""

MAX_KNOWN = 100_000
"""Most licenses whose app is cached; it never changes."""

SEEN_SLACK = DAY
"""Seconds for which an event is remembered beyond the age at which it would no longer count."""

GRACE = timedelta(minutes=10)
"""How long the registry is asked to send events again when there is no room for them. It queues them in its limited
memory; after that time they are dropped and counted."""

NO_ROOM = "the disk or the memory of Redis is nearly full"


@define(eq=False, repr=False)
class RedisActivitySink:
    """Records events. It implements :class:`authsvc.activity.event_sink.EventSink`.

    Attributes:
        connection: to Redis.
        codec: reads licenses.
        has_room: whether there is room for data that can wait.
    """

    connection: Connection
    codec: Codec
    has_room: Callable[[], bool] = field(default=lambda: True)
    _apps: dict[str, str] = field(init=False, factory=dict)
    _app_of: dict[str, str] = field(init=False, factory=dict)
    _full_since: datetime | None = field(init=False, default=None)

    async def record(self, events: Sequence[RegistryEvent], now: datetime) -> RecordedEvents:
        """Record each event that was not recorded before.

        Args:
            events: in any order.
            now: the time of the request, aware.

        Raises:
            StoreUnavailable: it is not known whether all were recorded; or there has been no room for them for less
                than :data:`GRACE`.
        """
        await self._learn(events)
        found = [attributed(event, self._apps, self._app_of, now) for event in events]
        counted = [one for one in found if isinstance(one, ActivityEvent)]
        dropped = sum(one is NotCounted.TOO_OLD for one in found)
        ignored = sum(isinstance(one, NotCounted) for one in found) - dropped + sum(one.kind is None for one in counted)
        if not counted:
            return RecordedEvents(ignored=ignored, dropped=dropped)
        if not self.has_room():
            self._require_patience(now, StoreUnavailable(STORE_AWAY, detail=NO_ROOM))
            return RecordedEvents(ignored=ignored, dropped=dropped + len(counted), no_room=len(counted))
        try:
            new = await self._write(counted, now)
        except StoreRefused as refused:
            self._require_patience(now, refused)
            return RecordedEvents(ignored=ignored, dropped=dropped + len(counted), no_room=len(counted))
        self._full_since = None
        accepted = sum(new and one.kind is not None for one, new in zip(counted, new, strict=True))
        duplicate = sum(not new and one.kind is not None for one, new in zip(counted, new, strict=True))
        return RecordedEvents(accepted, duplicate, ignored, dropped)

    def _require_patience(self, now: datetime, error: StoreUnavailable) -> None:
        """Raise ``error`` as long as the registry should keep its events."""
        self._full_since = self._full_since or now
        if now - self._full_since < GRACE:
            raise error

    async def _learn(self, events: Sequence[RegistryEvent]) -> None:
        """Read the apps and licenses that are not cached yet."""
        apps, licenses = needed_apps(events) - self._apps.keys(), needed_licenses(events) - self._app_of.keys()
        if not apps and not licenses:
            return
        names, ids = sorted(apps), sorted(licenses)
        raws = await self.connection.get_all(*map(keys.app, names), *map(keys.license_, ids))
        self._apps |= {slug: self._team(raw) for slug, raw in zip(names, raws, strict=False) if raw is not None}
        if len(self._app_of) + len(ids) > MAX_KNOWN:
            self._app_of.clear()
            ids = sorted(needed_licenses(events))
            raws = [*raws[: len(names)], *await self.connection.get_all(*map(keys.license_, ids))]
        for license_id, raw in zip(ids, raws[len(names) :], strict=True):
            if raw is not None:
                self._app_of[license_id] = self.codec.decode(raw, License).app

    def _team(self, raw: bytes) -> str:
        """Return the team of an app; empty when a newer authsvc wrote the app, whose activity counts nevertheless."""
        try:
            return self.codec.decode(raw, App).team
        except StoreUnavailable:
            return ""

    async def _write(self, events: Sequence[ActivityEvent], now: datetime) -> list[bool]:
        """Write events; return for each whether it is new."""
        script = self.connection.redis.register_script(RECORD)
        new: list[bool] = []
        for start in range(0, len(events), MAX_STEP):
            plan = {
                "now": seconds(now),
                "hours_kept": int(HOURS_KEPT.total_seconds()),
                "days_kept": int(DAYS_KEPT.total_seconds()),
                "events": [_planned(event, self._apps[event.app]) for event in events[start : start + MAX_STEP]],
            }
            text = json.dumps(plan, separators=(",", ":"))
            new += map(bool, await self.connection.run(script(keys=[keys.IMAGES_CHANGED], args=[text])))
        return new


def _planned(event: ActivityEvent, team: str) -> dict[str, Any]:
    """Return the argument of the script for an event of an app of ``team``; unknown values are left out."""
    area = None if event.network is None else block_of(event.network.partition("/")[0])
    facts = {
        **planned_change(event.image, event.app, event.at),
        **_seen(event),
        "kind": event.kind,
        "letter": None if event.kind is None else KIND_LETTERS[event.kind],
        "image": _named(event.image),
        "tagged": event.image.tag is not None or None,
        "names": [_named(name) for name in _names(event)],
        "parts": [_named(ImageName(event.image.repository, digest=digest)) for digest in event.parts],
        "accounts": [short_subject(subject) for subject in event.accounts],
        "by": None if event.by is None else short_subject(event.by),
        "licensed": is_license(event.by) or None,
        "size": event.size,
        "network": event.network,
        "team": team or None,
        "area": area,
        "block": None if area is None else _prefix_of(area),
        "changed": None if event.changed is None else str(event.changed),
        "deletes": event.action is EventAction.DELETE or None,
        "missed": event.cache is CacheUse.MISS or None,
        "stale": event.cache is CacheUse.STALE or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def planned_change(image: ImageName, app: str, at: datetime) -> dict[str, Any]:
    """Return the argument of a script for an image at some time: its tag and digest, and their keys."""
    era = era_of(at)
    return {
        "app": app,
        "at": seconds(at),
        "ms": int(at.timestamp() * 1000),
        "era": era,
        "era_until": (era + 1) * ERA_DAYS * DAY + int(DAYS_KEPT.total_seconds()),
        "digest": short_digest(image.digest) or "",
        "names": [_named(name) for name in image.names[1:]],
        "entry": newest_first(at),
        "index": keys.index("activity-tags", image_hash(ImageName(image.repository))),
    }


def _prefix_of(area: str) -> str:
    """Return the common prefix of the names of all networks in a /24 or /64 (:func:`authsvc.client.network_of`)."""
    return area if ":" in area else area.rpartition(".")[0] + "."


def _seen(event: ActivityEvent) -> dict[str, Any]:
    """Return the key by which an event is recognised when it is sent again, at any time."""
    digest = hashlib.blake2b(event.id.encode(), digest_size=12).digest()
    hour = seconds(event.timestamp) // HOUR
    # An event with a time in the future counts for the current time, and is not remembered until that time.
    until = min((hour + 1) * HOUR, seconds(event.at) + 2 * HOUR) + int(HOURS_KEPT.total_seconds()) + SEEN_SLACK
    return {
        "id": str(int.from_bytes(digest[:8], "big", signed=True)),
        "spread": int.from_bytes(digest[8:], "big"),
        "hour": hour,
        "seen_until": until,
    }


def _names(event: ActivityEvent) -> Iterable[ImageName]:
    """Return the names whose history an event changes, the deleted one last."""
    image = event.image
    if event.action is EventAction.DELETE:
        return (*ImageName(image.repository, image.tag, None if image.tag else image.digest).names,)
    return () if event.kind is None else image.names


def _named(image: ImageName) -> dict[str, str]:
    facts = {
        "hash": image_hash(image),
        "repository": image.repository,
        "tag": image.tag,
        "digest": short_digest(image.digest),
    }
    return {name: value for name, value in facts.items() if value is not None}


def newest_first(at: datetime) -> str:
    """Return text that sorts later instants first."""
    return f"{2**40 - seconds(at):010x}"
