"""Renews a worker's signing certificate, in time and on request, and keeps the worker registered in Redis."""

import asyncio
import os
import re
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from attrs import evolve

from authsvc.errors import AuthsvcError, SecretsRefused, SignerUnavailable, StoreUnavailable
from authsvc.keys.authority import load_leaf_files
from authsvc.keys.secrets_dir import load_roots
from authsvc.logs import Logger
from authsvc.metrics.catalogue import LEAF_EXPIRY, LEAF_FAILURES
from authsvc.metrics.shared_metrics import Slot
from authsvc.server.leaf_channel import LeafRequester
from authsvc.signing.jws import Leaf
from authsvc.signing.keyring import Keyring
from authsvc.signing.root import fingerprint, issuer_of
from authsvc.store.workers import RedisWorkerRegistry
from authsvc.worker_status import DATA_VERSION, WorkerStatus

RETRY = 5.0
"""Seconds between attempts to renew a leaf when it did not work."""

LOOK = 1.0
"""Seconds between two checks whether a renewal was requested."""

HEARTBEAT_INTERVAL = timedelta(seconds=5)
"""Between two heartbeats of a worker in Redis."""


SET_BACK = timedelta(minutes=5)
"""How far the wall clock may be set back before a leaf, which is valid from ten minutes before its creation, is
replaced."""


class LeafSource(Protocol):
    """Source of leaves."""

    async def renew(self) -> tuple[Leaf, str, dict[str, Any]]:
        """Return a leaf, the fingerprint of its root, and the JWK set to publish."""
        ...


class FromParent:
    """A leaf from the parent process, which has the root."""

    def __init__(self, requester: LeafRequester) -> None:
        """Ask through ``requester``."""
        self._requester = requester

    async def renew(self) -> tuple[Leaf, str, dict[str, Any]]:
        """Return a new leaf; raises as :meth:`LeafRequester.request`."""
        leaf, grant = await self._requester.request()
        return leaf, grant.root, grant.license_keys


class FromFiles:
    """A leaf that was issued with an offline root; its files are read again for every renewal."""

    def __init__(self, requester: LeafRequester, key: Path, certificate: Path, secrets_dir: Path) -> None:
        """Read ``key`` and ``certificate``, and ask ``requester`` for the rest."""
        self._requester = requester
        self._paths = (key, certificate)
        self._secrets_dir = secrets_dir

    async def renew(self) -> tuple[Leaf, str, dict[str, Any]]:
        """Return the leaf in the files.

        Raises:
            SecretsRefused: they are unusable.
            ConnectionError: the parent is gone.
            TimeoutError: it did not answer in time.
        """
        roots = load_roots(self._secrets_dir)
        leaf = load_leaf_files(*self._paths, roots)
        root = issuer_of(leaf.certificate, roots)
        if root is None:
            raise SecretsRefused("the root of the leaf is gone")
        return leaf, fingerprint(root), (await self._requester.published()).license_keys


