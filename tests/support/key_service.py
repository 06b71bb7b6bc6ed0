"""A directory of keys, and a key service on it: in this process, or a real one on unix sockets."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from io import StringIO
from pathlib import Path

from attrs import frozen

from authsvc.keys.client import DEADLINE, KeyServiceClient
from authsvc.keys.service_keys import create_service_keys
from authsvc.logs import make_logger
from authsvc.server.key_service import WORKER_BURST, WORKER_RATE, KeyPeer, KeyService
from authsvc.setup.compose import KEY_ADMIN_SOCKET
from tests.support.stack import short_folder
from tests.support.waiting import PATIENCE, becomes, until


def make_keys(folder: Path) -> Path:
    """Make a directory with new service keys and return it."""
    folder.mkdir(mode=0o700, parents=True)
    create_service_keys(folder)
    return folder


@asynccontextmanager
async def key_service(
    directory: Path,
    *,
    rate: float = WORKER_RATE,
    burst: float = WORKER_BURST,
    administration: bool = False,
    log: StringIO | None = None,
) -> AsyncIterator[socket.socket]:
    """Serve one peer in this process; yield its end."""
    service = KeyService(directory, make_logger("info", log or StringIO()))
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.setblocking(False)
    serving = asyncio.create_task(service.serve(far, KeyPeer("test", rate, burst, administration)))
    try:
        yield near
    finally:
        near.close()
        await asyncio.wait_for(serving, PATIENCE)


async def exchange(channel: socket.socket, packet: bytes) -> dict[str, object]:
    """Send one packet as it is and return the reply."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE):
        await loop.sock_sendall(channel, packet)
        reply: dict[str, object] = json.loads(await loop.sock_recv(channel, 1024 * 1024))
    return reply


@contextmanager
def key_service_of_volumes(root: Path) -> Iterator[Path]:
    """Run the key service of compose.yaml on the folder of the volumes; yield the directory of its keys."""
    with short_folder() as keys:
        (root / KEY_ADMIN_SOCKET).parent.mkdir(parents=True, exist_ok=True)
        with subprocess.Popen(
            (
                *(sys.executable, "-m", "authsvc", "key-service", "--keys-dir", str(keys)),
                *("--socket", str(keys / "users.sock"), "--admin-socket", str(root / KEY_ADMIN_SOCKET)),
            ),
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                until((root / KEY_ADMIN_SOCKET).exists, "the key service listens")
                yield keys
            finally:
                process.terminate()
                process.wait(PATIENCE)


@frozen
class RealKeyService:
    """A key service in a process of its own, as compose runs it.

    Attributes:
        keys: the directory of its keys.
        socket: where workers and the command line connect.
        admin_socket: where keys are administered.
        process: the process.
        log: the file with its log.
    """

    keys: Path
    socket: Path
    admin_socket: Path
    process: asyncio.subprocess.Process
    log: Path

    def client(self, deadline: float = DEADLINE) -> KeyServiceClient:
        """Return a client of its users."""
        return KeyServiceClient.at(self.socket, deadline=deadline)

    def admin(self) -> KeyServiceClient:
        """Return a client that may change keys."""
        return KeyServiceClient.at(self.admin_socket)


def _listens(path: Path) -> bool:
    """Whether a service listens there; one that was killed leaves its socket behind."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking, suppress(OSError):
        asking.connect(str(path))
        return True
    return False


@asynccontextmanager
async def real_key_service(folder: Path, keys: Path) -> AsyncIterator[RealKeyService]:
    """Run ``authsvc key-service`` on a directory of keys, with its sockets in ``folder``."""
    users, admin = folder / "keys.sock", folder / "admin.sock"
    log = folder / "key-service.log"
    with log.open("a") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "authsvc", "key-service", "--keys-dir", str(keys)),
            *("--socket", str(users), "--admin-socket", str(admin)),
            stderr=stderr,
        )
    try:
        await becomes(lambda: _listens(admin) or process.returncode is not None, "the key service listens")
        yield RealKeyService(keys, users, admin, process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await asyncio.wait_for(process.wait(), PATIENCE)
