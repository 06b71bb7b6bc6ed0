"""Our own registry, as seen from inside."""

from http import HTTPStatus
from urllib.parse import unquote, urlsplit

import aiohttp

PROBE_DEADLINE = 1.0
"""Seconds that a look at the registry may take."""


async def registry_state(url: str | None) -> str:
    """Return ``up``, ``down``, or ``not watched`` when ``url`` is None.

    Up means that it challenges an anonymous request, as the specification's ``GET /v2/`` must.
    """
    if url is None:
        return "not watched"
    parts = urlsplit(url)
    connector = aiohttp.UnixConnector(unquote(parts.path)) if parts.scheme == "unix" else aiohttp.TCPConnector()
    base = "http://registry" if parts.scheme == "unix" else url
    timeout = aiohttp.ClientTimeout(total=PROBE_DEADLINE)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
            session.get(f"{base}/v2/", allow_redirects=False) as response,
        ):
            return "up" if response.status == HTTPStatus.UNAUTHORIZED else "down"
    except (TimeoutError, aiohttp.ClientError, OSError):
        return "down"
