"""What ``/readyz`` shows of a worker and of everything that it needs."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from authsvc.disk_room import DiskWatch
from authsvc.errors import AuthsvcError
from authsvc.keys.client import KeyServiceClient
from authsvc.metrics.catalogue import REGISTRY_LAST_EVENT, UNCLEAR_CLIENTS
from authsvc.metrics.shared_metrics import SharedMetrics
from authsvc.registries.ours import registry_state
from authsvc.settings import Settings
from authsvc.signing.keyring import Keyring
from authsvc.store.connection import Connection
from authsvc.store.health import RedisHealth
from authsvc.store.memory_room import MemoryWatch
from authsvc.tls.watch import CertificateWatch
from authsvc.web.ops import Readiness
from authsvc.wiring import clock

KEYS_PROBE = 1.0
"""Seconds in which the key service must answer to be shown as up."""

UNCLEAR = (
    "private, so they may be those of a proxy in front: name it in AUTHSVC_TRUSTED_PROXIES, or set "
    "AUTHSVC_PRIVATE_CLIENTS=on if clients have private addresses (docs/throttle.md)"
)


@frozen
class HealthReport:
    """What a worker knows of itself and of its surroundings.

    Attributes:
        settings: of the server.
        keys: client of the key service; None when there is none.
        keyring: the signing certificate.
        connection: to Redis.
        disk: of Redis.
        memory: of Redis.
        certificate: that clients are shown.
        shared_metrics: what all workers of the server count.
    """

    settings: Settings
    keys: KeyServiceClient | None
    keyring: Keyring
    connection: Connection
    disk: DiskWatch
    memory: MemoryWatch
    certificate: CertificateWatch
    shared_metrics: SharedMetrics

    def readiness(self) -> Readiness:
        """Return what answers ``/readyz``."""
        parts = {
            "store_disk": self._store_disk,
            "store_memory": self._store_memory,
            "registry": self._registry,
            "keys": self._keys,
            "tls_certificate": self._tls_certificate,
            "events": self._events,
            "client_addresses": self._client_addresses,
        }
        return Readiness(RedisHealth(self.connection), self.keyring, parts, clock)

    async def _store_disk(self) -> Mapping[str, Any]:
        return _disk(self.disk)

    async def _store_memory(self) -> Mapping[str, Any]:
        return self.memory.facts()

    async def _registry(self) -> str:
        return await registry_state(self.settings.registry_url)

    async def _keys(self) -> str:
        return await keys_state(self.keys)

    async def _tls_certificate(self) -> Mapping[str, Any]:
        return self.certificate.facts()

    async def _events(self) -> Mapping[str, Any]:
        at = max(cells[0] for cells in self.shared_metrics.cells(REGISTRY_LAST_EVENT, ()))
        return {"last_at": datetime.fromtimestamp(at, UTC).isoformat() if at else None}

    async def _client_addresses(self) -> str:
        unclear = any(any(cells) for cells in self.shared_metrics.cells(UNCLEAR_CLIENTS, ()))
        return UNCLEAR if unclear else "clear"


async def keys_state(keys: KeyServiceClient | None) -> str:
    """Return whether the key service answers and has its keys; one that answers those before is up."""
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


def _disk(watch: DiskWatch) -> Mapping[str, Any]:
    disk = watch.disk
    if disk is None:
        return {"room": watch.room.value, "error": watch.error}
    return {
        "room": watch.room.value,
        "folder": str(disk.folder),
        "free_bytes": disk.free,
        "size_bytes": disk.size,
        "reserve_bytes": watch.reserve,
    }
