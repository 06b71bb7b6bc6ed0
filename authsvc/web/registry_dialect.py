"""Renders errors for registry clients: the JSON of the OCI distribution specification, and a reason phrase."""

from http import HTTPStatus

from aiohttp import web

from authsvc.spec.registry_error import RegistryError
from authsvc.web.public_error import PublicError


def render(error: PublicError, service: str) -> web.Response:
    """Return the reply.

    Most clients show the message of the JSON; containerd and kubelet show only the reason phrase.

    Args:
        error: what the client may see.
        service: the registry's name, for the challenge of a 401.
    """
    body = RegistryError(error.registry_code, error.message, error.request_id)
    response = web.json_response(body.to_json(), status=error.status, reason=body.reason_phrase())
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = f'Basic realm="{service}", charset="UTF-8"'
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response
