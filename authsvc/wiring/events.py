"""The registry's events in a worker: the endpoint, and the store behind it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from authsvc.logs import Logger
from authsvc.metrics.shared_metrics import Slot
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
    """Yield the routes; events have a separate connection, so that token requests do not wait for them."""
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    try:
        sink = TagEventSink(RedisActivitySink(connection, codec, has_room), connection)
        yield EventsEndpoint(sink, bearer_hashes, slot, logger, clock).routes()
    finally:
        await connection.close()
