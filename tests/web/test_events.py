"""The endpoint of the registry's webhook: who may use it, what it answers, and that it neither loses nor leaks."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any

import pytest
from aiohttp import ClientSession
from attrs import frozen
from multidict import CIMultiDict
from typing_extensions import override

from authsvc.activity.event_sink import RecordedEvents
from authsvc.errors import StoreUnavailable
from authsvc.logs import make_logger
from authsvc.metrics.catalogue import REGISTRY_EVENTS, REGISTRY_LAST_EVENT, REGISTRY_NOTIFICATIONS
from authsvc.metrics.shared_metrics import SharedMetrics
from authsvc.server.worker_pool import make_shared_metrics
from authsvc.spec.registry_event import RegistryEvent
from authsvc.web import events as events_module
from authsvc.web.client import ClientReader
from authsvc.web.events import MAX_IN_FLIGHT, MAX_NOTIFICATION_BYTES, EventsEndpoint, is_accepted
from authsvc.web.listener import MAX_BODY_BYTES, Listener, make_web_app
from authsvc.web.middleware import around
from tests.support.builders import NOW
from tests.support.memory_events import MemoryEvents
from tests.support.registry_events import EVENT, changed, notification
from tests.support.waiting import becomes

BEARER, OLD_BEARER = "5e" * 32, "0d" * 32
HASHES = tuple(sha256(bearer.encode()).digest() for bearer in (BEARER, OLD_BEARER))
SIGNED_IN = {"Authorization": f"Bearer {BEARER}"}


@frozen
class Endpoint:
    """A listener with the endpoint.

    Attributes:
        address: host and port.
        served: what answers there.
        sink: what it records in.
        log: what it writes.
        shared: what it counts.
    """

    address: tuple[str, int]
    served: EventsEndpoint
    sink: MemoryEvents
    log: io.StringIO
    shared: SharedMetrics

    async def ask(self, data: bytes, headers: Mapping[str, str] = SIGNED_IN) -> tuple[int, Any, Mapping[str, str]]:
        """Return status, body and headers of the answer to one notification."""
        async with ClientSession() as session, session.post(self.url, data=io.BytesIO(data), headers=headers) as reply:
            return reply.status, await reply.json(), reply.headers

    @property
    def url(self) -> str:
        """Where it is."""
        host, port = self.address
        return f"http://{host}:{port}/events/registry"

    @property
    def counted(self) -> dict[str, int]:
        """Every count of notifications and events that is not 0."""
        return {
            labels[0] if metric is REGISTRY_NOTIFICATIONS else f"{labels[0]} events": count
            for metric in (REGISTRY_NOTIFICATIONS, REGISTRY_EVENTS)
            for labels in metric.series
            if (count := sum(cells[0] for cells in self.shared.cells(metric, labels)))
        }

    @property
    def logged(self) -> list[dict[str, Any]]:
        """The events of the log."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@asynccontextmanager
async def running(sink: MemoryEvents) -> AsyncIterator[Endpoint]:
    """Serve the endpoint over a sink."""
    log, shared = io.StringIO(), make_shared_metrics(1)
    logger = make_logger("debug", log)
    served = EventsEndpoint(sink, HASHES, shared.slot(1), logger, lambda: NOW)
    listener = Listener(make_web_app(served.routes(), around(logger, "s", lambda: "0" * 16, ClientReader(), ())))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        await listener.start(bound)
        yield Endpoint(bound.getsockname(), served, sink, log, shared)
        sink.may_go_on.set()
        await listener.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """Return a running endpoint over a sink in memory."""
    async with running(MemoryEvents()) as made:
        yield made


