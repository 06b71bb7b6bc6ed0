"""The one table from our errors to HTTP, in the dialect of registries."""

import math
from http import HTTPStatus

from aiohttp import web
from attrs import frozen

from authsvc.errors import (
    AccountDenied,
    AuthsvcError,
    ConfirmationNeeded,
    Conflict,
    CredentialsRefused,
    InputRefused,
    LastOwner,
    NotFound,
    Overloaded,
    PermissionDenied,
    SignerUnavailable,
    StoreRefused,
    StoreUnavailable,
    Throttled,
    WrongSecret,
)
from authsvc.spec.registry_error import (
    DENIED,
    TOOMANYREQUESTS,
    UNAUTHORIZED,
    UNAVAILABLE,
    UNKNOWN,
    UNSUPPORTED,
    RegistryError,
)

RETRY_AFTER = "2"
"""Seconds after which a client may try again when we could not answer."""


@frozen
class ErrorResponse:
    """How an error looks from outside.

    Attributes:
        status: HTTP status.
        code: registry error code.
    """

    status: HTTPStatus
    code: str


PROBLEMS: dict[type[AuthsvcError], ErrorResponse] = {
    WrongSecret: ErrorResponse(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED),
    CredentialsRefused: ErrorResponse(HTTPStatus.UNAUTHORIZED, UNAUTHORIZED),
    AccountDenied: ErrorResponse(HTTPStatus.UNAUTHORIZED, DENIED),
    PermissionDenied: ErrorResponse(HTTPStatus.FORBIDDEN, DENIED),
    Throttled: ErrorResponse(HTTPStatus.TOO_MANY_REQUESTS, TOOMANYREQUESTS),
    Overloaded: ErrorResponse(HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE),
    StoreRefused: ErrorResponse(HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE),
    StoreUnavailable: ErrorResponse(HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE),
    SignerUnavailable: ErrorResponse(HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE),
    NotFound: ErrorResponse(HTTPStatus.NOT_FOUND, UNKNOWN),
    ConfirmationNeeded: ErrorResponse(HTTPStatus.CONFLICT, UNKNOWN),
    LastOwner: ErrorResponse(HTTPStatus.CONFLICT, UNKNOWN),
    Conflict: ErrorResponse(HTTPStatus.CONFLICT, UNKNOWN),
    InputRefused: ErrorResponse(HTTPStatus.BAD_REQUEST, UNSUPPORTED),
}
"""Most special first; an error that is not here is a fault of ours."""

FAULT = ErrorResponse(HTTPStatus.INTERNAL_SERVER_ERROR, UNKNOWN)


def problem_of(error: Exception) -> ErrorResponse:
    """Return how ``error`` looks from outside."""
    return next((problem for kind, problem in PROBLEMS.items() if isinstance(error, kind)), FAULT)


def render(problem: ErrorResponse, message: str, request_id: str, service: str) -> web.Response:
    """Return the reply: JSON for those who show it, and the reason phrase for containerd, which shows nothing else."""
    error = RegistryError(problem.code, message, request_id)
    response = web.json_response(error.to_json(), status=problem.status, reason=error.reason_phrase())
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = f'Basic realm="{service}", charset="UTF-8"'
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = RETRY_AFTER
    return response


def render_error(error: Exception, request_id: str, service: str) -> web.Response:
    """Return the reply to ``error``; of a fault of ours nothing but the request id is told."""
    problem = problem_of(error)
    message = "something went wrong on our side; tell the vendor" if problem is FAULT else str(error)
    response = render(problem, message, request_id, service)
    if isinstance(error, Throttled):
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return response
