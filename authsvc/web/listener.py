"""A listening HTTP/1.1 server with our limits."""

import socket
from collections.abc import Iterable

from aiohttp import web

MAX_HEADER_BYTES = 16 * 1024
"""Longest header field or request line, in bytes: a license file of 8 KiB is a password of 11 KiB in base64."""

MAX_BODY_BYTES = 64 * 1024
KEEPALIVE = 75.0
"""Seconds that an idle connection stays: above nginx's own 60 s, so that nginx is the one to close it."""

DRAIN = 10.0
"""Seconds that running requests get at the end."""


def make_web_app(routes: Iterable[web.AbstractRouteDef], middleware: object) -> web.Application:
    """Return an application with ``routes`` inside ``middleware``."""
    web_app = web.Application(middlewares=[middleware], client_max_size=MAX_BODY_BYTES)  # type: ignore[list-item]
    web_app.add_routes(routes)
    return web_app


async def listen(web_app: web.Application, listener: socket.socket) -> web.AppRunner:
    """Serve ``web_app`` on a listening socket; the caller cleans the runner up."""
    runner = web.AppRunner(
        web_app,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=KEEPALIVE,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        auto_decompress=False,
        shutdown_timeout=DRAIN,
    )
    await runner.setup()
    await web.SockSite(runner, listener).start()
    return runner
