"""Counts answers, and serves the counts at ``/metrics`` in the Prometheus text format."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from authsvc.client import Client
from authsvc.issuance import Issued
from authsvc.metrics.catalogue import API_REQUESTS, API_SECONDS, HTTP_REQUESTS, TOKEN_REQUESTS, TOKEN_SECONDS
from authsvc.metrics.exposition import CONTENT_TYPE, exposition
from authsvc.metrics.shared_metrics import SharedMetrics, Slot
from authsvc.outcomes import FAULT, outcome_of_error
from authsvc.spec.token_request import TokenRequest
from authsvc.web.token import TokenIssuer


class CountedIssuance:
    """Issues tokens, and counts the outcome of each request."""

    def __init__(self, issuance: TokenIssuer, slot: Slot) -> None:
        """Count the outcomes of ``issuance`` in ``slot``."""
        self._issuance = issuance
        self._slot = slot

    async def issue(self, request: TokenRequest, client: Client, now: datetime) -> Issued:
        """Return the token for ``request``; raises the errors of the issuance."""
        clock = asyncio.get_running_loop().time
        began = clock()
        outcome = FAULT
        try:
            issued = await self._issuance.issue(request, client, now)
            outcome = issued.outcome
        except Exception as error:
            outcome = outcome_of_error(error)
            raise
        finally:
            self._slot.inc(TOKEN_REQUESTS, *outcome.labels)
            self._slot.observe(TOKEN_SECONDS, clock() - began)
        return issued


def count_api_request(slot: Slot) -> Callable[[str, str, int, float], None]:
    """Return a function that counts a request to the management API: its collection, method, status and seconds."""

    def count(collection: str, method: str, status: int, seconds: float) -> None:
        slot.inc(API_REQUESTS, collection, method, status_class(status))
        slot.observe(API_SECONDS, seconds)

    return count


def status_class(status: int) -> str:
    """Return the class of a status, such as ``2xx``."""
    return f"{min(max(status // 100, 2), 5)}xx"


def count_status(slot: Slot, listener: str) -> Callable[[web.StreamResponse], None]:
    """Return a function that counts the answers of a listener."""

    def count(response: web.StreamResponse) -> None:
        slot.inc(HTTP_REQUESTS, listener, status_class(response.status))

    return count


def metrics(shared_metrics: SharedMetrics, clock: Callable[[], datetime]) -> web.RouteDef:
    """Return the route of ``/metrics``: the sums over all workers of this server, whichever of them is asked."""

    async def handler(_: web.Request) -> web.Response:
        text = exposition(shared_metrics, clock().timestamp())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    return web.get("/metrics", handler)
