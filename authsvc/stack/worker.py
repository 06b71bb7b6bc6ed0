"""One worker: a process that faces the network and holds no secret but its own leaf key.

Started by :mod:`authsvc.stack.serve` as ``python -m authsvc.stack.worker EDGE INSIDE CHANNEL THREADS``, where the
first three are numbers of inherited file descriptors.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from datetime import timedelta

import uvloop

from authsvc.logs import LibraryHandler, Logger, make_logger
from authsvc.settings import Settings, load
from authsvc.stack.leaf_channel import LeafRequester
from authsvc.wiring.server import Live, running_worker

RETRY_LEAF = 5.0
"""Seconds between attempts to renew a leaf when the parent does not answer."""


async def work(settings: Settings, edge: int, inside: int, channel: int, threads: int) -> None:
    """Serve until SIGTERM, or until the parent is gone."""
    logger = make_logger(settings.log_level)
    logging.getLogger().handlers = [LibraryHandler(logger)]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    live = Live()
    requester = await LeafRequester.open(socket.socket(fileno=channel))
    await _install_leaf(live, requester)
    logger.info("worker.started", pid=os.getpid(), leaf_until=_leaf_end(live))
    async with running_worker(
        settings, live, socket.socket(fileno=edge), socket.socket(fileno=inside), logger, threads
    ):
        # What is there now stays until the end: no collection needs to look at it again.
        gc.collect()
        gc.freeze()
        renewal = asyncio.create_task(_keep_leaf(live, requester, settings.leaf_renewal, stop, logger))
        await stop.wait()
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal
    logger.info("worker.stopped", pid=os.getpid())


async def _keep_leaf(
    live: Live, requester: LeafRequester, renewal: timedelta, stop: asyncio.Event, logger: Logger
) -> None:
    """Replace the leaf whenever ``renewal`` has passed; stop the worker when the parent is gone."""
    pause = renewal.total_seconds()
    while True:
        await asyncio.sleep(pause)
        pause = renewal.total_seconds()
        try:
            await _install_leaf(live, requester)
        except TimeoutError:
            logger.error("leaf.not_renewed", leaf_until=_leaf_end(live), next_try=RETRY_LEAF)
            pause = RETRY_LEAF
        except (ConnectionError, ValueError) as error:
            logger.error("leaf.parent_gone", error=repr(error))
            stop.set()
            return
        else:
            logger.info("leaf.renewed", pid=os.getpid(), leaf_until=_leaf_end(live))


async def _install_leaf(live: Live, requester: LeafRequester) -> None:
    leaf, grant = await requester.request()
    live.keyring.install(leaf)
    live.license_keys = grant.license_keys


def _leaf_end(live: Live) -> str | None:
    end = live.keyring.not_after
    return end.isoformat() if end else None


def main() -> None:
    """Run a worker on the descriptors that the command line names."""
    edge, inside, channel, threads = (int(text) for text in sys.argv[1:])
    uvloop.run(work(load(os.environ), edge, inside, channel, threads))


if __name__ == "__main__":
    main()
