"""A worker's certificate and registration when clocks do what they like, on a real Redis."""

import asyncio
import io
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import define, field

from authsvc.errors import SignerUnavailable
from authsvc.logs import make_logger
from authsvc.manage import keys as management
from authsvc.manage.actor import Actor
from authsvc.manage.operation import Operation
from authsvc.processes.waiting import ended
from authsvc.server import certificate_renewal
from authsvc.server.certificate_renewal import CertificateRenewer
from authsvc.server.worker_pool import make_shared_metrics
from authsvc.signing.jws import Leaf
from authsvc.signing.keyring import Keyring
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.workers import RedisWorkerRegistry
from tests.support.builders import NOW, Root
from tests.support.redis_server import connected
from tests.support.waiting import PATIENCE, PAUSE, becomes

LIFE, RENEWAL = timedelta(hours=24), timedelta(hours=12)


@define
class Machine:
    """A worker and the clock on its wall.

    Attributes:
        registry: where it registers.
        wall: what the clock shows.
    """

    registry: RedisWorkerRegistry
    wall: datetime = NOW
    keyring: Keyring = field(factory=Keyring)
    root: Root = field(factory=Root.make)
    leaves: int = 0
    refusal: Exception | None = None

    async def renew(self) -> tuple[Leaf, str, dict[str, Any]]:
        """Give a leaf, as the parent on the same machine does."""
        if self.refusal is not None:
            raise self.refusal
        self.leaves += 1
        return self.root.leaf(self.wall, LIFE, serial=self.leaves), "r", {"keys": []}

    @property
    def valid(self) -> bool:
        """Whether what is signed now would be accepted by somebody with the same clock."""
        leaf = self.keyring._leaf
        return leaf is not None and leaf.certificate.not_valid_before_utc <= self.wall < leaf.not_after


@asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    """Yield a worker that keeps its leaf."""
    async with connected("--appendfsync", "no") as connection:
        worker = Machine(RedisWorkerRegistry(connection, Codec()))
        shared, logger = make_shared_metrics(1), make_logger("info", io.StringIO())
        renewer = CertificateRenewer(
            worker, worker.keyring, lambda _: None, shared.slot(1), logger, lambda: worker.wall
        )
        renewing = asyncio.create_task(renewer.run(worker.registry, RENEWAL))
        await asyncio.wait_for(renewer.has_leaf.wait(), PATIENCE)
        yield worker
        await ended(renewing)
        os.close(shared.descriptor)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificate_renewal, "LOOK", 0.02)
    monkeypatch.setattr(certificate_renewal, "HEARTBEAT_INTERVAL", timedelta(seconds=0.1))


async def test_a_worker_without_a_root_key_asks_until_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It signs nothing and says why, and signs as soon as there is one."""
    monkeypatch.setattr(certificate_renewal, "RETRY", 0.05)
    async with connected("--appendfsync", "no") as connection:
        worker, log, shared = Machine(RedisWorkerRegistry(connection, Codec())), io.StringIO(), make_shared_metrics(1)
        worker.refusal = SignerUnavailable("the root key is missing")
        renewer = CertificateRenewer(
            worker, worker.keyring, lambda _: None, shared.slot(1), make_logger("info", log), lambda: worker.wall
        )
        renewing = asyncio.create_task(renewer.run(worker.registry, RENEWAL))
        await asyncio.wait_for(renewer.has_tried.wait(), PATIENCE)
        before = (renewer.has_leaf.is_set(), worker.keyring.ready(worker.wall), await worker.registry.list())
        worker.refusal = None
        await asyncio.wait_for(renewer.has_leaf.wait(), PATIENCE)
        await ended(renewing)
        os.close(shared.descriptor)

    assert (False, False, []) == before
    assert worker.valid
    assert "the root key is missing" in log.getvalue()


@pytest.mark.parametrize("passed", [timedelta(hours=25), -timedelta(hours=1)], ids=["asleep", "set back"])
async def test_a_leaf_fits_the_clock_on_the_wall(passed: timedelta) -> None:
    """A machine that slept, which the monotonic clock does not notice, or whose clock was set, gets one new leaf."""
    async with machine() as worker:
        await asyncio.sleep(0.2)
        worker.wall += passed
        assert not worker.valid
        await becomes(lambda: worker.valid, "the worker has a leaf that fits")
        await asyncio.sleep(0.2)

    assert 2 == worker.leaves


async def test_a_worker_whose_clock_is_set_back_stays_on_the_list() -> None:
    """It goes on saying that it is there: a rotation must reach it or name it."""
    async with machine() as worker:
        await asyncio.sleep(0.2)
        worker.wall -= timedelta(minutes=3)
        async with asyncio.timeout(PATIENCE):
            while [worker.wall] != [one.seen_at for one in await worker.registry.list()]:
                await asyncio.sleep(PAUSE)


async def test_whoever_asks_need_not_have_the_same_clock() -> None:
    """Redis knows who was heard of lately; a worker whose clock is behind or ahead is on the list, and leaves it."""
    async with connected("--appendfsync", "no") as connection:
        registry = RedisWorkerRegistry(connection, Codec())
        worker = Machine(registry, wall=NOW - timedelta(days=1))
        shared, logger = make_shared_metrics(1), make_logger("info", io.StringIO())
        renewer = CertificateRenewer(
            worker, worker.keyring, lambda _: None, shared.slot(1), logger, lambda: worker.wall
        )
        await renewer._renew(0)
        await renewer._heartbeat(registry)
        there = [one.id for one in await registry.list()]
        await connection.redis.delete(keys.worker(renewer.id))
        gone = await registry.list()
        os.close(shared.descriptor)

    assert ([renewer.id], []) == (there, gone)


class Files:
    """A secrets directory with one root and no license key."""

    def roots(self) -> list[management.Root]:
        """Return the root."""
        return [management.Root("r", NOW + LIFE, "in use")]

    async def license_keys(self) -> list[str]:
        """Return none."""
        return []


async def not_asked() -> bool | None:
    """Ask no registry."""
    return None


async def test_two_who_rotate_at_once_both_reach_everybody() -> None:
    """A worker that follows the second call has followed the first one."""
    async with connected("--appendfsync", "no") as connection:
        registry = RedisWorkerRegistry(connection, Codec())
        worker = Machine(registry)
        shared, logger = make_shared_metrics(1), make_logger("info", io.StringIO())
        renewer = CertificateRenewer(
            worker, worker.keyring, lambda _: None, shared.slot(1), logger, lambda: worker.wall
        )
        await renewer._renew(0)
        await renewer._heartbeat(registry)
        rotating = []
        for number in (1, 2):
            files: Any = Files()
            manage = management.Keys(files, registry, not_asked, LIFE, lambda: datetime.now(UTC))
            rotating.append(
                asyncio.create_task(
                    manage.rotate(Operation(Actor.operator(), NOW, secrets.token_hex(8), secrets.token_bytes))
                )
            )
            async with asyncio.timeout(PATIENCE):
                while await registry.generation() < number:
                    await asyncio.sleep(PAUSE)
        renewing = asyncio.create_task(renewer.run(registry, RENEWAL))
        done = await asyncio.wait_for(asyncio.gather(*rotating), PATIENCE)
        await ended(renewing)
        os.close(shared.descriptor)

    assert [True, True] == [rotation.complete for rotation in done]
