"""Leads people who type the registry's address into a browser to the portal."""

from http import HTTPStatus

from aiohttp import web

from authsvc.web.portal.headers import secure
from authsvc.web.portal.route import PREFIX


def root_redirect() -> tuple[web.AbstractRouteDef, ...]:
    """Return the routes outside the portal that lead to it."""
    return (web.get("/", _to_portal), web.get(PREFIX, _to_portal))


async def _to_portal(_request: web.Request) -> web.Response:
    response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": f"{PREFIX}/"})
    secure(response)
    return response
