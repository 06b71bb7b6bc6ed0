"""The registry's events in a worker: the endpoint, and the store behind it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from aiohttp import web

from authsvc.logs import Logger
from authsvc.metrics.catalogue import REGISTRY_LAST_EVENT
from authsvc.metrics.shared_metrics import SharedMetrics, Slot
from authsvc.settings import Settings
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.tag_events import TagEventSink
from authsvc.web.events import EventsEndpoint
from authsvc.wiring import clock


@asynccontextmanager
async def events_endpoint(
    settings: Settings,
    bearer_hashes: Sequence[bytes],
    codec: Codec,
    has_room: Callable[[], bool],
    slot: Slot,
    logger: Logger,
) -> AsyncIterator[list[web.RouteDef]]:
    """Yield the routes; events have a connection of their own, so that no token request waits behind them."""
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    try:
        sink = TagEventSink(RedisActivitySink(connection, codec, has_room), connection)
        yield EventsEndpoint(sink, bearer_hashes, slot, logger, clock).routes()
    finally:
        await connection.close()


def last_event(shared_metrics: SharedMetrics) -> datetime | None:
    """Return when any worker recorded the last events; None if none of those that serve has."""
    at = max(cells[0] for cells in shared_metrics.cells(REGISTRY_LAST_EVENT, ()))
    return datetime.fromtimestamp(at, UTC) if at else None
