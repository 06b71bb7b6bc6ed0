"""The token endpoint, ``GET`` and ``POST /auth/token``: reads both forms, answers, logs."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl

from aiohttp import web
from msgspec.json import encode

from authsvc.audit.token_event import AuditedRequest
from authsvc.client import Client
from authsvc.errors import AuthsvcError
from authsvc.issuance import Denied, Issued
from authsvc.logs import Logger
from authsvc.outcomes import Outcome, outcome_of_error
from authsvc.refusal_sentences import refusal_sentence
from authsvc.spec.scope import ScopeSet
from authsvc.spec.token_request import TokenRequest, Unreadable, from_form, from_query_string
from authsvc.web.client import CLIENT
from authsvc.web.middleware import REQUEST_ID

BODY_DEADLINE = 10.0
"""Seconds in which a client must have sent its form."""

MAX_FORM_FIELDS = 200
JSON = {"Content-Type": "application/json; charset=utf-8"}
MAX_LOGGED = 100
"""Most characters of unverified client text in the log."""


class TokenIssuer(Protocol):
    """Issues tokens."""

    async def issue(self, request: TokenRequest, client: Client, now: datetime) -> Issued:
        """Return the token for ``request``."""
        ...


AuditSink = Callable[[AuditedRequest, Issued | Exception], None]
"""Records the outcome of a request in the audit; it never waits and never raises."""


class TokenEndpoint:
    """Reads both forms of the request; log and audit get every outcome."""

    def __init__(self, issuance: TokenIssuer, logger: Logger, clock: Callable[[], datetime], record: AuditSink) -> None:
        """Ask ``issuance``, and ``record`` the outcome in the audit; ``clock`` is read once per request."""
        self._issuance = issuance
        self._logger = logger
        self._clock = clock
        self._record = record

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/auth/token", self.get, allow_head=False), web.post("/auth/token", self.post)]

    async def get(self, request: web.Request) -> web.Response:
        """Answer the query form."""
        query = request.rel_url.raw_query_string
        return await self._answer(request, from_query_string(query, request.headers.get("Authorization")))

    async def post(self, request: web.Request) -> web.Response:
        """Answer the OAuth2 form. Never 400 or 404: containerd and buildkit would fall back to GET."""
        try:
            async with asyncio.timeout(BODY_DEADLINE):
                body = await request.read()
            fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FORM_FIELDS)
        except (ValueError, TimeoutError, ConnectionError, web.HTTPRequestEntityTooLarge) as error:
            unreadable = Unreadable(f"the form could not be read: {type(error).__name__}")
            return await self._answer(request, TokenRequest(None, ScopeSet(), unreadable))
        return await self._answer(request, from_form(fields, request.headers.get("Authorization")))

    async def _answer(self, request: web.Request, token_request: TokenRequest) -> web.Response:
        now = self._clock()
        client = request[CLIENT].named(token_request.client_id)
        asked = AuditedRequest(request[REQUEST_ID], now, client, token_request)
        try:
            issued = await self._issuance.issue(token_request, client, now)
        except Exception as error:
            self._record(asked, error)
            outcome = outcome_of_error(error)
            if isinstance(error, AuthsvcError) and not outcome.is_fault:  # the middleware logs those
                self._log(outcome, asked, refusal_facts(error))
            raise
        self._record(asked, issued)
        self._log(issued.outcome, asked, _facts(issued))
        return web.Response(body=encode(issued.response.to_json()), headers=JSON)

    def _log(self, outcome: Outcome, asked: AuditedRequest, facts: Mapping[str, Any]) -> None:
        client, scopes = asked.client, asked.request.scopes
        self._logger.log(
            outcome.log_level,
            outcome.log_event,
            request_id=asked.request_id,
            address=client.address[:MAX_LOGGED],
            client_id=(client.client_id or "")[:MAX_LOGGED] or None,
            user_agent=client.user_agent[:MAX_LOGGED],
            asked=[str(scope) for scope in scopes.scopes],
            dropped=scopes.dropped,
            **facts,
        )


def refusal_facts(error: AuthsvcError) -> dict[str, Any]:
    """Return the facts about a refused request for the log."""
    return {
        "kind": type(error).__name__,
        "subject": error.subject.id if isinstance(error, Denied) else None,
        "reason": str(error),
        "detail": error.detail,
    }


def _facts(issued: Issued) -> dict[str, Any]:
    """Return the facts about an issued token for the log; never the token itself."""
    return {
        "subject": issued.claims.subject,
        "granted": [f"{a.type}:{a.name}:{','.join(a.actions)}" for a in issued.claims.access],
        "refused": [f"{r.scope} {r.action}: {refusal_sentence(r)}" for r in issued.decision.refusals],
        "degraded": issued.claims.degraded,
        "token_id": issued.claims.token_id,
        "expires_at": issued.claims.expires_at.isoformat(),
    }
