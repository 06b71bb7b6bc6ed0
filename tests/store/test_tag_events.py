"""What a deletion reads of the registry's reports, on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest
from attrs import define, field

from authsvc.activity.event_sink import RecordedEvents
from authsvc.errors import StoreUnavailable
from authsvc.images.tag_changes import TagChange
from authsvc.spec.registry_event import EventAction, RegistryEvent
from authsvc.store import tag_events
from authsvc.store.connection import Connection
from authsvc.store.repository_lock import RepositoryLocks
from authsvc.store.tag_events import RedisTagEvents, TagEventSink
from tests.support.redis_server import connected

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DIGEST = "sha256:" + "a" * 64
REPOSITORY = "acme/x"


@define
class Recorded:
    """Records events in memory.

    Attributes:
        events: that were recorded.
        away: whether it does not answer.
    """

    events: list[RegistryEvent] = field(factory=list)
    away: bool = False

    async def record(self, events: Sequence[RegistryEvent], now: datetime) -> RecordedEvents:
        """Record them."""
        assert now == NOW
        if self.away:
            raise StoreUnavailable("away")
        self.events += events
        return RecordedEvents(accepted=len(events))


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected() as opened:
        yield opened


def push(tag: str | None, subject: str = "member:m1", repository: str = REPOSITORY) -> RegistryEvent:
    """Return a push of a manifest."""
    return RegistryEvent("e1", NOW, EventAction.PUSH, repository, MANIFEST, DIGEST, tag=tag, subject=subject)


async def changes(events: RedisTagEvents, position: str) -> tuple[TagChange, ...]:
    """Return what was reported since."""
    found = await events.since(REPOSITORY, position, lambda _: True)
    assert found is not None
    return found


async def test_changes_of_a_locked_repository(connection: Connection) -> None:
    """While a repository is locked, pushes and deletions of it are stored in order; what is no change of it is not."""
    sink, events = TagEventSink(Recorded(), connection), RedisTagEvents(connection)
    await sink.record([push("before")], NOW)
    async with RepositoryLocks(connection).locked(REPOSITORY, "h1"):
        position = await events.position(REPOSITORY)
        await sink.record([push("1.0"), push(None), push("other", repository="acme/y")], NOW)
        blob = RegistryEvent("e2", NOW, EventAction.PUSH, REPOSITORY, "application/octet-stream", DIGEST)
        pull = RegistryEvent("e3", NOW, EventAction.PULL, REPOSITORY, MANIFEST, DIGEST, tag="1.0")
        gone = RegistryEvent("e4", NOW, EventAction.DELETE, REPOSITORY, tag="1.0", subject="system:authsvc")
        await sink.record([blob, pull, gone], NOW)

        assert await changes(events, position) == (
            TagChange(DIGEST, "1.0", deleted=False, own=False),
            TagChange(DIGEST, None, deleted=False, own=False),
            TagChange(None, "1.0", deleted=True, own=True),
        )
        later = await events.position(REPOSITORY)
        await sink.record([push("2.0")], NOW)
        assert [change.tag for change in await changes(events, later)] == ["2.0"]


async def test_waiting_for_a_report(connection: Connection) -> None:
    """A report is waited for, and not for ever."""
    sink, events = TagEventSink(Recorded(), connection), RedisTagEvents(connection)
    async with RepositoryLocks(connection).locked(REPOSITORY, "h1"):
        position = await events.position(REPOSITORY)
        waiting = asyncio.create_task(events.since(REPOSITORY, position, lambda found: len(found) == 2))
        await sink.record([push("1.0")], NOW)
        await sink.record([push("2.0")], NOW)
        found = await waiting
        assert found is not None
        assert [change.tag for change in found] == ["1.0", "2.0"]
        silent = RedisTagEvents(connection, patience=0.0)
        assert await silent.since(REPOSITORY, position, lambda found: len(found) == 3) is None


async def test_more_reports_than_are_stored(connection: Connection) -> None:
    """Then the first ones may be gone, so what is there is not complete, whatever it says."""
    sink, events = TagEventSink(Recorded(), connection), RedisTagEvents(connection)
    async with RepositoryLocks(connection).locked(REPOSITORY, "h1"):
        await sink.record([push("before")], NOW)
        position = await events.position(REPOSITORY)
        await sink.record([push(f"{number}") for number in range(tag_events.MAX_CHANGES - 1)], NOW)
        assert len(await changes(events, position)) == tag_events.MAX_CHANGES - 1
        await sink.record([push("last")], NOW)
        assert await events.since(REPOSITORY, position, lambda _: True) is None


async def test_an_unrecorded_event_is_sent_again(connection: Connection) -> None:
    """What the sink behind it does not record is refused as a whole."""
    with pytest.raises(StoreUnavailable):
        await TagEventSink(Recorded(away=True), connection).record([push("1.0")], NOW)
