"""Requests to external registries, whose answers are not trusted: bounded in time, length and number.

A request goes to an address that was just checked, with the host's name for TLS and ``Host``. The HTTP library itself
resolves no name, follows no redirect, keeps no cookie, uses no proxy and unpacks nothing.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import field, frozen
from typing_extensions import override
from yarl import URL

from authsvc import __version__
from authsvc.errors import UpstreamUnavailable
from authsvc.redaction import Secret
from authsvc.registries.upstream.resolver import UpstreamResolver, VettedAddress, vetted
from authsvc.registries.upstream.room import SHORT, UpstreamRoom
from authsvc.registries.upstream.socket_check import checked_socket
from authsvc.upstreams.origin import Origin

DEADLINE = 10.0
"""Seconds for one request from its turn on, including the name lookup, TLS and the body."""

CONNECT_PART = 0.5
"""Part of that time in which TCP and TLS must be established."""

MAX_HEADER, MAX_HEADERS = 16 * 1024, 100
"""Longest header of an answer in bytes, and most headers. A ``Location`` with a signature has about 2,000."""

MAX_ERROR = 16 * 1024
"""Longest body of an answer with a status other than 200, in bytes; a longer one is not read."""

MAX_ADDRESSES = 2
"""Addresses of a name that are tried."""

IDLE_FOR = 20.0
"""Seconds for which a connection that is not used stays open."""


@frozen
class Requester:
    """The team and link that a request is made for.

    Attributes:
        team: slug of the link's team.
        link: id of the link.
    """

    team: str
    link: str


@frozen
class UpstreamReply:
    """The answer of an external registry.

    Attributes:
        status: HTTP status.
        headers: with case-insensitive names.
        content: the body; if the status is not 200, at most :data:`MAX_ERROR` bytes, or empty.
        challenges: all headers ``WWW-Authenticate`` as one (RFC 9110 §5.3).
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    challenges: str = field(default="", repr=False)


class _NoNames(AbstractResolver):
    """Resolves no names: every request contains its address."""

    @override
    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        raise OSError(f"{host!r} was not resolved before")

    @override
    async def close(self) -> None:
        pass


