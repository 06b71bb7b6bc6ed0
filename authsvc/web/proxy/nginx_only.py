"""Access to ``/v2/proxy/``: only for nginx, which sends the secret of its configuration.

The answers are for nginx and not for clients: they contain addresses and credentials of linked registries, and nginx
reports the steps of a pull. Other clients of the edge listener must neither see those answers nor report steps.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web

from authsvc.logs import Logger
from authsvc.spec.registry_error import UNAVAILABLE
from authsvc.web.client import CLIENT
from authsvc.web.middleware import REQUEST_ID
from authsvc.web.proxy.answers import refuse
from authsvc.web.shown_secret import is_known

SHOWN = "X-Authsvc-Secret"
"""The header with the secret; nginx takes away what a client sends under this name."""

REPORT_INTERVAL = 60.0
"""Seconds between two log lines."""


class NginxOnly:
    """Refuses requests that do not show the secret of nginx."""

    def __init__(self, hashes: Sequence[bytes], logger: Logger) -> None:
        """Accept each secret with one of the SHA-256 ``hashes``; without any, every request is refused."""
        self._hashes = tuple(hashes)
        self._logger = logger
        self._reported_at = -REPORT_INTERVAL
        self._unreported = 0

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return the refusal, or None for a request of nginx."""
        shown = request.headers.getall(SHOWN, [])
        if len(shown) == 1 and is_known(shown[0], self._hashes):
            return None
        self._report(request)
        return refuse(
            HTTPStatus.SERVICE_UNAVAILABLE,
            UNAVAILABLE,
            "images of linked registries are pulled through this installation's nginx, which has not shown its secret",
            request[REQUEST_ID],
        )

    def _report(self, request: web.Request) -> None:
        """Log the first one at once, and later ones once per interval with their number."""
        self._unreported += 1
        at = asyncio.get_running_loop().time()
        if at - self._reported_at < REPORT_INTERVAL:
            return
        self._logger.warning(
            "proxy.not_from_nginx",
            request_id=request[REQUEST_ID],
            address=request[CLIENT].address,
            count=self._unreported,
        )
        self._reported_at, self._unreported = at, 0
