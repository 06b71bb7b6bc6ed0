"""Renders errors of the management API as problem details, ``application/problem+json`` (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web
from attrs import frozen

from authsvc.error_codes import ErrorCode
from authsvc.spec.registry_error import UNSUPPORTED
from authsvc.web.public_error import PublicError

PROBLEM_JSON = "application/problem+json"

CHALLENGE = "Bearer"
"""The challenge of a 401 (RFC 6750 §3)."""

HTTP_CODES: Mapping[int, ErrorCode] = {
    HTTPStatus.NOT_FOUND: "path_not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body_too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "media_type_unsupported",
    HTTPStatus.SERVICE_UNAVAILABLE: "service_unavailable",
}
"""Codes of errors that the HTTP server or the router raises; ``request_refused`` for every other status."""

HTTP_SENTENCES: Mapping[int, str] = {
    HTTPStatus.NOT_FOUND: "nothing is served at this address; /api/openapi.json lists what is",
    HTTPStatus.METHOD_NOT_ALLOWED: "this method is not allowed here; the header Allow lists those that are",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the request body is larger than this address accepts",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "send the body as application/json, in UTF-8 and not compressed",
}


@frozen
class ProblemField:
    """What is wrong with one argument of a request.

    Attributes:
        field: its name; parts have dotted names, such as `fields.seats`.
        code: machine-readable, as in docs/errors.md.
        detail: a sentence for people.
    """

    field: str
    code: str
    detail: str


@frozen
class Problem:
    """An error (RFC 9457).

    Attributes:
        type: always `about:blank`; `code` identifies the problem.
        title: the name of the status.
        status: of the response.
        code: machine-readable; never renamed.
        detail: a sentence for people.
        request_id: identifies the request in the server's log; null if it was refused before it got one.
        errors: the problems of each argument; present in every error about the request's content.
        mark: present if `code` is `confirmation_needed`; to confirm, repeat the request with `?confirm=` and this mark.
    """

    title: str
    status: int
    code: str
    detail: str
    request_id: str | None
    type: str = "about:blank"
    errors: tuple[ProblemField, ...] = ()
    mark: str | None = None


def problem_of(error: PublicError) -> dict[str, Any]:
    """Return the body of an error."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": error.status.phrase,
        "status": int(error.status),
        "code": error.code,
        "detail": error.message,
        "request_id": error.request_id,
    }
    if error.problems is not None:
        body["errors"] = [{"field": one.field, "code": one.code, "detail": one.detail} for one in error.problems]
    if error.mark is not None:
        body["mark"] = error.mark
    return body


def render_problem(error: PublicError) -> web.Response:
    """Return the reply."""
    response = web.json_response(problem_of(error), status=error.status, content_type=PROBLEM_JSON)
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = CHALLENGE
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def render_http_error(error: web.HTTPException, request_id: str) -> web.Response:
    """Return the reply to a request that the HTTP server or the router refuses."""
    status = HTTPStatus(error.status)
    sentence = HTTP_SENTENCES.get(status, f"the request was refused: {status.phrase}")
    code = HTTP_CODES.get(status, "request_refused")
    response = render_problem(PublicError(status, UNSUPPORTED, sentence, request_id, code=code))
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response
