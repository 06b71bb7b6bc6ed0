"""One HTTP/1.1 request and its reply, byte for byte: proxies are detected by what they change.

A client library would hide it: it follows redirects, repeats requests, and drops the reason phrase and the version of
the status line.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from enum import StrEnum

from attrs import field, frozen

from authsvc.public_url import PublicUrl
from authsvc.tls.certificate import hang_up

DEADLINE = 10.0
"""Seconds for one request and its answer, unless another deadline is given."""

LONGEST_BODY = 64 * 1024
"""Most bytes of a body that are read; no more are needed of a longer one."""

_LONGEST_HEAD = 64 * 1024

_STATUS_LINE = re.compile(r"(HTTP/[0-9.]+) ([0-9]{3})(?: (.*))?", re.ASCII)

_DEFAULT_PORTS = {"http": 80, "https": 443}

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NoReplyReason(StrEnum):
    """Why a request has no answer."""

    UNREACHABLE = "unreachable"
    """The connection could not be made."""
    UNKNOWN_NAME = "unknown name"
    """The host name does not resolve."""
    TLS = "tls"
    """The connection cannot be trusted, or does not speak TLS."""
    SILENT = "silent"
    """There was no answer in time."""
    CLOSED = "closed"
    """The connection was closed without an answer."""
    NOT_HTTP = "not HTTP"
    """The answer is not HTTP/1.x."""


@frozen
class NoReply:
    """A request without an answer.

    Attributes:
        reason: its kind.
        detail: for people.
    """

    reason: NoReplyReason
    detail: str


@frozen
class HttpReply:
    """An answer.

    Attributes:
        version: such as ``HTTP/1.1``.
        status: HTTP status.
        reason: the reason phrase; empty when there is none.
        headers: by name in lower case; only the first of a repeated one.
        body: its first :data:`LONGEST_BODY` bytes.
    """

    version: str
    status: int
    reason: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str:
        """Return a header, or an empty text."""
        return self.headers.get(name, "")


Reply = HttpReply | NoReply


@frozen(eq=False, repr=False)
class ServerAddress:
    """The server to which requests are sent.

    Attributes:
        authority: the header ``Host``.
        host: to connect to, a name or an address.
        port: to connect to.
        context: of TLS; None for plain http.
        unix_socket: a path, used instead of host and port.
    """

    authority: str
    host: str = ""
    port: int = 0
    context: ssl.SSLContext | None = field(default=None, repr=False)
    unix_socket: str | None = None

    @classmethod
    def of(cls, url: PublicUrl, context: ssl.SSLContext | None = None) -> "ServerAddress":
        """Return the address of a public URL."""
        port = url.authority[len(url.host) :].removeprefix(":")
        number = int(port) if port else _DEFAULT_PORTS[url.scheme]
        return cls(url.authority, url.host.strip("[]"), number, context if url.scheme == "https" else None)

    async def connect(self) -> Stream:
        """Open a connection; raises OSError."""
        if self.unix_socket is not None:
            return await asyncio.open_unix_connection(self.unix_socket, limit=_LONGEST_HEAD)
        return await asyncio.open_connection(self.host, self.port, ssl=self.context, limit=_LONGEST_HEAD)


async def ask(
    server: ServerAddress,
    method: str,
    path: str,
    headers: Mapping[str, str] | None = None,
    *,
    body: bytes | AsyncIterator[bytes] | None = None,
    deadline: float = DEADLINE,
    silence: float | None = None,
) -> Reply:
    """Send one request on a separate connection and return the answer; never raises.

    Args:
        server: the recipient.
        method: of the request.
        path: from the first ``/`` on, with its query.
        headers: in addition to ``Host``; for a body of unknown length including the one that says how it ends.
        body: sent while waiting for the answer; an early answer ends it.
        deadline: seconds for the whole exchange.
        silence: seconds in which the answer must begin once the body is sent; None for the rest of ``deadline``.
    """
    given = {"Host": server.authority, "User-Agent": "authsvc-doctor", "Connection": "close", **(headers or {})}
    if isinstance(body, bytes):
        given.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    head = f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace")
    connected, clock = False, asyncio.get_running_loop().time
    began = clock()
    try:
        async with asyncio.timeout(deadline) as limit:
            reader, writer = await server.connect()
            connected = True

            def sent() -> None:
                if silence is not None:
                    limit.reschedule(min(began + deadline, clock() + silence))

            try:
                question = _send(writer, head, body, sent)
                return await _converse(reader, question, bodiless=method == "HEAD")
            finally:
                await hang_up(writer)
    except (OSError, EOFError, asyncio.LimitOverrunError, UnicodeError) as error:
        return _no_reply(error, clock() - began, connected=connected)


def _no_reply(error: Exception, seconds: float, *, connected: bool) -> NoReply:
    if isinstance(error, TimeoutError):
        what = "no answer" if connected else "no connection"
        return NoReply(NoReplyReason.SILENT if connected else NoReplyReason.UNREACHABLE, f"{what} in {seconds:.0f} s")
    if isinstance(error, socket.gaierror):
        return NoReply(NoReplyReason.UNKNOWN_NAME, f"the name is not known ({error.strerror})")
    if isinstance(error, ssl.SSLError):
        return NoReply(NoReplyReason.TLS, error.reason or str(error))
    if not connected:
        return NoReply(NoReplyReason.UNREACHABLE, str(error))
    if isinstance(error, asyncio.LimitOverrunError):
        return NoReply(NoReplyReason.NOT_HTTP, f"more than {_LONGEST_HEAD} bytes of headers")
    return NoReply(NoReplyReason.CLOSED, "the connection was closed without an answer")


async def _converse(reader: asyncio.StreamReader, question: Coroutine[None, None, None], *, bodiless: bool) -> Reply:
    """Send the request and read its answer at the same time."""
    sending = asyncio.create_task(question)
    try:
        while True:
            reply = _parse_head(await reader.readuntil(b"\r\n\r\n"))
            if isinstance(reply, NoReply) or reply.status >= 200:  # noqa: PLR2004  1xx: the answer is still to come
                break
        if isinstance(reply, NoReply) or bodiless:
            return reply
        return HttpReply(reply.version, reply.status, reply.reason, reply.headers, await _read_body(reader, reply))
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def _send(
    writer: asyncio.StreamWriter, head: bytes, body: bytes | AsyncIterator[bytes] | None, sent: Callable[[], None]
) -> None:
    with suppress(OSError):  # a server may answer early and close; its answer says why
        writer.write(head)
        await writer.drain()
        if isinstance(body, bytes):
            writer.write(body)
        elif body is not None:
            async for part in body:
                writer.write(part)
                await writer.drain()
        await writer.drain()
        sent()


def _parse_head(raw: bytes) -> Reply:
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    found = _STATUS_LINE.fullmatch(first)
    if found is None or not found[1].startswith("HTTP/1."):
        return NoReply(NoReplyReason.NOT_HTTP, f"the answer begins with {first[:40]!r}")
    headers: dict[str, str] = {}
    for name, _, value in (line.partition(":") for line in lines):
        headers.setdefault(name.strip().lower(), value.strip())
    return HttpReply(found[1], int(found[2]), (found[3] or "").strip(), headers, b"")


async def _read_body(reader: asyncio.StreamReader, reply: HttpReply) -> bytes:
    """Return as much of the body as arrives, at most :data:`LONGEST_BODY` bytes."""
    if reply.status in {204, 304}:
        return b""
    body = b""
    with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, ConnectionError):
        if reply.header("transfer-encoding").lower() == "chunked":
            while len(body) < LONGEST_BODY and (size := int(await reader.readuntil(b"\r\n"), 16)):
                body += await reader.readexactly(min(size, LONGEST_BODY))
                await reader.readuntil(b"\r\n")
            return body[:LONGEST_BODY]
        length = reply.header("content-length")
        left = min(int(length), LONGEST_BODY) if length.isdecimal() else LONGEST_BODY
        while left and (part := await reader.read(left)):
            body, left = body + part, left - len(part)
    return body
