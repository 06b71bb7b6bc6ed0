"""What a registry client is told at ``/v2/proxy/``: errors and challenges in the words of a registry."""

from http import HTTPStatus

from aiohttp import web

from authsvc.spec.registry_error import DENIED, UNAUTHORIZED, RegistryError

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
    """Return the 401 that tells a client where to get a token, as the registry beside us does.

    Args:
        realm: where.
        service: what for.
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
