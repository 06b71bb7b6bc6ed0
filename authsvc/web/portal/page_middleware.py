"""Middleware of applications that answer with pages: renders errors as pages, too, with the headers of every page."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from authsvc.errors import AuthsvcError
from authsvc.logs import Logger
from authsvc.outcomes import REQUEST_FAILED, outcome_of_error
from authsvc.web.middleware import REQUEST_ID, Handler, fault_facts
from authsvc.web.portal.headers import secure
from authsvc.web.public_error import PublicError, public_error

REFUSAL = web.RequestKey("refusal", AuthsvcError)
"""The reason of the refusal that a page shows."""

ErrorPage = Callable[[web.Request, PublicError], web.Response]

Finish = Callable[[web.Request, web.StreamResponse, Mapping[str, Any], float], None]
"""Is called with the request, its answer, the facts about its error for the log, and its duration in seconds."""


def page_middleware(error_page: ErrorPage, last_resort: str, finish: Finish, logger: Logger) -> Any:
    """Return the middleware.

    Args:
        error_page: makes the page that shows an error.
        last_resort: the page when that one fails too.
        finish: logs and counts each request, and may add headers.
        logger: for internal errors.
    """

    def shown(request: web.Request, error: PublicError) -> web.Response:
        try:
            return error_page(request, error)
        except Exception as failed:
            logger.error(REQUEST_FAILED, **fault_facts(request), exc_info=failed)
            return web.Response(text=last_resort, status=HTTPStatus.INTERNAL_SERVER_ERROR, content_type="text/html")

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        seconds = asyncio.get_running_loop().time
        began = seconds()
        refused: Exception | None = None
        try:
            response = await handler(request)
            refused = request.get(REFUSAL)
        except web.HTTPException as error:
            message = "there is no such page" if error.status == HTTPStatus.NOT_FOUND else error.reason
            response = shown(request, PublicError(HTTPStatus(error.status), "", message, request[REQUEST_ID]))
        except Exception as error:
            if outcome_of_error(error).is_fault:
                logger.error(REQUEST_FAILED, **fault_facts(request), exc_info=error)
            refused = error
            response = shown(request, public_error(error, request[REQUEST_ID]))
        secure(response)
        facts = {"code": refused.code, "detail": refused.detail} if isinstance(refused, AuthsvcError) else {}
        finish(request, response, facts, seconds() - began)
        return response

    return middleware