class UpstreamSession:
    """Sends requests to external registries. Close it at the end."""

    def __init__(
        self,
        resolver: UpstreamResolver,
        tls: ssl.SSLContext,
        monotonic: Callable[[], float],
        deadline: float = DEADLINE,
        answered: Callable[[int | None], None] = lambda _: None,
    ) -> None:
        """Send requests where ``resolver`` lets them, verified by ``tls``; each ends after ``deadline`` seconds.

        ``answered`` is called with the status of each answer, or None when there was no usable one.
        """
        self.resolver = resolver
        self._monotonic = monotonic
        self._deadline = deadline
        self._answered = answered
        self._room = UpstreamRoom(monotonic)
        connector = aiohttp.TCPConnector(
            resolver=_NoNames(),
            use_dns_cache=False,
            ssl=tls,
            limit=0,
            keepalive_timeout=IDLE_FOR,
            happy_eyeballs_delay=None,
            socket_factory=checked_socket(resolver.rules),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            requote_redirect_url=False,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_PART * deadline),
            skip_auto_headers=("Accept", "Content-Type", "User-Agent"),
        )

    async def __aenter__(self) -> Self:
        await self.resolver.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self.resolver.__aexit__()

    async def request(
        self,
        requester: Requester,
        origin: Origin,
        method: str,
        target: str,
        *,
        authorization: Secret | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        longest: int | None = 0,
    ) -> UpstreamReply:
        """Return the answer to one request, whatever its status.

        Args:
            requester: that the request is for.
            origin: of the registry.
            method: of the request.
            target: path and query, as sent; printable ASCII without a blank.
            authorization: value of that header; None for none.
            headers: further ones.
            body: None for none.
            longest: most bytes of the body of an answer with status 200; None to read no bodies.

        Raises:
            UpstreamUnavailable: it cannot be reached or does not answer in time, its address is refused, or the answer
                is longer or of another form than it may be.
            Overloaded: this request does not get its turn in time, which says nothing about the registry.
        """
        refusal = f"{origin.authority} has not answered recently; it is tried again shortly"
        if self._room.breaker(requester.link).is_open(self._monotonic()):
            raise UpstreamUnavailable(refusal)
        given = {"Accept-Encoding": "identity", "User-Agent": f"authsvc/{__version__}", **(headers or {})}
        if authorization is not None:
            given["Authorization"] = authorization.reveal()
        sending = _UpstreamRequest(origin, method, target, {**given, "Host": origin.authority}, body, longest)
        async with self._room.request(requester.team, requester.link):
            if not self._room.breaker(requester.link).lets_through(self._monotonic()):
                raise UpstreamUnavailable(refusal)
            return await self._in_time(requester, sending)

    async def _in_time(self, requester: Requester, sending: "_UpstreamRequest") -> UpstreamReply:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._counted(requester, sending)
        except TimeoutError as error:
            self._room.breaker(requester.link).failed(self._monotonic())
            self._answered(None)
            raise UpstreamUnavailable(
                f"{sending.origin.authority} did not answer in time", facts={"stage": "connection"}
            ) from error

    async def _counted(self, requester: Requester, sending: "_UpstreamRequest") -> UpstreamReply:
        try:
            reply = await self._sent(requester, sending)
        except UpstreamUnavailable as error:
            if error.code == "upstream_unavailable":
                self._room.breaker(requester.link).failed(self._monotonic())
                self._answered(None)
            raise
        self._room.succeeded(requester.link)
        self._answered(reply.status)
        return reply

    async def _sent(self, requester: Requester, sending: "_UpstreamRequest") -> UpstreamReply:
        addresses = await self.resolver.addresses(sending.origin, requester.team)
        tried = addresses[:MAX_ADDRESSES]
        for address in tried:
            try:
                return await self._sent_to(requester, sending, vetted(address, sending.origin.port))
            except aiohttp.ClientSSLError as error:
                raise _tls_failure(sending.origin, error) from error
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                if address == tried[-1]:
                    raise UpstreamUnavailable(
                        f"{sending.origin.authority} cannot be reached: no connection",
                        detail=repr(error)[:500],
                        facts={"stage": "connection"},
                    ) from error
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise UpstreamUnavailable(
                    f"{sending.origin.authority} broke off, or its answer is not HTTP", detail=repr(error)[:500]
                ) from error
        raise UpstreamUnavailable(f"{sending.origin.authority} has no address")  # never: there is at least one

    async def _sent_to(
        self, requester: Requester, sending: "_UpstreamRequest", address: VettedAddress
    ) -> UpstreamReply:
        url = URL(f"{sending.origin.scheme}://{address.authority}{sending.target}", encoded=True)
        async with self._session.request(
            sending.method,
            url,
            headers=sending.headers,
            data=sending.body,
            allow_redirects=False,
            server_hostname=sending.origin.host if sending.origin.scheme == "https" else None,
        ) as response:
            try:
                return await self._received(requester, sending, response)
            finally:
                _leave(response)

    async def _received(
        self, requester: Requester, sending: "_UpstreamRequest", response: aiohttp.ClientResponse
    ) -> UpstreamReply:
        if sending.method == "HEAD" or sending.longest is None:
            return UpstreamReply(response.status, response.headers, b"", _challenges(response))
        if response.status != HTTPStatus.OK:
            content = await self._read(requester, response, MAX_ERROR)
            return UpstreamReply(response.status, response.headers, content or b"", _challenges(response))
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _unusable(sending.origin, "is compressed, although it was asked for as it is")
        content = await self._read(requester, response, sending.longest)
        if content is None:
            raise _unusable(sending.origin, f"is longer than {sending.longest} bytes")
        return UpstreamReply(response.status, response.headers, content)

    async def _read(self, requester: Requester, response: aiohttp.ClientResponse, longest: int) -> bytes | None:
        """Return the body, or None when it is longer."""
        if (response.content_length or 0) > longest:
            return None
        content = bytearray()
        async with AsyncExitStack() as room:
            held = False
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > longest:
                    return None
                if len(content) > SHORT and not held:
                    await room.enter_async_context(self._room.long_body(requester.team))
                    held = True
            return bytes(content)


@frozen
class _UpstreamRequest:
    origin: Origin
    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    longest: int | None


def _challenges(response: aiohttp.ClientResponse) -> str:
    return ", ".join(response.headers.getall("WWW-Authenticate", ()))


def _leave(response: aiohttp.ClientResponse) -> None:
    """Abort the connection of an answer that was not read completely, without waiting for the peer to close it."""
    connection = response.connection
    if connection is not None and connection.transport is not None and not response.content.at_eof():
        connection.transport.abort()


def _tls_failure(origin: Origin, error: aiohttp.ClientSSLError) -> UpstreamUnavailable:
    """Return the error about a TLS connection; OpenSSL's message says what is wrong with a certificate."""
    certificate = getattr(error, "certificate_error", None)
    why = str(getattr(certificate, "verify_message", "")) or "the connection could not be made secure"
    return UpstreamUnavailable(
        f"{origin.authority}: TLS failed: {why[:200]}", detail=repr(error)[:500], facts={"stage": "tls"}
    )


def _unusable(origin: Origin, why: str) -> UpstreamUnavailable:
    return UpstreamUnavailable(f"an answer of {origin.authority} {why}", code="upstream_answer_invalid")
