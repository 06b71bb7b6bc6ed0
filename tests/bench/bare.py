"""The yardsticks: what aiohttp on uvloop does when the handler does nothing, or makes one ES256 signature.

Run as ``python -m tests.bench.bare DESCRIPTOR plain|signing``, on a listening socket that is inherited.
"""

import asyncio
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvloop
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.bench.load import Target
from tests.support.waiting import PATIENCE, until

PLAIN, SIGNING = "plain", "signing"
SIGNED = bytes(1200)
"""As long as what is signed of a token: header with certificate, and claims."""


async def serve(listening: socket.socket, kind: str) -> None:
    """Answer every request with two bytes, until the process is ended."""
    key, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(SHA256())

    async def plain(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def signing(_: web.Request) -> web.Response:
        key.sign(SIGNED, algorithm)
        return web.Response(text="ok")

    web_app = web.Application()
    web_app.router.add_get("/{path:.*}", {PLAIN: plain, SIGNING: signing}[kind])
    runner = web.AppRunner(web_app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    await asyncio.Event().wait()


@contextmanager
def bare_server(cores: Sequence[int | None], service: str, scope: str, kind: str = PLAIN) -> Iterator[Target]:
    """Run a yardstick with one process on each of ``cores`` and yield it; its requests look like those to authsvc."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/auth/token"
        processes = [_start(listening, core, kind) for core in cores]
        try:
            until(lambda: _answers(url), "the bare handler answers")
            yield Target(url, service, scope, tuple(process.pid for process in processes))
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(PATIENCE)


def _start(listening: socket.socket, core: int | None, kind: str) -> subprocess.Popen[bytes]:
    pinned = ("taskset", "-c", str(core)) if core is not None else ()
    descriptor = listening.fileno()
    command = (*pinned, sys.executable, "-m", "tests.bench.bare", str(descriptor), kind)
    return subprocess.Popen(command, pass_fds=(descriptor,))


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:  # noqa: S310  http, made here
            return bool(reply.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    uvloop.run(serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2]))
