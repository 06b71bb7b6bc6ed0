"""The health of a worker and its dependencies: for ``/readyz``, and measured continually for the metrics."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import field, frozen

from authsvc.clock_skew import certain_skew
from authsvc.disk_room import HANGS_AFTER, DiskWatch, Room
from authsvc.errors import AuthsvcError, StoreRefused, StoreUnavailable
from authsvc.in_flight import InFlight
from authsvc.keys.client import KeyServiceClient
from authsvc.logs import Logger
from authsvc.metrics import catalogue
from authsvc.metrics.catalogue import CLOCK_SKEW, KEY_SERVICE, NGINX, PART_UP, REDIS, REGISTRY, UPSTREAMS_FAILING
from authsvc.metrics.shared_metrics import SharedMetrics, Slot
from authsvc.registries.ours import look_at_nginx, look_at_registry
from authsvc.settings import Settings
from authsvc.signing.keyring import Keyring
from authsvc.store.connection import Connection
from authsvc.store.health import RedisHealth
from authsvc.tls.watch import CertificateWatch
from authsvc.web.ops import Readiness
from authsvc.wiring import clock
from authsvc.wiring.room import RoomWatches

KEYS_PROBE = 1.0
"""Seconds in which the key service must answer to be shown as up."""

MEASURE_EVERY = 10.0
"""Seconds between two measurements."""

FAILING_FOR = timedelta(days=1)
"""A linked registry without a request for this long no longer counts as failing."""

MICROSECONDS = 1_000_000

DOWN, UP = 1, 2
"""Values of a metric; 0 stands for a part that is not watched."""

UNCLEAR = (
    "private, so they may be those of a proxy in front: name it in AUTHSVC_TRUSTED_PROXIES, or set "
    "AUTHSVC_PRIVATE_CLIENTS=on if clients have private addresses (docs/throttle.md)"
)


@frozen
class ProbeResults:
    """The result of one measurement.

    Attributes:
        up: for each part whether it answers; without parts that are not watched.
        clocks: for each part by how many seconds, at least, its clock is ahead of ours; negative when it is behind,
            None when unknown.
        failing_upstreams: number of linked registries whose last request failed; None when unknown.
    """

    up: Mapping[str, bool]
    clocks: Mapping[str, float | None]
    failing_upstreams: int | None


@frozen(eq=False, repr=False)
class HealthReport:
    """Reports the health of a worker and of its dependencies.

    Attributes:
        settings: of the server.
        keys: client of the key service; None when there is none.
        keyring: the signing certificate.
        connection: to Redis.
        certificate: that clients see.
        watches: of the disk space and memory of Redis and the images.
        shared_metrics: of all workers of the server.
        logger: the worker's.
    """

    settings: Settings
    keys: KeyServiceClient | None
    keyring: Keyring
    connection: Connection
    certificate: CertificateWatch
    watches: RoomWatches
    shared_metrics: SharedMetrics
    logger: Logger
    _looks: InFlight[str, tuple[str, float | None]] = field(factory=InFlight, init=False)

    def readiness(self) -> Readiness:
        """Return the function that answers ``/readyz``."""
        parts = {
            "workers": self._workers,
            "store_disk": self._store_disk,
            "store_memory": self._store_memory,
            "registry": self._registry,
            "registry_disk": self._registry_disk,
            "nginx": self._nginx,
            "keys": self._keys,
            "tls_certificate": self._tls_certificate,
            "leaf_renewal": self._leaf_renewal,
            "token_root": self._token_root,
            "clocks": self._clocks,
            "audit": self._audit,
            "log": self._log,
            "events": self._events,
            "images": self._images,
            "upstreams": self._upstreams,
            "webhooks": self._webhooks,
            "client_addresses": self._client_addresses,
        }
        return Readiness(RedisHealth(self.connection), self.keyring, parts, clock, self._note_fault)

    def _note_fault(self, error: Exception) -> None:
        self.logger.error("health.failed", exc_info=error)

    async def keep_measuring(self, slot: Slot) -> None:
        """Measure every few seconds, for the metrics, until cancelled."""
        while True:
            try:
                self._count(await self._measure(), slot)
            except Exception as error:  # noqa: BLE001  the next measurement may succeed
                self._note_fault(error)
            await asyncio.sleep(MEASURE_EVERY)

    def _count(self, measured: ProbeResults, slot: Slot) -> None:
        for part, is_up in measured.up.items():
            slot.set(PART_UP, UP if is_up else DOWN, part)
        for part, difference in measured.clocks.items():
            slot.set(CLOCK_SKEW, round(abs(difference or 0) * MICROSECONDS), part)
        slot.set(UPSTREAMS_FAILING, measured.failing_upstreams or 0)

    async def _measure(self) -> ProbeResults:
        (registry, registry_ahead), nginx, keys, (redis, redis_ahead), upstreams = await asyncio.gather(
            self._look_at_registry(), self._nginx(), self._keys(), self._look_at_redis(), self._upstreams()
        )
        states = {REDIS: redis, REGISTRY: registry, NGINX: nginx, KEY_SERVICE: keys}
        up = {part: state == "up" for part, state in states.items() if state in {"up", "down"}}
        return ProbeResults(
            up,
            {REDIS: redis_ahead, REGISTRY: registry_ahead},
            upstreams["failing"],
        )

    async def _workers(self) -> Mapping[str, Any]:
        value = self.shared_metrics.value
        return {
            "serving": value(catalogue.WORKERS),
            "wanted": value(catalogue.WORKERS_WANTED),
            "tracking": value(catalogue.WORKERS_TRACKING),
        }

    async def _store_disk(self) -> Mapping[str, Any]:
        return _disk(self.watches.store_disk)

    async def _registry_disk(self) -> Mapping[str, Any]:
        return _disk(self.watches.registry_disk)

    async def _store_memory(self) -> Mapping[str, Any]:
        return self.watches.memory.facts()

    async def _registry(self) -> str:
        return (await self._look_at_registry())[0]

    async def _nginx(self) -> str:
        return (await look_at_nginx(self.settings.nginx_url)).state

    async def _keys(self) -> str:
        return await keys_state(self.keys)

    async def _tls_certificate(self) -> Mapping[str, Any]:
        return self.certificate.facts()

    async def _leaf_renewal(self) -> str:
        return "by the server" if self.settings.leaf_files is None else "by a person"

    async def _token_root(self) -> Mapping[str, Any]:
        return {"not_after": _instant(self.shared_metrics.value(catalogue.TOKEN_ROOT_EXPIRY))}

    async def _clocks(self) -> Mapping[str, Any]:
        (_, redis), (_, registry) = await asyncio.gather(self._look_at_redis(), self._look_at_registry())
        return {"redis_ahead_seconds": redis, "registry_ahead_seconds": registry}

    async def _look_at_redis(self) -> tuple[str, float | None]:
        """Return its state, and the seconds by which its clock is ahead of ours; None when they are unknown."""
        before = clock().timestamp()
        try:
            theirs = await RedisHealth(self.connection).time()
        except StoreRefused:  # it is up; a managed Redis may forbid this
            return "up", None
        except StoreUnavailable:
            return "down", None
        return "up", round(certain_skew(theirs, theirs, before, clock().timestamp()), 3)

    async def _look_at_registry(self) -> tuple[str, float | None]:
        """Return its state, and the seconds by which its clock is ahead of ours; None when they are unknown.

        Callers at the same time share one request: an answer of ``/readyz`` has its state and its clock.
        """
        return await self._looks.ask(REGISTRY, lambda: asyncio.create_task(self._ask_registry()))

    async def _ask_registry(self) -> tuple[str, float | None]:
        before = clock().timestamp()
        look = await look_at_registry(self.settings.registry_url)
        if look.date is None:
            return look.state, None
        theirs = look.date.timestamp()
        return look.state, round(certain_skew(theirs, theirs + 1, before, clock().timestamp()), 3)

    async def _audit(self) -> Mapping[str, Any]:
        value = self.shared_metrics.value
        return {
            "used_bytes": value(catalogue.AUDIT_USED),
            "budget_bytes": value(catalogue.AUDIT_BUDGET),
            "waiting": value(catalogue.AUDIT_WAITING),
            "lost": sum(value(catalogue.AUDIT_LOST, reason) for reason in catalogue.AUDIT_LOSSES),
        }

    async def _log(self) -> Mapping[str, Any]:
        return {"lost": self.shared_metrics.value(catalogue.LOG_LOST)}

    async def _events(self) -> Mapping[str, Any]:
        return {"last_at": _instant(self.shared_metrics.value(catalogue.REGISTRY_LAST_EVENT))}

    async def _images(self) -> Mapping[str, Any]:
        value = self.shared_metrics.value
        return {
            "crawled_at": _instant(value(catalogue.IMAGES_CRAWLED)),
            "unread": value(catalogue.IMAGES_CRAWL_UNREAD),
            "waiting": value(catalogue.IMAGES_WAITING),
        }

    async def _upstreams(self) -> Mapping[str, Any]:
        try:
            return {"failing": await RedisHealth(self.connection).failing_upstreams(clock() - FAILING_FOR)}
        except StoreUnavailable:
            return {"failing": None}

    async def _webhooks(self) -> Mapping[str, Any]:
        value = self.shared_metrics.value
        return {"waiting": value(catalogue.WEBHOOKS_WAITING), "dropped": value(catalogue.WEBHOOKS_DROPPED)}

    async def _client_addresses(self) -> str:
        return UNCLEAR if self.shared_metrics.value(catalogue.UNCLEAR_CLIENTS) else "clear"


async def keys_state(keys: KeyServiceClient | None) -> str:
    """Return whether the key service answers and has its keys; one that is answering earlier requests counts as up."""
    if keys is None:
        return "not configured"
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(KEYS_PROBE):
            await keys.license_keys()
    except TimeoutError:
        return "up" if keys.answered_at > began else "down"
    except AuthsvcError:
        return "down"
    return "up"


def _instant(at: int) -> str | None:
    return datetime.fromtimestamp(at, UTC).isoformat() if at else None


def _disk(watch: DiskWatch) -> Mapping[str, Any]:
    disk = watch.disk
    if watch.hangs(asyncio.get_running_loop().time()):
        return {"room": Room.UNKNOWN.value, "error": f"the disk has not answered for {HANGS_AFTER:.0f} s"}
    if disk is None:
        return {"room": watch.room.value, "error": watch.error}
    return {
        "room": watch.room.value,
        "folder": str(disk.folder),
        "free_bytes": disk.free,
        "size_bytes": disk.size,
        "reserve_bytes": watch.reserve,
    }
