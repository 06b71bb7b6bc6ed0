"""The yardstick: what aiohttp on uvloop does when the handler does nothing.

Run as ``python -m tests.bench.bare PORT``.
"""

import asyncio
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop
from aiohttp import web

from tests.bench.load import Target
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, until


async def serve(port: int) -> None:
    """Answer every request with two bytes, until the process is ended."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    web_app = web.Application()
    web_app.router.add_get("/{path:.*}", handler)
    runner = web.AppRunner(web_app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


@contextmanager
def bare_server(core: int | None, service: str, scope: str) -> Iterator[Target]:
    """Run the yardstick on ``core`` and yield it; its requests look like those of what it is compared with."""
    port = free_port()
    pinned = ("taskset", "-c", str(core)) if core is not None else ()
    process = subprocess.Popen((*pinned, sys.executable, "-m", "tests.bench.bare", str(port)))
    url = f"http://127.0.0.1:{port}/auth/token"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    try:
        until(answers, "the bare handler answers")
        yield Target(url, service, scope, process.pid)
    finally:
        process.terminate()
        process.wait(PATIENCE)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