async def test_events_are_recorded_before_the_answer(endpoint: Endpoint) -> None:
    """The answer says what became of each; metrics and the time of the last event follow, and the log is silent."""
    status, said, _ = await endpoint.ask(
        notification(EVENT, changed(id="b"), EVENT, changed("actor", name="system:authsvc"), {})
    )

    assert (status, said) == (200, {"accepted": 2, "duplicate": 1, "ignored": 1, "dropped": 0, "unusable": 1})
    assert list(endpoint.sink.events) == [EVENT["id"], "b"]
    expected = {"accepted events": 2, "duplicate events": 1, "ignored events": 1, "unusable events": 1}
    assert endpoint.counted == {"recorded": 1, **expected}
    assert [cells[0] for cells in endpoint.shared.cells(REGISTRY_LAST_EVENT, ())] == [0, int(NOW.timestamp()), 0]


async def answers_early(endpoint: Endpoint) -> bool:
    """Whether a notification is answered 200 while the store is still writing, or has failed to."""
    endpoint.sink.may_go_on.clear()
    asking = asyncio.ensure_future(endpoint.ask(notification(EVENT)))
    await asyncio.wait({asking, asyncio.ensure_future(endpoint.sink.asked.wait())}, return_when=asyncio.FIRST_COMPLETED)
    endpoint.sink.failure = StoreUnavailable("down")
    early = asking.done()
    endpoint.sink.may_go_on.set()
    return (await asking)[0] == 200 or early


async def test_the_answer_waits_for_the_store(endpoint: Endpoint) -> None:
    """No answer while it is not known that the events are recorded."""
    assert not await answers_early(endpoint)


async def test_an_early_answer_is_noticed() -> None:
    """An endpoint that queues events in memory and answers at once, which loses them with the process, is found."""
    tasks = set[asyncio.Task[RecordedEvents]]()

    class Queues(MemoryEvents):
        @override
        async def record(self, events: Sequence[RegistryEvent], now: datetime) -> RecordedEvents:
            tasks.add(asyncio.create_task(super().record(events, now)))
            return RecordedEvents(len(events))

    async with running(Queues()) as endpoint:
        assert await answers_early(endpoint)
        await asyncio.gather(*tasks, return_exceptions=True)


STRANGERS: tuple[list[str], ...] = (
    [],
    [""],
    ["Bearer"],
    ["Bearer "],
    [f"Bearer {BEARER[:-1]}"],
    [f"Bearer {BEARER}0"],
    [f"Bearer {BEARER.upper()}"],
    [f"Bearer  {BEARER}"],
    [f"Bearer {sha256(BEARER.encode()).hexdigest()}"],
    [f"Basic {BEARER}"],
    [BEARER],
    ["Bearer caf\u00e9"],
    [f"Bearer {'0' * 64}", f"Bearer {BEARER}"],
)
"""``Authorization`` headers of callers without the bearer, or in another form; a worker knows its SHA-256 only."""


@pytest.mark.parametrize("headers", STRANGERS)
async def test_others_are_refused(endpoint: Endpoint, headers: list[str]) -> None:
    """Nothing is read of a caller without the bearer."""
    given = CIMultiDict([("Authorization", header) for header in headers])
    status, said, answered = await endpoint.ask(notification(EVENT), given)

    assert status == 401
    assert said["errors"][0]["code"] == "UNAUTHORIZED"
    assert answered["WWW-Authenticate"].startswith("Bearer ")
    assert endpoint.sink.events == {}
    assert endpoint.counted == {"unauthorized": 1}


Check = Callable[[Sequence[str], Sequence[bytes]], bool]


def broken(check: Check) -> bool:
    """Whether a check lets a stranger in, also where there is no bearer at all, or keeps the registry out."""
    let_in = any(check(headers, HASHES) for headers in STRANGERS)
    without = any(check(headers, ()) for headers in (*STRANGERS, [f"Bearer {BEARER}"]))
    return let_in or without or not all(check([f"Bearer {bearer}"], HASHES) for bearer in (BEARER, OLD_BEARER))


def hashed(bearer: str) -> bytes:
    """Return what a worker knows of a bearer."""
    return sha256(bearer.encode()).digest()


