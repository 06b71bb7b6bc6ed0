"""Answers to registry clients at ``/v2/proxy/``: errors and challenges in the form of a registry."""

import math
from http import HTTPStatus

from aiohttp import web

from authsvc.errors import UpstreamFailed, UpstreamLimited
from authsvc.outcomes import outcome_of_error
from authsvc.spec.pull_path import PullKind
from authsvc.spec.registry_error import BLOB_UNKNOWN, DENIED, MANIFEST_UNKNOWN, UNAUTHORIZED, UNKNOWN, RegistryError

API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


def refuse(
    status: HTTPStatus, code: str, message: str, request_id: str, headers: dict[str, str] | None = None
) -> web.Response:
    """Return an error, with its message also as the reason phrase, which is all that containerd shows."""
    body = RegistryError(code, message, request_id)
    return web.json_response(
        body.to_json(), status=status, reason=body.reason_phrase(), headers={**API_VERSION, **(headers or {})}
    )


def challenge(realm: str, service: str, scope: str | None, request_id: str, error: str | None = None) -> web.Response:
    """Return the 401 with the challenge for a token, like our registry.

    Args:
        realm: URL of the token endpoint.
        service: audience of the token.
        scope: what the token must grant; None when any token is enough.
        request_id: of the request.
        error: what is wrong with the token that came (RFC 6750 §3.1), or None when none came.
    """
    parts = [f'realm="{realm}"', f'service="{service}"']
    parts += [f'scope="{scope}"'] if scope else []
    parts += [f'error="{error}"'] if error else []
    code, message = UNAUTHORIZED, "authentication required"
    if error == "insufficient_scope":
        code, message = DENIED, "requested access to the resource is denied"
    return refuse(HTTPStatus.UNAUTHORIZED, code, message, request_id, {"WWW-Authenticate": f"Bearer {','.join(parts)}"})


def upstream_error(error: UpstreamFailed, kind: PullKind, request_id: str) -> web.Response:
    """Return the answer to a client when a linked registry failed; for a rate limit with the time to retry."""
    row = outcome_of_error(error)
    code = row.registry_code or UNKNOWN
    if row.status == HTTPStatus.NOT_FOUND:
        code = BLOB_UNKNOWN if kind is PullKind.BLOB else MANIFEST_UNKNOWN
    headers = {"Retry-After": str(math.ceil(error.retry_after))} if isinstance(error, UpstreamLimited) else None
    return refuse(row.status, code, str(error), request_id, headers)
