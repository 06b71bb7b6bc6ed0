"""Pulls are recorded beside the pulls: in batches, again after a failure, and lost in the open."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from authsvc.errors import StoreUnavailable
from authsvc.logs import make_logger
from authsvc.processes.waiting import ended
from authsvc.spec.registry_event import EventAction, RegistryEvent
from authsvc.web.proxy.recorder import ATTEMPTS, BATCH, MAX_WAITING, PullRecorder
from tests.support.builders import NOW
from tests.support.memory_events import MemoryEvents
from tests.support.waiting import PATIENCE


def event(number: int) -> RegistryEvent:
    """Return an event."""
    return RegistryEvent(str(number), NOW, EventAction.PULL, "proxy/shop/hub/x")


@asynccontextmanager
async def running(sink: MemoryEvents, log: io.StringIO, gather: float = 0) -> AsyncIterator[PullRecorder]:
    """Run a recorder that does not pause, and waits ``gather`` seconds for a batch."""
    recorder = PullRecorder(sink, make_logger("info", log), lambda: NOW, pause=0, gather=gather)
    task = asyncio.create_task(recorder.run())
    try:
        yield recorder
    finally:
        await ended(task)


async def until_recorded(sink: MemoryEvents, number: int) -> None:
    """Wait until so many events are recorded."""
    async with asyncio.timeout(PATIENCE):
        while len(sink.events) < number:
            await asyncio.sleep(0)


async def test_all_are_recorded() -> None:
    """Many at once, each once, and nothing is lost."""
    sink, log = MemoryEvents(), io.StringIO()
    sink.may_go_on.set()
    async with running(sink, log) as recorder:
        for number in range(100):
            recorder.record(event(number))
        await until_recorded(sink, 100)

    assert set(sink.events) == {str(number) for number in range(100)}
    assert log.getvalue() == ""


async def test_redis_is_away() -> None:
    """Taking an event never waits or fails; after some attempts what cannot be recorded is lost, and said."""
    sink, log = MemoryEvents(failure=StoreUnavailable("away")), io.StringIO()
    sink.may_go_on.set()
    async with running(sink, log) as recorder:
        for number in range(MAX_WAITING + 50):
            recorder.record(event(number))
        async with asyncio.timeout(PATIENCE):
            while not log.getvalue():
                await asyncio.sleep(0)
        sink.failure = None
        recorder.record(event(-1))
        async with asyncio.timeout(PATIENCE):
            while "-1" not in sink.events:
                await asyncio.sleep(0)

    lost = sum(json.loads(line)["count"] for line in log.getvalue().splitlines())
    assert lost + len(sink.events) == MAX_WAITING + 51
    assert lost >= 50
    assert ATTEMPTS > 1


async def test_the_last_ones() -> None:
    """What waits when the process ends is recorded."""
    sink = MemoryEvents()
    sink.may_go_on.set()
    recorder = PullRecorder(sink, make_logger("info", io.StringIO()), lambda: NOW)
    recorder.record(event(1))
    await recorder.finish()

    assert set(sink.events) == {"1"}


async def test_what_waits_for_its_batch_is_recorded_at_the_end() -> None:
    """Also what was taken already when the process ended."""
    sink, log = MemoryEvents(), io.StringIO()
    sink.may_go_on.set()
    async with running(sink, log, gather=PATIENCE) as recorder:
        recorder.record(event(1))
        await asyncio.sleep(0.01)
        recorder.record(event(2))
        await asyncio.sleep(0.01)
        assert not sink.events
    await recorder.finish()

    assert set(sink.events) == {"1", "2"}


async def test_a_full_batch_does_not_wait() -> None:
    """Under load nothing is held back."""
    sink, log = MemoryEvents(), io.StringIO()
    sink.may_go_on.set()
    async with running(sink, log, gather=PATIENCE) as recorder:
        for number in range(BATCH):
            recorder.record(event(number))
        async with asyncio.timeout(PATIENCE / 2):
            while len(sink.events) < BATCH:
                await asyncio.sleep(0)