BROKEN_CHECKS: dict[str, Check] = {
    "any caller": lambda _, __: True,
    "any caller without a bearer in the secrets": lambda given, known: not known or is_accepted(given, known),
    "the newest bearer alone": lambda given, known: is_accepted(given, known[:1]),
    "the last of several": lambda given, known: is_accepted(given[-1:], known),
    "any scheme": lambda given, known: any(hashed(one.split()[-1]) in known for one in given if one.split()),
    "any case": lambda given, known: any(hashed(one.removeprefix("Bearer ").lower()) in known for one in given),
    "the hash": lambda given, known: (
        is_accepted(given, known) or any(one[7:] in map(bytes.hex, known) for one in given)
    ),
    "a beginning": lambda given, known: any(
        hashed(one[7 : 7 + length]) in known for one in given for length in range(63, 66)
    ),
}


@pytest.mark.parametrize("name", [*BROKEN_CHECKS])
def test_broken_checks_are_noticed(name: str) -> None:
    """What is asked of the check distinguishes it from each of these."""
    assert broken(BROKEN_CHECKS[name])


def test_the_check_is_not_broken() -> None:
    """Strangers stay out, and both bearers of a rotation get in."""
    assert not broken(is_accepted)


async def test_the_bearer_before_the_newest(endpoint: Endpoint) -> None:
    """While the bearer is replaced, the one before is accepted too; the scheme's case does not matter."""
    assert (await endpoint.ask(notification(EVENT), {"Authorization": f"bearer {OLD_BEARER}"}))[0] == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods(endpoint: Endpoint, method: str) -> None:
    """Events come by POST only."""
    async with ClientSession() as session, session.request(method, endpoint.url, headers=SIGNED_IN) as reply:
        assert reply.status == 405


@pytest.mark.parametrize(
    "data",
    [b"", b"nonsense", b"[]", b"\x1f\x8b\x08\x00", b"[" * 100_000, b"{" + b" " * MAX_NOTIFICATION_BYTES],
    ids=["empty", "text", "list", "compressed", "nested", "too long"],
)
async def test_what_cannot_be_read_is_not_sent_again(endpoint: Endpoint, data: bytes) -> None:
    """It would fail every time, and every later event would wait behind it: 200, counted and logged."""
    status, said, _ = await endpoint.ask(data)

    assert (status, said) == (200, {"unusable": 1})
    assert endpoint.counted == {"unusable": 1, "unusable events": 1}
    assert [line["event"] for line in endpoint.logged] == ["events.unreadable"]


async def test_a_long_notification(endpoint: Endpoint) -> None:
    """The limit is not that of other requests."""
    events = [changed("request", useragent="x" * 500, id=f"r{number}") | {"id": f"e{number}"} for number in range(200)]
    data = notification(*events)
    assert MAX_BODY_BYTES < len(data) < MAX_NOTIFICATION_BYTES

    assert (await endpoint.ask(data))[1]["accepted"] == 200


@pytest.mark.parametrize("failure", [StoreUnavailable("down"), StoreUnavailable("?", uncertain=True)])
async def test_a_store_that_is_down(endpoint: Endpoint, failure: Exception) -> None:
    """503: the registry sends the event again, and then it is recorded."""
    endpoint.sink.failure = failure
    status, _, headers = await endpoint.ask(notification(EVENT))

    assert (status, headers["Retry-After"].isdecimal()) == (503, True)
    assert endpoint.counted == {"unavailable": 1}
    assert [line["event"] for line in endpoint.logged] == ["events.unavailable"]

    endpoint.sink.failure = None
    assert (await endpoint.ask(notification(EVENT)))[1]["accepted"] == 1


async def test_an_internal_error_loses_nothing(endpoint: Endpoint) -> None:
    """Any exception is an answer after which the registry tries again."""
    endpoint.sink.failure = RuntimeError("bug")
    assert (await endpoint.ask(notification(EVENT)))[0] == 500
    assert endpoint.counted == {"unavailable": 1}


