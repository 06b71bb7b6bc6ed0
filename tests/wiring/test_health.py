"""What a worker says of Redis, and what it measures, with a Redis that forbids some questions."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp.test_utils import make_mocked_request

from authsvc.disk_room import DiskWatch
from authsvc.logs import make_logger
from authsvc.metrics.catalogue import CLOCK_SKEW, NGINX, PART_UP, REDIS, SlotLayout
from authsvc.metrics.exposition import exposition
from authsvc.metrics.shared_metrics import SharedMetrics
from authsvc.settings import load
from authsvc.signing.keyring import Keyring
from authsvc.store.connection import Connection
from authsvc.store.memory_room import MemoryWatch
from authsvc.tls.watch import CertificateWatch
from authsvc.wiring import clock
from authsvc.wiring.health import DOWN, UP, HealthReport
from authsvc.wiring.room import RoomWatches
from tests.support.ports import free_port
from tests.support.real_registry import INSTALLED, running
from tests.support.redis_server import connected
from tests.support.relay import Relay, Stream, pump
from tests.support.waiting import PATIENCE


class CountedConnections(Relay):
    """Forwards from one unix socket to another, and counts; each look has a connection of its own.

    Attributes:
        count: of the connections so far.
    """

    def __init__(self, here: Path, there: Path) -> None:
        super().__init__()
        self.count = 0
        self._here, self._there = here, there

    async def listen(self) -> asyncio.Server:
        """Listen on the socket in front."""
        return await asyncio.start_unix_server(self.connected, self._here)

    async def connect(self) -> Stream:
        """Connect to the server behind."""
        self.count += 1
        return await asyncio.open_unix_connection(self._there)

    async def forward(self, client: Stream, server: Stream) -> None:
        """Forward both directions."""
        await asyncio.gather(pump(client[0], server[1], 65536), pump(server[0], client[1], 65536))


def report(connection: Connection, log: io.StringIO, **settings: str) -> HealthReport:
    """Return the report of a worker with this Redis and no other part, unless a setting names one."""
    loaded = load({"AUTHSVC_REDIS_URL": "redis://localhost:1", "AUTHSVC_SECRETS_DIR": "/nowhere", **settings})
    watches = RoomWatches(DiskWatch((), 1), DiskWatch((), 1), MemoryWatch(connection))
    shared = SharedMetrics.make(1, SlotLayout())
    certificate = CertificateWatch(None, clock)
    return HealthReport(loaded, None, Keyring(), connection, certificate, watches, shared, make_logger("info", log))


async def measured(one: HealthReport) -> str:
    """Have it measure once; return the metrics then."""
    slot = one.shared_metrics.slot(0)
    measuring = asyncio.create_task(one.keep_measuring(slot))
    async with asyncio.timeout(PATIENCE):
        while not one.shared_metrics.value(PART_UP, REDIS):
            assert not measuring.done()
            await asyncio.sleep(0.01)
    measuring.cancel()
    await asyncio.gather(measuring, return_exceptions=True)
    return exposition(one.shared_metrics, 0).decode()


async def test_a_redis_that_forbids_time_is_up() -> None:
    """A managed one may; its clock is not known then."""
    async with connected() as connection:
        await connection.redis.acl_setuser("default", enabled=True, nopass=True, commands=["-time"])
        one = report(connection, io.StringIO())
        text = await measured(one)
        clocks: Any = await one._clocks()
    assert one.shared_metrics.value(PART_UP, REDIS) == UP
    assert 'authsvc_part_up{part="redis"} 1.0' in text
    assert clocks["redis_ahead_seconds"] is None


async def test_a_part_that_nobody_looks_at_has_no_series() -> None:
    """An alert on 0 is for parts that there are; one that does not answer has 0."""
    async with connected() as connection:
        text = await measured(report(connection, io.StringIO(), AUTHSVC_NGINX_URL=f"http://127.0.0.1:{free_port()}"))
    assert 'authsvc_part_up{part="nginx"} 0.0' in text
    assert 'part="registry"} ' not in "".join(line for line in text.splitlines() if "part_up" in line)


async def test_measuring_goes_on_after_a_fault(monkeypatch: Any, tmp_path: Path) -> None:
    """It is in the log, and the next measurement counts."""
    log, calls = io.StringIO(), list[int]()
    monkeypatch.setattr("authsvc.wiring.health.MEASURE_EVERY", 0.01)
    async with connected() as connection:
        one = report(connection, log)
        measure = one._measure

        async def first_fails(self: HealthReport) -> Any:
            calls.append(1)
            if len(calls) == 1:
                raise LookupError(str(tmp_path))
            return await measure()

        monkeypatch.setattr(HealthReport, "_measure", first_fails)
        await measured(one)
    assert one.shared_metrics.value(PART_UP, REDIS) == UP
    assert "health.failed" in log.getvalue()
    assert one.shared_metrics.value(PART_UP, NGINX) not in {UP, DOWN}
    assert one.shared_metrics.value(CLOCK_SKEW, REDIS) == 0


async def test_an_answer_looks_at_the_registry_once(folder: Path) -> None:
    """For its state and its clock; the next answer looks again, and sees that it is gone."""
    answers = list[Any]()
    async with connected() as connection:
        here = folder / "front.sock"
        one = report(connection, io.StringIO(), AUTHSVC_REGISTRY_URL=f"unix://{quote(str(here))}")
        with running(INSTALLED) as registry, CountedConnections(here, registry.folder / "r.sock") as front:
            for _ in range(2):
                answers.append(await one.readiness().readyz(make_mocked_request("GET", "/readyz")))
            count = front.count
        answers.append(await one.readiness().readyz(make_mocked_request("GET", "/readyz")))
    said = [json.loads(answer.text or "") for answer in answers]
    assert [facts["registry"] for facts in said] == ["up", "up", "down"]
    assert [facts["clocks"]["registry_ahead_seconds"] for facts in said] == [0, 0, None]
    assert count == 2
