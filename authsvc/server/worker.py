"""One worker: a process that faces the network and holds no secret but its own leaf key.

It also answers while it has no certificate: token requests get 503, and /readyz reports why.

Started by :mod:`authsvc.server.worker_pool` as
``python -m authsvc.server.worker EDGE INSIDE CHANNEL METRICS SLOT THREADS KEYS EDGE_SOCKET INSIDE_SOCKET``, where the
first four and the last three are numbers of inherited file descriptors. SIGTERM ends it; SIGQUIT ends it when its last
connection ends.
"""

import asyncio
import gc
import json
import linecache
import logging
import os
import signal
import socket
import sys
from contextlib import suppress

import uvloop
from attrs import field, frozen

from authsvc.keys.client import KeyServiceClient
from authsvc.logs import LibraryHandler, Logger, server_log
from authsvc.metrics.catalogue import KEY_OPERATIONS, LOG_LOST, SlotLayout
from authsvc.metrics.shared_metrics import SharedMetrics, Slot
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.processes.waiting import ended, first_of
from authsvc.server.certificate_renewal import CertificateRenewer, FromFiles, FromParent
from authsvc.server.leaf_channel import LeafRequester
from authsvc.server.worker_health import HEARTBEAT
from authsvc.server.worker_pool import DRAIN, EVENT_BEARERS, GUESS_KEY_BYTES, NGINX_SECRETS, NONE
from authsvc.settings import Settings, load
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.workers import RedisWorkerRegistry
from authsvc.wiring import clock
from authsvc.wiring.server import Counting, Hashing, Live, running_worker


@frozen
class Inherited:
    """What the parent gives a worker: descriptors, and its slot in the shared metrics."""

    edge: int
    inside: int
    channel: int
    shared_metrics: int
    slot: int
    threads: int
    keys: int
    edge_socket: int = NONE
    """A parent of an earlier version has neither."""
    inside_socket: int = NONE


@frozen
class Given:
    """What the parent writes to a worker's standard input in addition to its settings.

    Attributes:
        guess_key: key of the digests by which wrong passwords are recognised.
        event_bearers: SHA-256 of each bearer that the registry may show with its events.
        nginx_secrets: SHA-256 of each secret that nginx may show for pulls of linked registries.
    """

    guess_key: bytes = field(repr=False)
    event_bearers: tuple[bytes, ...]
    nginx_secrets: tuple[bytes, ...]


async def work(settings: Settings, inherited: Inherited, given: Given) -> None:
    """Serve until a signal ends it, or until the parent is gone."""
    shared_metrics = SharedMetrics(inherited.shared_metrics, SlotLayout())
    counting = Counting(shared_metrics, shared_metrics.slot(inherited.slot))
    with server_log(settings.log_level, lambda lost: counting.slot.inc(LOG_LOST, by=lost)) as logger:
        await _work(settings, inherited, given, counting, logger)


async def _work(settings: Settings, inherited: Inherited, given: Given, counting: Counting, logger: Logger) -> None:
    logging.getLogger().handlers = [LibraryHandler(logger)]
    stop, leave = asyncio.Event(), asyncio.Event()
    for number, event in ((signal.SIGTERM, stop), (signal.SIGINT, stop), (signal.SIGQUIT, leave)):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    live = Live(
        _keys(settings, inherited, counting.slot),
        event_bearers=given.event_bearers,
        nginx_secrets=given.nginx_secrets,
    )
    connection = Connection(settings.redis_url, deadline=settings.redis_deadline)
    workers = RedisWorkerRegistry(connection, Codec())
    requester = await LeafRequester.open(socket.socket(fileno=inherited.channel))
    beating = asyncio.create_task(requester.send_heartbeats(HEARTBEAT))
    renewer = _renewer(settings, live, requester, counting.slot, logger)
    renewing = asyncio.create_task(renewer.run(workers, settings.leaf_renewal))
    # Where there is a root key the certificate comes now, before a request could be refused for want of it.
    await first_of(renewer.has_tried.wait(), requester.gone.wait(), stop.wait())
    hashing = Hashing(inherited.threads, given.guess_key)
    async with running_worker(settings, live, _sockets(inherited), logger, hashing, counting) as drain:
        logger.info("worker.started", pid=os.getpid(), leaf_until=renewer.leaf_until)
        telling = asyncio.create_task(_tell_ready(renewer, requester))
        # attrs and cattrs keep the source of each method that they have made, for debuggers: 2.6 MiB.
        linecache.clearcache()
        # The objects that exist now are permanent: no collection needs to examine them again. The second collection
        # resets the collector's count of old objects: it waits until a quarter of them is new before it examines old
        # ones.
        gc.collect()
        gc.freeze()
        gc.collect()
        await first_of(asyncio.wait({renewing}), stop.wait(), leave.wait(), requester.gone.wait())
        if renewing.done() or requester.gone.is_set():
            logger.error("worker.orphaned", pid=os.getpid())
        elif leave.is_set() and not stop.is_set():
            logger.info("worker.leaving", pid=os.getpid())
            await first_of(stop.wait(), drain.run(DRAIN))
        for task in (renewing, telling):
            await ended(task)
        await renewer.deregister(workers)
    await ended(beating)
    await requester.close()
    await connection.close()
    if live.keys is not None:
        live.keys.close()
    logger.info("worker.stopped", pid=os.getpid())


def _sockets(inherited: Inherited) -> ListeningSockets:
    numbers = (inherited.edge_socket, inherited.inside_socket)
    edge, inside = (None if number == NONE else socket.socket(fileno=number) for number in numbers)
    return ListeningSockets(socket.socket(fileno=inherited.edge), socket.socket(fileno=inherited.inside), edge, inside)


def _keys(settings: Settings, inherited: Inherited, slot: Slot) -> KeyServiceClient | None:
    """Return the client of the key service: over the inherited channel, or of another container's."""

    def count(operation: str, outcome: str) -> None:
        slot.inc(KEY_OPERATIONS, operation, outcome)

    if inherited.keys != NONE:
        return KeyServiceClient.on_socket(socket.socket(fileno=inherited.keys), count)
    return None if settings.key_socket is None else KeyServiceClient.at(settings.key_socket, count)


async def _tell_ready(renewer: CertificateRenewer, requester: LeafRequester) -> None:
    """Tell the parent that this worker serves, as soon as it has a certificate."""
    await renewer.has_leaf.wait()
    with suppress(ConnectionError):  # the end of the parent is noticed elsewhere
        await requester.tell_ready()


def _renewer(
    settings: Settings, live: Live, requester: LeafRequester, slot: Slot, logger: Logger
) -> CertificateRenewer:
    files = settings.leaf_files
    source = FromParent(requester) if files is None else FromFiles(requester, *files, settings.secrets_dir)
    return CertificateRenewer(source, live.keyring, live.publish, slot, logger, clock)


def main() -> None:
    """Run a worker on the descriptors that the command line names, with key and settings on standard input."""
    guess_key = sys.stdin.buffer.read(GUESS_KEY_BYTES)
    if len(guess_key) != GUESS_KEY_BYTES:
        sys.exit("a worker needs its key on standard input: the parent of the server starts it")
    texts = json.loads(sys.stdin.buffer.read())
    bearers, shown = (tuple(map(bytes.fromhex, texts.pop(name, "").split())) for name in (EVENT_BEARERS, NGINX_SECRETS))
    settings, inherited = load({}, texts), Inherited(*map(int, sys.argv[1:]))
    uvloop.run(work(settings, inherited, Given(guess_key, bearers, shown)))


if __name__ == "__main__":
    main()
