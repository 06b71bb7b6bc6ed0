"""Stores in Redis what the registry reports about tags during a deletion from their repository.

A deletion reads it to find concurrent pushes that were lost (:mod:`authsvc.images.tag_changes`). It is stored while the
repository's lock is held and for some minutes after that, in the order of the registry's reports.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import groupby

from attrs import frozen

from authsvc.activity.attribution import MANIFESTS
from authsvc.activity.event_sink import EventSink, RecordedEvents
from authsvc.images.tag_changes import TagChange
from authsvc.spec.registry_event import EventAction, RegistryEvent
from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.tenancy.subjects import SYSTEM

MAX_CHANGES = 2_000
"""Most changes that are stored of one repository."""

LIFE = 600
"""Seconds for which they are stored after the last one."""

PATIENCE = 3.0
"""Seconds in which the registry reports what it did: usually it takes a tenth of a second."""

PAUSE = 0.05
"""Seconds between two looks."""

START = "0-0"
"""Position before everything."""

_ADD = f"""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, change in ipairs(ARGV) do redis.call('XADD', KEYS[2], 'MAXLEN', '~', {MAX_CHANGES}, '*', 'c', change) end
return redis.call('EXPIRE', KEYS[2], {LIFE})
"""


@frozen(eq=False, repr=False)
class TagEventSink:
    """Passes events on, and stores those about tags of repositories with a deletion in progress.

    Attributes:
        sink: records all of them.
        connection: to Redis.
    """

    sink: EventSink
    connection: Connection

    async def record(self, events: Sequence[RegistryEvent], now: datetime) -> RecordedEvents:
        """Record events, as :meth:`authsvc.activity.event_sink.EventSink.record`.

        Raises:
            StoreUnavailable: it is not known whether they were recorded; the registry must send them again.
        """
        recorded = await self.sink.record(events, now)
        changes = ((event.repository, change) for event in events for change in changes_in(event))
        for repository, some in groupby(changes, key=lambda found: found[0]):
            script = self.connection.redis.register_script(_ADD)
            names = [keys.repository_lock(repository), keys.tag_events(repository)]
            await self.connection.run(script(keys=names, args=[_encoded(change) for _, change in some]))
        return recorded


@frozen(eq=False, repr=False)
class RedisTagEvents:
    """Reads what was reported. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
        patience: seconds to wait for a report.
    """

    connection: Connection
    patience: float = PATIENCE

    async def position(self, repository: str) -> str:
        """Return the current position of the reports."""
        redis, key = self.connection.redis, keys.tag_events(repository)
        newest = await self.connection.read(lambda: redis.xrevrange(key, count=1))
        return newest[0][0].decode() if newest else START

    async def since(
        self, repository: str, position: str, complete: Callable[[tuple[TagChange, ...]], bool]
    ) -> tuple[TagChange, ...] | None:
        """Return what was reported since, in order, as soon as it is ``complete``; None when it is not, soon enough.

        None too when so much was reported that some of it may be gone.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience
        redis, key = self.connection.redis, keys.tag_events(repository)
        while True:
            entries = await self.connection.read(lambda: redis.xrange(key, min=f"({position}"))
            if len(entries) >= MAX_CHANGES:
                return None  # earlier ones may have been trimmed
            changes = tuple(TagChange(*json.loads(fields[b"c"])) for _, fields in entries)
            if complete(changes):
                return changes
            if loop.time() > deadline:
                return None
            await asyncio.sleep(PAUSE)


def changes_in(event: RegistryEvent) -> Iterable[TagChange]:
    """Yield the changes in an event of a tag or of all tags of a manifest."""
    deleted = event.action is EventAction.DELETE
    pushed = event.action is EventAction.PUSH and (event.tag is not None or event.media_type in MANIFESTS)
    if deleted or pushed:
        yield TagChange(event.digest, event.tag, deleted, event.subject == SYSTEM)


def _encoded(change: TagChange) -> str:
    return json.dumps([change.digest, change.tag, change.deleted, change.own])
