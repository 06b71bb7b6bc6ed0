"""The endpoint of the registry's webhook, ``POST /events/registry``: authenticates, reads, and has the events stored.

The registry sends one event after the other and repeats each until it is answered 2xx. So an answer of 200 means that
the events are on the disk, or that they never will be: an authenticated but unreadable notification would be repeated
for ever, and block all later events. All others are repeated: those with 401, 408, and 503 while the store is
unavailable or too many are in flight. The bearer and the events are never logged.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web

from authsvc.activity.event_sink import EventSink, RecordedEvents
from authsvc.errors import Overloaded, StoreUnavailable
from authsvc.logs import Logger
from authsvc.metrics import catalogue as metric
from authsvc.metrics.shared_metrics import Slot
from authsvc.spec.registry_error import UNAUTHORIZED, RegistryError
from authsvc.spec.registry_event import Notification, parse_notification
from authsvc.web.client import CLIENT
from authsvc.web.middleware import REQUEST_ID
from authsvc.web.shown_secret import is_known

MAX_NOTIFICATION_BYTES = 1024 * 1024
"""Longest body in bytes; that of the real registry has about a thousand."""

READ_DEADLINE, RECORD_DEADLINE = 1.5, 3.0
"""Seconds for reading a notification and for recording it: together less than the registry waits (``timeout`` in
registry.yml), so that it gets an answer."""

MAX_IN_FLIGHT = 16
"""Notifications that one worker reads and records at once; a registry process sends one at a time."""

REPORT_INTERVAL = 60.0
"""Seconds between two log lines about one kind of problem: the registry tries again every second."""

MAX_NAMED = 20
"""Unusable members that one log line names."""


class EventsEndpoint:
    """Accepts notifications from a caller with the registry's bearer."""

    def __init__(
        self, sink: EventSink, bearer_hashes: Sequence[bytes], slot: Slot, logger: Logger, clock: Callable[[], datetime]
    ) -> None:
        """Record events in ``sink``.

        Args:
            sink: stores them.
            bearer_hashes: SHA-256 of each bearer that is accepted; without any, every notification is refused.
            slot: counts the results.
            logger: the worker's.
            clock: the wall clock, read once per request.
        """
        self._sink = sink
        self._bearer_hashes = tuple(bearer_hashes)
        self._slot = slot
        self._logger = logger
        self._clock = clock
        self._in_flight = 0
        self._reported_at: dict[str, float] = {}
        self._unreported: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.post("/events/registry", self.post)]

    async def post(self, request: web.Request) -> web.Response:
        """Answer 200 when every usable event is on the disk."""
        if not is_accepted(request.headers.getall("Authorization", []), self._bearer_hashes):
            return self._unauthorized(request)
        now = self._clock()
        with self._counted_in_flight():
            notification = await self._read(request)
            if notification is None:
                return web.json_response({"unusable": 1})
            recorded = await self._record(request, notification, now)
        self._slot.inc(metric.REGISTRY_NOTIFICATIONS, metric.RECORDED)
        if notification.events:
            self._slot.set(metric.REGISTRY_LAST_EVENT, int(now.timestamp()))
        outcomes = {
            metric.ACCEPTED: recorded.accepted,
            metric.DUPLICATE: recorded.duplicate,
            metric.IGNORED: recorded.ignored,
            metric.DROPPED: recorded.dropped,
            metric.UNUSABLE: len(notification.unusable),
        }
        if recorded.dropped:
            self._report("events.dropped", request, dropped=recorded.dropped, no_room=recorded.no_room)
        for outcome, count in outcomes.items():
            self._slot.inc(metric.REGISTRY_EVENTS, outcome, by=count)
        return web.json_response(outcomes)

    @contextmanager
    def _counted_in_flight(self) -> Iterator[None]:
        """Refuse when too many are in flight already."""
        if self._in_flight >= MAX_IN_FLIGHT:
            self._slot.inc(metric.REGISTRY_NOTIFICATIONS, metric.OVERLOADED)
            raise Overloaded("too many notifications are being recorded right now; send this one again")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def _read(self, request: web.Request) -> Notification | None:
        """Return the notification; None when it is permanently unreadable."""
        try:
            async with asyncio.timeout(READ_DEADLINE):
                body = await request.clone(client_max_size=MAX_NOTIFICATION_BYTES).read()
            notification = parse_notification(body)
        except (ValueError, web.HTTPRequestEntityTooLarge) as error:
            self._slot.inc(metric.REGISTRY_NOTIFICATIONS, metric.UNUSABLE)
            self._slot.inc(metric.REGISTRY_EVENTS, metric.UNUSABLE)
            self._report("events.unreadable", request, error=type(error).__name__)
            return None
        except Exception as error:  # the body did not arrive in time, or not completely
            self._slot.inc(metric.REGISTRY_NOTIFICATIONS, metric.INCOMPLETE)
            raise web.HTTPRequestTimeout from error
        if notification.unusable:
            self._report("events.unusable", request, members=list(notification.unusable[:MAX_NAMED]))
        return notification

    async def _record(self, request: web.Request, notification: Notification, now: datetime) -> RecordedEvents:
        if not notification.events:
            return RecordedEvents()
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(RECORD_DEADLINE):
                return await self._sink.record(notification.events, now)
        except Exception as error:
            self._slot.inc(metric.REGISTRY_NOTIFICATIONS, metric.UNAVAILABLE)
            if isinstance(error, StoreUnavailable):  # the middleware logs an internal error
                self._report("events.unavailable", request, detail=error.detail)
            if isinstance(error, TimeoutError):
                self._report("events.unavailable", request, detail=f"no answer in {RECORD_DEADLINE} s")
                raise StoreUnavailable("the events could not be recorded in time; send them again") from error
            raise
        finally:
            self._slot.observe(metric.REGISTRY_NOTIFICATION_SECONDS, clock() - began)

    def _unauthorized(self, request: web.Request) -> web.Response:
        self._slot.inc(metric.REGISTRY_NOTIFICATIONS, metric.UNAUTHORIZED)
        self._report("events.refused", request, address=request[CLIENT].address)
        sentence = "this address takes the events of this installation's registry, which shows its bearer"
        error = RegistryError(UNAUTHORIZED, sentence, request[REQUEST_ID])
        challenge = {"WWW-Authenticate": 'Bearer realm="events"'}  # RFC 6750 §3
        return web.json_response(error.to_json(), status=HTTPStatus.UNAUTHORIZED, headers=challenge)

    def _report(self, event: str, request: web.Request, **facts: Any) -> None:
        """Log the first problem of a kind at once, and later ones once per interval with their number."""
        self._unreported[event] += 1
        at = asyncio.get_running_loop().time()
        if at - self._reported_at.get(event, -REPORT_INTERVAL) < REPORT_INTERVAL:
            return
        self._reported_at[event] = at
        self._logger.warning(event, request_id=request[REQUEST_ID], count=self._unreported.pop(event), **facts)


def is_accepted(headers: Sequence[str], bearer_hashes: Sequence[bytes]) -> bool:
    """Return whether ``Authorization`` headers are one bearer (RFC 6750 §2.1) with one of the SHA-256 hashes."""
    if len(headers) != 1:
        return False
    scheme, _, bearer = headers[0].partition(" ")
    return is_known(bearer, bearer_hashes) and scheme.lower() == "bearer"
