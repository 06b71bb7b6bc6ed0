"""The key service in a separate container: it listens on unix sockets that the other containers mount.

One socket serves workers and the command line. Another one takes administration (create, install and rotate keys); only
the containers of ``authsvc init`` and ``authsvc keys`` mount it, so that a worker cannot change keys.
"""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from authsvc.errors import SetupRefused
from authsvc.keys.service_keys import check_service_keys, present_keys
from authsvc.logs import server_log
from authsvc.server.key_service import KeyPeer, KeyService, not_counted, stop_signals
from authsvc.server.unix_socket import unix_listener

IDLE_DEADLINE = 30.0
"""Seconds that a connection may be silent."""

MAX_CONNECTIONS = 64
"""Connections to one socket at the same time; one more closes the oldest, so that no client can occupy all of them."""

SOCKET_RATE, SOCKET_BURST = 2000.0, 4000.0
"""Operations per second of all connections of one user, and how many at once: an import takes one for each license, and
one for each file.

More wait for their turn. The workers and the command line of compose.yaml are one user.
"""

SOCKET_MODE = 0o660
_CREDENTIALS = struct.Struct("3i")


@asynccontextmanager
async def listening(service: KeyService, path: Path, *, administration: bool = False) -> AsyncIterator[None]:
    """Serve connections at ``path`` while the context lasts.

    Only processes of the same user or with the same group are served, as the kernel knows them (SO_PEERCRED, unix(7)).

    Raises:
        SetupRefused: the socket cannot be made.
    """
    peers: dict[int, KeyPeer] = {}
    serving: dict[asyncio.Task[None], None] = {}
    kind = "admin" if administration else "user"
    refusing = KeyPeer(kind, SOCKET_RATE, SOCKET_BURST)

    def refused(uid: int, gid: int, *, known: bool) -> None:
        if count := refusing.refusals(asyncio.get_running_loop().time()):
            service.logger.warning("key_service.peer_refused", socket=kind, uid=uid, gid=gid, known=known, count=count)

    async def accept() -> None:
        while True:
            await asyncio.sleep(0)  # the accept does not wait while there is another one: others are served meanwhile
            try:
                channel, _ = await asyncio.get_running_loop().sock_accept(listener)
            except OSError:  # no descriptors left, for now
                await asyncio.sleep(0.1)
                continue
            _pid, uid, gid = _CREDENTIALS.unpack(
                channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            )
            if uid != os.geteuid() and gid != os.getegid():
                channel.close()
                refused(uid, gid, known=False)
                continue
            if len(serving) >= MAX_CONNECTIONS:
                oldest = next(iter(serving))
                del serving[oldest]
                oldest.cancel()
                refused(uid, gid, known=True)
            peer = peers.setdefault(uid, KeyPeer(f"{kind} {uid}", SOCKET_RATE, SOCKET_BURST, administration))
            task = asyncio.create_task(service.serve(channel, peer, IDLE_DEADLINE))
            serving[task] = None
            task.add_done_callback(lambda ended: serving.pop(ended, None))

    with _listener(path) as listener:
        accepting = asyncio.create_task(accept())
        try:
            yield
        finally:
            for task in (accepting, *serving):
                task.cancel()
            await asyncio.gather(accepting, *serving, return_exceptions=True)


@contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    with ExitStack() as stack:
        try:
            listener = stack.enter_context(unix_listener(path, SOCKET_MODE, socket.SOCK_SEQPACKET, MAX_CONNECTIONS))
        except OSError as error:
            raise SetupRefused(f"the key service cannot listen at {path}: {error.strerror or error}") from error
        yield listener


async def serve_sockets(directory: Path, users: Path, administration: Path | None, log_level: str) -> None:
    """Run the key service of a container of its own until SIGTERM or SIGINT.

    It starts without key files too: ``authsvc init`` creates them, over the second socket.

    Args:
        directory: where the keys are.
        users: socket for workers and the command line.
        administration: socket for changes of keys; None for no such socket.
        log_level: the lowest level that is logged.

    Raises:
        SetupRefused: a socket cannot be made.
        SecretsRefused: a key file is unusable.
    """
    stopping = stop_signals()
    check_service_keys(directory)
    with server_log(log_level, not_counted) as logger:
        service = KeyService(directory, logger)
        async with listening(service, users), _administration(service, administration):
            logger.info("key_service.started", pid=os.getpid(), keys=present_keys(directory))
            await stopping.wait()
        logger.info("key_service.stopped", pid=os.getpid())


@asynccontextmanager
async def _administration(service: KeyService, path: Path | None) -> AsyncIterator[None]:
    if path is None:
        yield
        return
    async with listening(service, path, administration=True):
        yield
