"""A listening HTTP/1.1 server with our limits."""

import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from aiohttp import web

MAX_HEADER_BYTES = 16 * 1024
"""Longest header field or request line, in bytes: a license file of 8 KiB is a password of 11 KiB in base64."""

MAX_BODY_BYTES = 64 * 1024
KEEPALIVE = 75.0
"""Seconds that an idle connection is kept: more than nginx's 60 s, so that nginx closes it first."""

DRAIN = 10.0
"""Seconds that running requests get at the end."""

POLL_INTERVAL = 0.05
"""Seconds between two checks for open connections."""


def make_web_app(
    routes: Iterable[web.AbstractRouteDef],
    middleware: object,
    applications: Mapping[str, web.Application] | None = None,
) -> web.Application:
    """Return an application with ``routes`` inside ``middleware``, and others by the prefix of their paths."""
    web_app = web.Application(middlewares=[middleware], client_max_size=MAX_BODY_BYTES)  # type: ignore[list-item]
    web_app.add_routes(routes)
    for prefix, application in (applications or {}).items():
        web_app.add_subapp(prefix, application)
    return web_app


class Listener:
    """A server on one socket or several, from the first request to the last."""

    def __init__(self, web_app: web.Application) -> None:
        """Serve ``web_app``; nothing listens yet."""
        self._runner = web.AppRunner(
            web_app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEPALIVE,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            auto_decompress=False,
            shutdown_timeout=DRAIN,
        )
        self._sites: list[web.SockSite] = []

    async def start(self, listener: socket.socket) -> None:
        """Serve another listening socket, of TCP or a unix one."""
        if self._runner.server is None:
            await self._runner.setup()
        site = web.SockSite(self._runner, listener)
        await site.start()
        self._sites.append(site)

    async def refuse_new(self) -> None:
        """Accept no more connections; open ones continue."""
        while self._sites:
            await self._sites.pop().stop()

    @property
    def connections(self) -> int:
        """Number of open connections."""
        server = self._runner.server
        return 0 if server is None else len(server.connections)

    async def close(self) -> None:
        """Let running requests finish for a while, then end."""
        await self._runner.cleanup()


class Drain:
    """Ends several listeners without a client noticing, while another process accepts on the same sockets.

    HTTP/1.1 has no way to take back an idle connection: a request may be on its way when it is closed. So the next
    answer on each connection announces that it is the last one (``Connection: close``, RFC 9112 §9.6), and an idle one
    is kept longer than nginx keeps it.
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        """Drain ``listeners`` when asked to."""
        self._listeners = listeners
        self._begun = False

    def mark(self, response: web.StreamResponse) -> None:
        """Make an answer the last one of its connection when draining."""
        if self._begun:
            response.force_close()

    async def run(self, seconds: float) -> None:
        """Return when every connection has ended, or after ``seconds``."""
        self._begun = True
        for listener in self._listeners:
            await listener.refuse_new()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(listener.connections for listener in self._listeners):  # noqa: ASYNC110  aiohttp tells no ends
                    await asyncio.sleep(POLL_INTERVAL)
