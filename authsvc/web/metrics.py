"""Counting what is answered, and ``/metrics``, which tells it."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from aiohttp import web

from authsvc.client import Client
from authsvc.errors import (
    AccountDenied,
    AuthsvcError,
    CredentialsRefused,
    Overloaded,
    SignerUnavailable,
    StoreRefused,
    StoreUnavailable,
    Throttled,
    WrongSecret,
)
from authsvc.issuance import Issued
from authsvc.metrics.catalogue import FAILED, HTTP_REQUESTS, ISSUED, REFUSED, TOKEN_REQUESTS, TOKEN_SECONDS
from authsvc.metrics.exposition import CONTENT_TYPE, exposition
from authsvc.metrics.shared_metrics import SharedMetrics, Slot
from authsvc.spec.token_request import TokenRequest
from authsvc.web.token import TokenIssuer

REASONS: dict[type[AuthsvcError], tuple[str, str]] = {
    WrongSecret: (REFUSED, "wrong_secret"),
    CredentialsRefused: (REFUSED, "credentials"),
    AccountDenied: (REFUSED, "account"),
    Throttled: (REFUSED, "throttled"),
    Overloaded: (FAILED, "overloaded"),
    StoreRefused: (FAILED, "store"),
    StoreUnavailable: (FAILED, "store"),
    SignerUnavailable: (FAILED, "signer"),
}
"""Most special first; an error that is not here is a fault of ours."""

FAULT = (FAILED, "fault")


class CountedIssuance:
    """Issues tokens, and counts what became of each request."""

    def __init__(self, issuance: TokenIssuer, slot: Slot) -> None:
        """Count into ``slot`` what ``issuance`` does."""
        self._issuance = issuance
        self._slot = slot

    async def issue(self, request: TokenRequest, client: Client, now: datetime) -> Issued:
        """Return the token for ``request``; raises what the issuance raises."""
        clock = asyncio.get_running_loop().time
        began = clock()
        outcome = FAULT
        try:
            issued = await self._issuance.issue(request, client, now)
            outcome = outcome_of(issued)
        except AuthsvcError as error:
            outcome = outcome_of_error(error)
            raise
        finally:
            self._slot.inc(TOKEN_REQUESTS, *outcome)
            self._slot.observe(TOKEN_SECONDS, clock() - began)
        return issued


def outcome_of(issued: Issued) -> tuple[str, str]:
    """Return the labels of an issued token."""
    if issued.claims.degraded:
        return ISSUED, "degraded"
    if not issued.decision.refusals:
        return ISSUED, "full"
    return ISSUED, "partial" if issued.claims.access else "nothing"


def outcome_of_error(error: AuthsvcError) -> tuple[str, str]:
    """Return the labels of a request that got no token."""
    return next((labels for kind, labels in REASONS.items() if isinstance(error, kind)), FAULT)


def count_status(slot: Slot, listener: str) -> Callable[[web.StreamResponse], None]:
    """Return what counts the answers of a listener."""

    def count(response: web.StreamResponse) -> None:
        slot.inc(HTTP_REQUESTS, listener, f"{min(max(response.status // 100, 2), 5)}xx")

    return count


def metrics(shared_metrics: SharedMetrics, clock: Callable[[], datetime]) -> web.RouteDef:
    """Return the route of ``/metrics``: the sums over all workers of this server, whichever of them is asked."""

    async def handler(_: web.Request) -> web.Response:
        text = exposition(shared_metrics, clock().timestamp())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    return web.get("/metrics", handler)
