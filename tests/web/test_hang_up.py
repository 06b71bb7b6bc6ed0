"""A client that goes away in the middle of its form: no fault of ours, and nothing for an alarm."""

import asyncio
import io
import json
import socket

from aiohttp import web

from authsvc.errors import CredentialsRefused
from authsvc.issuance import Issued
from authsvc.logs import make_logger
from authsvc.preflight import Report
from authsvc.web.client import ClientReader
from authsvc.web.listener import Listener, make_web_app
from authsvc.web.middleware import around
from authsvc.web.preflight import PreflightEndpoint
from authsvc.web.token import TokenEndpoint
from tests.support.builders import NOW
from tests.support.waiting import PATIENCE, becomes


class Refuses:
    """Knows nobody."""

    async def issue(self, *_: object) -> Issued:
        """Refuse."""
        raise CredentialsRefused("who are you?")


class Waits:
    """Never answers a preflight, and says what became of it."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def check(self, *_: object) -> Report:
        """Wait until nobody wants to know any more."""
        self.begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()
        raise AssertionError


async def events_of(path: str) -> list[str]:
    """Return what is logged for a client that hangs up after a part of its body."""
    log, ended = io.StringIO(), list[web.StreamResponse]()
    logger = make_logger("info", log)
    token = TokenEndpoint(Refuses(), logger, lambda: NOW, lambda *_: None)
    preflight = PreflightEndpoint(Refuses(), "registry.test", logger, lambda: NOW, lambda *_: None)  # type: ignore[arg-type]  # never asked
    middleware = around(logger, "s", lambda: "0" * 16, ClientReader(), (ended.append,))
    listener = Listener(make_web_app([*token.routes(), *preflight.routes()], middleware))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        await listener.start(bound)
        _, writer = await asyncio.open_connection(*bound.getsockname())
        writer.write(f"POST {path} HTTP/1.1\r\nHost: s\r\nContent-Length: 100\r\n\r\nabc".encode())
        await writer.drain()
        writer.close()
        await becomes(lambda: ended, "the request has ended")
        await listener.close()
    return [json.loads(line)["event"] for line in log.getvalue().splitlines()]


async def test_half_a_form_is_a_refusal() -> None:
    """It is told like every form that cannot be read."""
    assert ["token.refused"] == await events_of("/auth/token")


async def test_half_a_preflight_is_nothing() -> None:
    """Nobody has asked anything yet."""
    assert [] == await events_of("/auth/preflight")


async def test_a_preflight_ends_with_its_client() -> None:
    """What a client that hung up had asked is not worked on any more, and is not a fault."""
    log, waits = io.StringIO(), Waits()
    logger = make_logger("info", log)
    endpoint = PreflightEndpoint(waits, "registry.test", logger, lambda: NOW, lambda *_: None)
    listener = Listener(make_web_app(endpoint.routes(), around(logger, "s", lambda: "0" * 16, ClientReader(), ())))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        bound.setblocking(False)
        await listener.start(bound)
        _, writer = await asyncio.open_connection(*bound.getsockname())
        writer.write(b"GET /auth/preflight?image=redis HTTP/1.1\r\nHost: s\r\n\r\n")
        await asyncio.wait_for(waits.begun.wait(), PATIENCE)
        writer.close()
        await asyncio.wait_for(waits.ended.wait(), PATIENCE)
        await listener.close()

    assert ["preflight.abandoned"] == [json.loads(line)["event"] for line in log.getvalue().splitlines()]