class CertificateRenewer:
    """Keeps a valid certificate in the keyring of one worker, and registers in Redis which keys it uses."""

    def __init__(
        self,
        source: LeafSource,
        keyring: Keyring,
        publish: Callable[[dict[str, Any]], None],
        slot: Slot,
        logger: Logger,
        clock: Callable[[], datetime],
    ) -> None:
        """Install leaves from ``source`` in ``keyring``, and pass the license keys to ``publish``."""
        self.id = new_worker_id()
        self._source = source
        self._keyring = keyring
        self._publish = publish
        self._slot = slot
        self._logger = logger
        self._clock = clock
        self._followed = 0
        self._knows_license_keys = False
        self._status: WorkerStatus | None = None
        self._heartbeat_at: float | None = None
        self.has_tried, self.has_leaf = asyncio.Event(), asyncio.Event()

    @property
    def leaf_until(self) -> str | None:
        """The end of the leaf in use, for the log."""
        end = self._keyring.not_after
        return end.isoformat() if end else None

    async def run(self, workers: RedisWorkerRegistry, renewal: timedelta) -> None:
        """Get the first leaf, and another one whenever ``renewal`` has passed or a renewal is requested.

        Return when the parent is gone. While there is no leaf yet, it is requested again and again: the worker answers
        without one, and signs nothing.

        Args:
            workers: where to register, and to read the requests.
            renewal: the age at which a leaf is replaced.
        """
        clock = asyncio.get_running_loop().time
        due, not_before = clock(), clock()
        while True:
            # The first leaf follows every earlier request.
            requested = await self._requested_generation(workers)
            wanted = clock() >= due or requested not in {None, self._followed} or not self._fits(renewal)
            if wanted and clock() >= not_before:
                first = self._status is None
                try:
                    await self._renew(self._followed if requested is None else requested)
                except (TimeoutError, SignerUnavailable, SecretsRefused, ValueError) as error:
                    not_before = clock() + RETRY
                    why = error.detail or str(error) if isinstance(error, AuthsvcError) else repr(error)
                    self._logger.error("leaf.not_renewed", leaf_until=self.leaf_until, next_try=RETRY, error=why)
                except ConnectionError:
                    return
                else:
                    # A key service in another container may not have answered yet: its keys come with the next leaf.
                    due = clock() + (renewal.total_seconds() if self._knows_license_keys else RETRY)
                    if not first:
                        self._logger.info("leaf.renewed", pid=os.getpid(), leaf_until=self.leaf_until)
            self.has_tried.set()
            await self._heartbeat(workers)
            await asyncio.sleep(min(LOOK, renewal.total_seconds()))

    async def deregister(self, workers: RedisWorkerRegistry) -> None:
        """Remove this worker from the registry; while Redis is down its status expires by itself."""
        with suppress(StoreUnavailable):
            await workers.deregister(self.id)

    async def _requested_generation(self, workers: RedisWorkerRegistry) -> int | None:
        """Return the number of the last renewal that was requested, or None while Redis is down."""
        try:
            return await workers.generation()
        except StoreUnavailable:
            return None

    def _fits(self, renewal: timedelta) -> bool:
        """Whether the age of the leaf is right by the wall clock, which continues while a machine sleeps."""
        made_at = None if self._status is None else self._status.leaf_made_at
        return made_at is None or made_at - SET_BACK < self._clock() < made_at + renewal

    async def _renew(self, following: int) -> None:
        """Get a leaf and use it, which follows the request number ``following``."""
        try:
            leaf, root, published = await self._source.renew()
        except Exception:
            self._slot.inc(LEAF_FAILURES)
            raise
        now = self._clock()
        self._keyring.install(leaf)
        self._knows_license_keys = bool(published["keys"])
        if self._knows_license_keys:
            self._publish(published)
        self._slot.set(LEAF_EXPIRY, int(leaf.not_after.timestamp()))
        self.has_leaf.set()
        self._followed, self._heartbeat_at = following, None
        self._status = WorkerStatus(
            id=self.id,
            generation=following,
            leaf_serial=f"{leaf.certificate.serial_number:x}",
            leaf_made_at=now,
            leaf_until=leaf.not_after,
            root=root,
            license_keys=tuple(key["kid"] for key in published["keys"]),
            seen_at=now,
            data_version=DATA_VERSION,
        )

    async def _heartbeat(self, workers: RedisWorkerRegistry) -> None:
        """Write a new status at once, and an unchanged one every :data:`HEARTBEAT_INTERVAL`."""
        now = asyncio.get_running_loop().time()
        if self._status is None or (
            self._heartbeat_at is not None and now - self._heartbeat_at < HEARTBEAT_INTERVAL.total_seconds()
        ):
            return
        with suppress(StoreUnavailable):
            await workers.heartbeat(evolve(self._status, seen_at=self._clock()))
            self._heartbeat_at = now


def new_worker_id() -> str:
    """Return a unique id: host, process id, and a random part, since the other two are used again."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:63]
    return f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
