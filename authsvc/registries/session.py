"""HTTP to one registry: one connection pool, deadlines on everything, and bodies of a bounded length.

No proxy of the environment is used and no redirect is followed: what is asked carries a token of ours.
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
"""Seconds in which one request must be answered, unless it is given more; waiting for its turn is included."""

NO_ANSWER = "the registry does not answer; try again in a few seconds"

UNUSUAL = "the registry gave an answer that cannot be used; try again later"


@frozen
class RegistryReply:
    """What a registry answered.

    Attributes:
        status: HTTP status.
        headers: whose names are looked up in any case.
        content: the body; None when it is longer than was asked for.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)


class RegistrySession:
    """Sends requests to one registry. Close it at the end."""

    def __init__(self, url: str, at_once: int = AT_ONCE) -> None:
        """Send requests to ``url``, http or unix, ``at_once`` of them at one time."""
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
            token: opens it; None for none.
            headers: others.
            body: None for none.
            longest: bytes of the reply's body that are read at most; of a longer one nothing is returned.
            deadline: seconds for all of it.

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
    """Return the body, or None; the connection of one that is not read to its end is closed."""
    if (response.content_length or 0) > longest:
        return None
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > longest:
            return None
    return bytes(content)


def unusual(reply: RegistryReply, path: str) -> RegistryUnavailable:
    """Return the error about a reply that a request of ours should not get."""
    why = "our token was refused" if reply.status == HTTPStatus.UNAUTHORIZED else f"status {reply.status}"
    sentence = NO_ANSWER if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR else UNUSUAL
    return RegistryUnavailable(sentence, detail=f"{path[:200]}: {why}")


def reach(url: str) -> tuple[str, aiohttp.BaseConnector]:
    """Return the base of requests to ``url`` and what connects them."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return "http://registry", aiohttp.UnixConnector(unquote(parts.path))
    return url.rstrip("/"), aiohttp.TCPConnector()
