"""A real nginx with our configuration, between a test and two scripted servers."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, evolve, frozen

from authsvc.local.programs import find_binaries
from authsvc.setup import render
from tests.support.waiting import PATIENCE

NGINX_SECRET = "5e" * 32

_Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the head that arrived."""
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(head), head))


@define
class Upstream:
    """A server behind nginx, which answers as the test says."""

    talk: _Talk = echo
    asked: int = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        self.asked += 1
        try:
            await self.talk(reader, writer)
            await writer.drain()
        finally:
            writer.close()


@frozen
class Answer:
    """A response as it came over the wire."""

    status_line: str
    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.status_line.split()[1])


@frozen
class Front:
    """A running nginx."""

    port: int
    registry: Upstream
    edge: Upstream
    registry_server: asyncio.Server
    edge_server: asyncio.Server
    tls: ssl.SSLContext | None = None

    async def ask(self, request: bytes, *, bodiless: bool = False) -> Answer:
        """Send raw bytes and read one response; that to a HEAD is bodiless."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.tls)
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            return Answer(status_line, headers, b"" if bodiless else await _body(reader, headers))
        finally:
            writer.close()

    async def get(self, path: str, *headers: str) -> Answer:
        """Send a GET."""
        lines = "".join(f"{line}\r\n" for line in headers)
        return await self.ask(f"GET {path} HTTP/1.1\r\nHost: typed.example\r\n{lines}\r\n".encode())


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    """Read a body to its end; raises IncompleteReadError when the connection ends before."""
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


@asynccontextmanager
async def running_front(
    folder: Path,
    port: int,
    change: Callable[[str], str] = lambda text: text,
    tls: ssl.SSLContext | None = None,
    **values: Any,
) -> AsyncIterator[Front]:
    """Run nginx on ``port`` in front of two servers, one on a socket with a space in its path.

    Args:
        folder: an empty folder.
        port: a free one.
        change: what the test changes in the configuration.
        tls: for clients, where the values have a certificate.
        values: other values of the configuration than usual.
    """
    registry, edge = Upstream(), Upstream()
    registry_server = await asyncio.start_unix_server(registry, folder / "registry.sock")
    edge_server = await asyncio.start_server(edge, "127.0.0.1", 0)
    edge_port = edge_server.sockets[0].getsockname()[1]
    (folder / "temp").mkdir()
    usual = render.NginxValues(
        listen=f"127.0.0.1:{port}",
        public_scheme="https",
        public_authority="public.example",
        registry_upstream=f"unix:{folder / 'registry.sock'}",
        edge_upstream=f"127.0.0.1:{edge_port}",
        pid_file=str(folder / "nginx.pid"),
        temp_dir=str(folder / "temp"),
        secret=NGINX_SECRET,
        log_file=str(folder / "nginx.log"),
        user="root" if os.geteuid() == 0 else None,
        cache_dir=str(folder / "cache"),
        ca_file="/etc/ssl/certs/ca-certificates.crt",
    )
    (folder / "nginx.conf").write_text(change(render.render(evolve(usual, **values))))
    command = [find_binaries(os.environ["PATH"]).nginx, "-e", "stderr", "-p", f"{folder}/", "-c"]
    process = await asyncio.create_subprocess_exec(
        *command, str(folder / "nginx.conf"), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await _until_open(port)
        yield Front(port, registry, edge, registry_server, edge_server, tls)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
        registry_server.close()
        edge_server.close()


async def _until_open(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
