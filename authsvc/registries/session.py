"""HTTP to one registry: one connection pool, deadlines for everything, and bodies of a bounded length.

Proxies of the environment are not used and redirects are not followed, because requests carry our tokens.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Self
from urllib.parse import unquote, urlsplit

import aiohttp
from attrs import field, frozen

from authsvc.errors import RegistryUnavailable
from authsvc.redaction import Secret

AT_ONCE = 8
"""Most requests at one time, over one session."""

DEADLINE = 5.0
"""Seconds in which one request must be answered, by default, including the wait for its turn."""

NO_ANSWER = "the registry does not answer; try again in a few seconds"

UNUSUAL = "the registry gave an answer that cannot be used; try again later"


@frozen
class RegistryReply:
    """The answer of a registry.

    Attributes:
        status: HTTP status.
        headers: with case-insensitive names.
        content: the body; None when it is longer than ``longest``.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)


class RegistrySession:
    """Sends requests to one registry. Close it at the end."""

    def __init__(self, url: str, at_once: int = AT_ONCE) -> None:
        """Send requests to ``url``, http or unix, at most ``at_once`` at one time."""
        self._base, connector = reach(url)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        self._slots = asyncio.Semaphore(at_once)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        token: Secret | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        longest: int = 0,
        deadline: float = DEADLINE,
    ) -> RegistryReply:
        """Return the reply to one request, whatever its status.

        Args:
            method: of the request.
            path: with its query, from the first ``/`` on.
            token: for the request; None for none.
            headers: further ones.
            body: None for none.
            longest: most bytes of the reply's body; a longer one is not returned.
            deadline: seconds for the whole request.

        Raises:
            RegistryUnavailable: there is no answer in time, or no connection.
        """
        given = dict(headers or {})
        if token is not None:
            given["Authorization"] = f"Bearer {token.reveal()}"
        try:
            async with asyncio.timeout(deadline), self._slots, self._open(method, path, given, body) as response:
                content = None if method == "HEAD" else await _read(response, longest)
                return RegistryReply(response.status, response.headers, content)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise RegistryUnavailable(NO_ANSWER, detail=f"{method} {path[:200]}: {error!r}"[:500]) from error

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._session.request(
            method, f"{self._base}{path}", headers=headers, data=body, allow_redirects=False
        ) as response:
            yield response


async def _read(response: aiohttp.ClientResponse, longest: int) -> bytes | None:
    """Return the body, or None; if it is not read completely, the connection is closed."""
    if (response.content_length or 0) > longest:
        return None
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > longest:
            return None
    return bytes(content)


def unusual(reply: RegistryReply, path: str) -> RegistryUnavailable:
    """Return the error about an unexpected reply to one of our requests."""
    why = "our token was refused" if reply.status == HTTPStatus.UNAUTHORIZED else f"status {reply.status}"
    sentence = NO_ANSWER if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR else UNUSUAL
    return RegistryUnavailable(sentence, detail=f"{path[:200]}: {why}")


def reach(url: str) -> tuple[str, aiohttp.BaseConnector]:
    """Return the base URL of requests to ``url`` and their connector."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return "http://registry", aiohttp.UnixConnector(unquote(parts.path))
    return url.rstrip("/"), aiohttp.TCPConnector()
