"""The middleware of every request: a request id, the client, errors as replies, and headers against caching."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from authsvc.logs import Logger
from authsvc.outcomes import REQUEST_FAILED, outcome_of_error
from authsvc.spec.registry_error import UNSUPPORTED
from authsvc.web.client import CLIENT, ClientReader
from authsvc.web.public_error import PublicError, public_error
from authsvc.web.registry_dialect import render

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_LOGGED, MAX_LOGGED_PATH = 100, 200
"""Most characters of unverified client text, and of a path, in the log."""

REQUEST_ID = web.RequestKey("request_id", str)
"""The id of a request, by which it is found in the log; made by us, never taken from the client."""


def around(
    logger: Logger,
    service: str,
    new_request_id: Callable[[], str],
    clients: ClientReader,
    on_answer: Sequence[Callable[[web.StreamResponse], None]],
) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Return the middleware of a listener; each of ``on_answer`` sees every answer before it is sent."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        request_id = request[REQUEST_ID] = new_request_id()
        request[CLIENT] = clients.read(request)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            message = f"{request.method} {request.path[:100]} is not served here: {error.reason}"
            response = render(PublicError(HTTPStatus(error.status), UNSUPPORTED, message, request_id), service)
        except Exception as error:
            if outcome_of_error(error).is_fault:
                logger.error(REQUEST_FAILED, **fault_facts(request), exc_info=error)
            response = render(public_error(error, request_id), service)
        add_headers(response, request_id)
        for see in on_answer:
            see(response)
        return response

    return middleware


def fault_facts(request: web.Request) -> dict[str, Any]:
    """Return the facts about a failed request for the log, without values from its path, which may be secret."""
    return {"request_id": request[REQUEST_ID], "path": _route(request) or request.path[:MAX_LOGGED_PATH]}


def request_facts(request: web.Request, status: int, actor: str | None) -> dict[str, Any]:
    """Return the facts for the log line of a request; ``actor`` is the subject that made it, or None."""
    client = request[CLIENT]
    return {
        "request_id": request[REQUEST_ID],
        "actor": actor,
        "method": request.method[:MAX_LOGGED],
        "route": _route(request),
        "status": status,
        "address": client.address[:MAX_LOGGED],
        "user_agent": client.user_agent[:MAX_LOGGED],
    }


def _route(request: web.Request) -> str | None:
    """Return the path with the names of its variables instead of their values; None when nothing is served there."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


def add_headers(response: web.StreamResponse, request_id: str) -> None:
    """Add the headers of every answer; for a streamed one before it begins.

    An answer with its own caching header is a file whose URL changes with its content.
    """
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Request-Id"] = request_id