async def test_a_store_that_is_slow(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry gets an answer before it gives up, and the caller's place is free again."""
    monkeypatch.setattr(events_module, "RECORD_DEADLINE", 0.05)
    endpoint.sink.may_go_on.clear()

    for _ in range(MAX_IN_FLIGHT + 1):
        assert (await endpoint.ask(notification(EVENT)))[0] == 503
    assert endpoint.counted == {"unavailable": MAX_IN_FLIGHT + 1}


async def test_too_many_at_once(endpoint: Endpoint) -> None:
    """A bounded number waits for the store; the next one is sent again later, and none is lost."""
    endpoint.sink.may_go_on.clear()
    many = [asyncio.ensure_future(endpoint.ask(notification(changed(id=f"e{n}")))) for n in range(MAX_IN_FLIGHT)]
    await becomes(lambda: endpoint.sink.waiting == MAX_IN_FLIGHT, "all places are taken")
    status, _, headers = await endpoint.ask(notification(EVENT))

    assert (status, headers["Retry-After"].isdecimal()) == (503, True)
    assert endpoint.counted == {"overloaded": 1}

    endpoint.sink.may_go_on.set()
    assert [(await one)[0] for one in many] == [200] * MAX_IN_FLIGHT
    assert (await endpoint.ask(notification(EVENT)))[0] == 200


@pytest.mark.parametrize(
    "sent",
    [b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("end", ["waits", "hangs up", "breaks off"])
async def test_a_body_that_does_not_come(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, sent: bytes, end: str
) -> None:
    """The whole body must come in time; nothing is recorded, nothing is called a fault, and it may be sent again."""
    monkeypatch.setattr(events_module, "READ_DEADLINE", 0.2 if end == "waits" else 20.0)
    reader, writer = await asyncio.open_connection(*endpoint.address)
    writer.write(f"POST /events/registry HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer {BEARER}\r\n".encode() + sent)
    await becomes(lambda: endpoint.served._in_flight or endpoint.counted, "the request is read")
    if end == "waits":
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    elif end == "breaks off":
        writer.write(b"zz\r\n")
        writer.write_eof()
    writer.close()

    await becomes(lambda: endpoint.counted, "the request has ended")
    assert endpoint.counted in ({"incomplete": 1}, {"unusable": 1, "unusable events": 1})
    assert "request.failed" not in endpoint.log.getvalue()


@pytest.mark.parametrize(
    ("make", "event"),
    [
        (lambda: (b"nonsense", SIGNED_IN), "events.unreadable"),
        (lambda: (notification({"id": "secret of a customer"}), SIGNED_IN), "events.unusable"),
        (lambda: (notification(EVENT), {"Authorization": f"Bearer {OLD_BEARER}x"}), "events.refused"),
    ],
)
async def test_trouble_is_logged_once_in_a_while(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, make: Callable[[], tuple[bytes, dict[str, str]]], event: str
) -> None:
    """A registry that tries every second does not fill the log; a later line says how many there were."""
    for _ in range(5):
        await endpoint.ask(*make())
    assert [(line["event"], line["count"]) for line in endpoint.logged] == [(event, 1)]

    monkeypatch.setattr(events_module, "REPORT_INTERVAL", 0.0)
    await endpoint.ask(*make())
    assert [(line["event"], line["count"]) for line in endpoint.logged] == [(event, 1), (event, 5)]


async def test_nothing_of_a_request_is_logged(endpoint: Endpoint) -> None:
    """Neither the bearer, right or wrong, nor what an event says; members are named."""
    wrong = OLD_BEARER[:-4] + "ffff"
    await endpoint.ask(b"customer", SIGNED_IN)
    await endpoint.ask(notification(changed("target", repository="Customer")))
    await endpoint.ask(notification(changed("actor", name="customer")), {"Authorization": f"Bearer {wrong}"})
    endpoint.sink.failure = RuntimeError("bug")
    await endpoint.ask(notification(changed("actor", name="customer")))

    text = endpoint.log.getvalue()
    assert "target.repository" in text
    assert not [word for word in (BEARER, OLD_BEARER, wrong[:16], "ustomer") if word in text]
