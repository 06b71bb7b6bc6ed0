"""The middleware of every request: a request id, the client, errors as replies, and headers against caching."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

from aiohttp import web

from authsvc.logs import Logger
from authsvc.outcomes import outcome_of_error
from authsvc.spec.registry_error import UNSUPPORTED
from authsvc.web.client import CLIENT, ClientReader
from authsvc.web.public_error import PublicError, public_error
from authsvc.web.registry_dialect import render

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_LOGGED = 200
"""Characters of a path that reach the log."""

REQUEST_ID = web.RequestKey("request_id", str)
"""Made by us for each request, never taken from the client: it finds the request in the log."""


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
                logger.error("request.failed", request_id=request_id, path=logged_path(request), exc_info=error)
            response = render(public_error(error, request_id), service)
        add_headers(response, request_id)
        for see in on_answer:
            see(response)
        return response

    return middleware


def logged_path(request: web.Request) -> str:
    """Return the path for the log: without the values in it, one of which may be a secret."""
    resource = request.match_info.route.resource
    return request.path[:MAX_LOGGED] if resource is None else resource.canonical


def add_headers(response: web.StreamResponse, request_id: str) -> None:
    """Add the headers of every answer; to one that is streamed before it begins.

    An answer that says itself how long it may be cached is a file whose address changes with its content.
    """
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Request-Id"] = request_id
